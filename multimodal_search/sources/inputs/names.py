"""Which files are pictures, by their names."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

# those of the formats that embedding.images decodes
IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".qoi", ".avif",
     ".jp2", ".j2k", ".tga", ".ico")
)  # fmt: skip
_VIEW = re.compile(r"(?P<id>.+)_view(?P<number>[0-9]{1,9})\.[^.]+", re.DOTALL)


class View(NamedTuple):
    """The parts of ``<id>_viewNN.<suffix>``."""

    id: str
    number: int


def is_image(name: str) -> bool:
    """Whether the suffix, in any case, is a picture's."""
    return suffix(name) in IMAGE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a file or folder is left out without a word: hidden, or an archive's doubles from a Mac."""
    return name.startswith(".") or name == "__MACOSX"


def view(name: str) -> View | None:
    """The id and number in a view's file name; None where it is no such name."""
    found = _VIEW.fullmatch(name)
    return View(found["id"], int(found["number"])) if found else None


def suffix(name: str) -> str:
    """The suffix in lower case, with its dot; empty where there is none."""
    stem, dot, end = name.rpartition(".")
    return f".{end.lower()}" if dot and stem else ""


class Others:
    """Files that were left out, by suffix; said, so that nobody wonders where they are."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one."""
        end = suffix(name)
        # the suffixes of a million different names would be a list of names
        self._counts[end if len(self._counts) < 1000 or end in self._counts else "..."] += 1

    @property
    def total(self) -> int:
        """How many."""
        return sum(self._counts.values())

    def __str__(self) -> str:
        most = [f"{count} {end or 'without suffix'}" for end, count in self._counts.most_common(5)]
        rest = "" if len(self._counts) <= 5 else ", ..."
        return f"{self.total} other file{'s'[: self.total != 1]} ({', '.join(most)}{rest})"
