"""One graph of nearest neighbours, which maps, duplicates and ``search-all`` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from multimodal_search.analysis.neighbors_cache import GraphCache, content_digest
from multimodal_search.analysis.neighbors_cells import approximate_neighbours
from multimodal_search.analysis.neighbors_checkpoint import Checkpoint
from multimodal_search.analysis.neighbors_exact import exact_neighbours
from multimodal_search.analysis.neighbors_scores import prepare
from multimodal_search.settings.search import Metric
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray

EXACT_UP_TO_ROWS = 200_000
_FORMAT = 1  # of checkpoints
_SHARED_K = 16  # a graph is made with at least so many, so that commands that ask for fewer share it


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
    vectors: VectorSet,
    k: int,
    metric: Metric = "cosine",
    *,
    exact: bool | None = None,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
) -> Graph:
    """The k nearest others of each row; one copy of the vectors as float32 is held in memory.

    Args:
        exact: compare all pairs; None: up to 200,000 rows.
        seed: of the sampling, where not exact.
        checkpoint: of the same vectors and settings: where a search that was cut short goes on.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    checkpoint = checkpoint or Checkpoint()
    usable = vectors.usable()
    scored = prepare(vectors, usable, metric)
    if _compares_all(len(vectors), exact):
        near, away = exact_neighbours(scored, k, checkpoint)
        return _spread(near, away, usable, metric, exact=True, recall=1.0)
    near, away, recall = approximate_neighbours(scored, k, seed, checkpoint)
    return _spread(near, away, usable, metric, exact=False, recall=recall)


def shared_graph(
    vectors: VectorSet,
    k: int,
    metric: Metric = "cosine",
    *,
    beside: Path,
    exact: bool | None = None,
    seed: int = 0,
    content: str | None = None,
) -> Graph:
    """As ``neighbour_graph``; read from ``.neighbours`` beside an output where another command left it.

    Args:
        beside: the output's folder or file; graphs are in its parent's ``.neighbours``, the newest eight.
        content: ``content_digest(vectors)``, where it is known.
    """
    whole = _compares_all(len(vectors), exact)
    way = "exact" if whole else f"cells{seed}"
    cache = GraphCache(beside, f"{content or content_digest(vectors)}-{metric}-{way}")
    if (held := cache.read(k)) is not None:
        rows, distances, recall = held
        return Graph(rows, distances, metric, whole, recall)
    k_made = max(k, _SHARED_K)
    checkpoint = Checkpoint(cache.checkpoint, f"{_FORMAT} {k_made}")
    graph = neighbour_graph(vectors, k_made, metric, exact=whole, seed=seed, checkpoint=checkpoint)
    cache.write(graph.rows, graph.distances, graph.recall)
    checkpoint.remove()
    return graph.first(k)


def _compares_all(n: int, exact: bool | None) -> bool:
    return n <= EXACT_UP_TO_ROWS if exact is None else exact


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
