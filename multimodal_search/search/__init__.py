"""Ask a bundle: words, a picture, a stretch of signal, or several at once -> moments."""

from __future__ import annotations

from multimodal_search.search.searcher import Hit, Searcher

__all__ = ["Hit", "Searcher"]
