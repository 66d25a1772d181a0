"""Nearest vectors: an index chosen, built, tuned and measured; other engines behind the same questions.

``load("moments.faiss").search(vector, k=10)`` gives ``.ids`` and ``.scores``, best first.
"""

from __future__ import annotations

from pathlib import Path

from multimodal_search.index.backup import backup, restore
from multimodal_search.index.build import build
from multimodal_search.index.found import Found
from multimodal_search.index.index import Index
from multimodal_search.index.state import Files

__all__ = ["Found", "Index", "backup", "build", "file_folder", "is_index", "load", "restore"]


def load(path: str | Path) -> Index:
    """Open an index; its files are mapped, not read.

    Args:
        path: the Faiss file; ``<path>.files`` lies beside it.

    Raises:
        BundleError: there is no whole index.
        MissingDependencyError: Faiss is not installed.
    """
    return Index.open(path)


def file_folder(path: str | Path) -> Path:
    """The folder beside an index' Faiss file."""
    return Files(path).folder


def is_index(path: str | Path) -> bool:
    """Whether an index of this package is here (a bundle made before has a bare Faiss file, or none)."""
    return Files(path).is_there()
