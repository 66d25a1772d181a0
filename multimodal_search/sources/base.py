"""What every source of items offers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from multimodal_search.types import Failure, Item, Series


class Source(Protocol):
    """Where items come from: a folder, a nuScenes tree, a file of pairs.

    Attributes:
        kind: ``extracted``, ``nuscenes``, ``pairs`` or ``sample``.
        root: the folder that image paths are relative to.
        licence: what the data's owner allows, for the bundle; None where unknown.
        official_splits: scene id -> ``train``, ``val`` or ``test``, where the data set publishes one.
        failures: inputs skipped while the items were read.
    """

    kind: str
    root: Path
    licence: str | None
    failures: list[Failure]

    @property
    def official_splits(self) -> Mapping[str, str] | None:
        """Read-only, so that a source may find it out when it is first asked."""
        ...

    def items(self) -> list[Item]:
        """All items, in a stable order, scenes contiguous; read once and kept.

        Raises:
            DataError: the data cannot be understood as a whole, or holds no item.
        """
        ...

    def image_file(self, path: str) -> Path:
        """The file behind an item's image path; never outside ``root``."""
        ...

    def series(self, item: Item) -> Series | None:
        """The signal around an item, or None where it has none.

        Raises:
            SkipInput: the signal is there and cannot be used; the reason is for the list of failures.
        """
        ...
