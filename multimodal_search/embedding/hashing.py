"""Perceptual hashes: near-duplicates differ in few of 64 bits, whatever their size and compression."""

from __future__ import annotations

from multimodal_search.embedding.images import Picture
from multimodal_search.errors import require


def phash(picture: Picture) -> str:
    """ImageHash's perceptual hash, 16 hex digits.

    Of a picture that was decoded at a reduced size it differs from the whole picture's in 0 to 2 bits (the
    test holds it to that); pictures of different scenes differ in about 32.

    Args:
        picture: RGB, as ``images.decode`` gives it.

    Raises:
        MissingDependencyError: ImageHash is not installed.
    """
    from PIL import Image

    imagehash = require("imagehash", extra="bulk")
    whole = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return str(imagehash.phash(whole))
