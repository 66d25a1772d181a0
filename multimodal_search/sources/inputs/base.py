"""What every listing of inputs offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from multimodal_search.types import Failure, Input, Modality


class Inputs(Protocol):
    """Inputs in a stable order, each id once; millions of them, so they are never all held as objects.

    Attributes:
        kind: ``images``, ``paths``, ``prefix``, ``views``, ``texts``, or a source's kind.
        root: what ids are relative to, a folder or an ``s3://`` address; ``train --features`` needs it.
        modality: what they are.
    """

    kind: str
    root: str
    modality: Modality

    @property
    def failures(self) -> list[Failure]:
        """Inputs that cannot even be listed, such as a folder without permission; found while iterating."""
        ...

    @property
    def count(self) -> int | None:
        """How many there are, once that is known; for the progress bar."""
        ...

    def __iter__(self) -> Iterator[Input]:
        """From the beginning, the same order each time.

        Raises:
            DataError: the place is absent, unreadable, or holds no input.
        """
        ...
