"""How good a search is: ranks, intervals, chance, baselines, and ``metrics.json`` (numpy only)."""

from __future__ import annotations

from multimodal_search.metrics.evaluate import evaluate
from multimodal_search.metrics.ranks import Rankings, rank_queries

__all__ = ["Rankings", "evaluate", "rank_queries"]
