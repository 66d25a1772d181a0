"""What every source of items offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from multimodal_search.sources.paths import Place
from multimodal_search.types import Failure, Item, Series


class Source(Protocol):
    """Where items come from: a folder, a nuScenes tree, a file of pairs.

    Attributes:
        kind: ``extracted``, ``nuscenes``, ``pairs`` or ``sample``.
        licence: what the data's owner allows, for the bundle; None where unknown.
        official_splits: scene id -> ``train``, ``val`` or ``test``, where the data set publishes one.
        failures: inputs skipped while the items were read.
    """

    kind: str
    licence: str | None
    failures: list[Failure]

    @property
    def root(self) -> Place:
        """The folder, or the ``s3://`` prefix, that image paths are relative to."""
        ...

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

    def image_file(self, path: str) -> Place:
        """The file or ``s3://`` object behind an item's image path; a file is never outside ``root``."""
        ...

    def image_key(self, path: str) -> str:
        """What changes when the picture behind an item's image path does.

        Raises:
            OSError: it is not there, or cannot be looked at.
            SkipInput: S3 refuses it.
            DataError: S3 cannot be reached or refuses.
        """
        ...

    def series(self, item: Item) -> Series | None:
        """The signal around an item, or None where it has none; of a ``root`` on S3, from several threads.

        Raises:
            SkipInput: the signal is there and cannot be used; the reason is for the list of failures.
        """
        ...
