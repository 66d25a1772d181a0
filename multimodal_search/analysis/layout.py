"""Vectors laid out in the plane (or in few dimensions) by UMAP; near means alike."""

from __future__ import annotations

import logging
import warnings

import numpy as np

from multimodal_search.analysis.graph import Graph, neighbour_graph
from multimodal_search.analysis.pca import principal_components
from multimodal_search.settings.search import Metric
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray

_LOG = logging.getLogger(__name__)
FEWEST_FOR_UMAP = 5
# From here on all pairs take longer than the layout itself, and the approximate graph draws the same map
_EXACT_UP_TO = 20_000
# The eigenvectors of a larger graph take as long as the layout; principal components start it as well
_SPECTRAL_FROM, _SPECTRAL_UP_TO = 31, 4096


def lay_out(
    vectors: FloatArray,
    seed: int,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    metric: Metric = "cosine",
    n_components: int = 2,
    graph: Graph | None = None,
) -> FloatArray:
    """(n, dim) finite vectors -> (n, n_components) float64 coordinates; the same for the same seed.

    UMAP (McInnes, Healy and Melville, 2018). Under five rows, or five distinct ones, the first principal
    components: UMAP has no neighbourhood to show there.

    Args:
        n_neighbors: how many rows a neighbourhood has, the row itself among them.
        graph: each row's ``n_neighbors - 1`` nearest others, or more; made here if absent.
    """
    n = len(vectors)
    if few_distinct(vectors):
        return _principal(vectors, n_components)
    k = min(n_neighbors, n)
    if graph is None:
        graph = near_graph(vectors, k - 1, metric, seed)
    spectral = _SPECTRAL_FROM <= n <= _SPECTRAL_UP_TO and n_components < n - 1
    start = "spectral" if spectral else _start(vectors, metric, n_components, seed)
    from umap import UMAP  # numba takes seconds to import: only here, where a map is drawn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reducer = UMAP(
            n_neighbors=k,
            n_components=n_components,
            precomputed_knn=_with_self(graph.first(k - 1)),
            min_dist=min_dist,
            metric="cosine" if metric == "cosine" else "euclidean",
            init=start,
            random_state=seed,
            n_jobs=1,
        )
        coordinates = np.asarray(reducer.fit_transform(vectors.astype(np.float32, copy=False)), np.float64)
    return coordinates if np.isfinite(coordinates).all() else _principal(vectors, n_components)


def near_graph(vectors: FloatArray, k: int, metric: Metric, seed: int = 0) -> Graph:
    """The k nearest others of each row; approximate from 20,000 rows on, where maps do not show it."""
    if metric == "l2" and not vectors.any(axis=1).all():
        # a graph leaves zero rows out; here they are points as others are: a dimension more moves them all
        vectors = np.hstack([vectors, np.ones((len(vectors), 1), dtype=vectors.dtype)])
    names = list(map(str, range(len(vectors))))
    rows = VectorSet("", names, vectors.shape[1], lambda some: vectors[some])
    return neighbour_graph(rows, k, metric, exact=compares_all(len(vectors)), seed=seed)


def compares_all(n: int) -> bool:
    """Whether the graph of so many rows is made from all pairs."""
    return n <= _EXACT_UP_TO


def few_distinct(vectors: FloatArray) -> bool:
    """Whether there are fewer than five distinct rows."""
    seen: set[bytes] = set()
    for start in range(0, len(vectors), 1024):  # most sets are told by their first rows
        block = np.round(vectors[start : start + 1024], 6) + 0.0  # no minus zero
        seen.update(row.tobytes() for row in block)
        if len(seen) >= FEWEST_FOR_UMAP:
            return False
    return True


def _principal(vectors: FloatArray, count: int) -> FloatArray:
    return principal_components(vectors).apply(vectors, count).astype(np.float64)


def _with_self(graph: Graph) -> tuple[FloatArray, FloatArray]:
    """UMAP's form: each row itself first, at distance 0."""
    own = np.arange(len(graph.rows), dtype=graph.rows.dtype)[:, None]
    distances = graph.distances
    if graph.metric == "ip":  # minus the product: only differences matter, and UMAP wants them positive
        distances = distances - distances[graph.rows >= 0].min() + np.finfo(np.float32).eps
    if (graph.rows < 0).any():  # UMAP passes over neighbours -1, but takes the mean of all distances
        farthest = np.where(graph.rows < 0, 0.0, distances).max(axis=1, keepdims=True)
        distances = np.where(graph.rows < 0, farthest, distances)
    zero = np.zeros((len(own), 1), dtype=np.float32)
    return np.hstack([own, graph.rows]), np.hstack([zero, distances.astype(np.float32, copy=False)])


def _start(vectors: FloatArray, metric: Metric, n_components: int, seed: int) -> FloatArray:
    """Principal components, ten wide, with a little noise that parts equal rows.

    As good a start as the spectral one (Kobak and Linderman, 2021), without its time on large graphs.
    """
    if metric == "cosine":
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    found = _principal(vectors, n_components)
    found *= 10.0 / max(float(np.abs(found).max()), 1e-12)
    noise = np.random.default_rng(seed).normal(scale=1e-4, size=found.shape)
    return (found + noise).astype(np.float32)
