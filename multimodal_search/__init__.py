"""Find driving moments by words, by pictures and by vehicle signals.

``multimodal_search.load(bundle)`` opens what training wrote; ``.search(text=...)`` asks it.
Importing this package imports no torch: the heavy parts load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multimodal_search.search import Searcher

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(bundle: str | Path, *, device: str = "auto") -> Searcher:
    """Open a bundle for searching.

    Args:
        bundle: the folder that training wrote (``--output-dir``), or ``s3://bucket/prefix``.
        device: ``auto``, ``cpu`` or ``cuda``; where queries are encoded.

    Raises:
        BundleError: the folder holds no whole bundle.
    """
    from multimodal_search.search import Searcher

    return Searcher.open(bundle, device=device)
