"""Under which id and key an item's pictures and texts are stored: the same in training and bulk embedding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from multimodal_search.types import Item


def image_paths(item: Item, cameras: Sequence[str]) -> list[str]:
    """The pictures of an item that the chosen cameras took, in the order of ``cameras``; ids of rows.

    ``("all",)`` takes every camera, the primary picture first. An item that names no camera has one picture.
    """
    if not item.images:
        return [item.image_path] if item.image_path else []
    if "all" in cameras:
        primary = [path for path in item.images.values() if path == item.image_path]
        return [*primary, *item.images.values()]
    return [item.images[camera] for camera in cameras if camera in item.images]


def text_key(text: str) -> str:
    """A hash of a text, which is its row's id."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
