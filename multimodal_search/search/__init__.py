"""Ask a bundle: words, a picture, a stretch of signal, or several at once -> moments."""

from __future__ import annotations

from multimodal_search.search.hits import Hit
from multimodal_search.search.plain import VectorSearcher
from multimodal_search.search.results import check_format, write_hits
from multimodal_search.search.searcher import Searcher
from multimodal_search.search.terminal import table

__all__ = ["Hit", "Searcher", "VectorSearcher", "check_format", "table", "write_hits"]
