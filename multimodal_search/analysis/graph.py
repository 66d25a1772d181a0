"""One graph of nearest neighbours, which maps, duplicates and ``search-all`` share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multimodal_search.analysis.neighbors_exact import exact_neighbours
from multimodal_search.analysis.neighbors_scores import prepare
from multimodal_search.settings.search import Metric
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray

EXACT_UP_TO_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Graph:
    """Each row's nearest others, nearest first; equal distances by row.

    Attributes:
        rows: (n, k) int32; -1 where a row has fewer neighbours. Rows that are not finite, or zero, have
            none and are nobody's.
        distances: (n, k) float32, inf where there is no neighbour: 1 - cosine, the Euclidean distance, or
            minus the inner product.
        exact: whether all pairs were compared.
        recall: measured share of the true neighbours; 1 where exact.
    """

    rows: npt.NDArray[np.int32]
    distances: FloatArray
    metric: Metric
    exact: bool
    recall: float

    def first(self, k: int) -> Graph:
        """The nearest k of them."""
        return Graph(self.rows[:, :k], self.distances[:, :k], self.metric, self.exact, self.recall)


def neighbour_graph(
    vectors: VectorSet, k: int, metric: Metric = "cosine", *, exact: bool | None = None, seed: int = 0
) -> Graph:
    """The k nearest others of each row.

    Args:
        exact: compare all pairs; None: up to 200,000 rows.
        seed: of the sampling, where not exact.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    usable = vectors.usable()
    scored = prepare(vectors, usable, metric)
    near, away = exact_neighbours(scored, k)
    return _spread(near, away, usable, metric, exact=True, recall=1.0)


def _spread(
    near: npt.NDArray[np.int32],
    away: FloatArray,
    usable: npt.NDArray[np.bool_],
    metric: Metric,
    *,
    exact: bool,
    recall: float,
) -> Graph:
    """From the usable rows' numbers to those of all rows."""
    if usable.all():
        return Graph(near, away, metric, exact, recall)
    kept = np.flatnonzero(usable).astype(np.int32)
    rows = np.full((len(usable), near.shape[1]), -1, dtype=np.int32)
    distances = np.full(rows.shape, np.inf, dtype=np.float32)
    rows[kept] = np.where(near >= 0, kept[np.maximum(near, 0)], -1) if len(kept) else near
    distances[kept] = away
    return Graph(rows, distances, metric, exact, recall)
