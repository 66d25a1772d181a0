"""The minimum spanning tree that HDBSCAN cuts, from the graph of nearest neighbours.

HDBSCAN (Campello, Moulavi and Sander, 2013) links rows by their mutual reachability distance: the largest of
their distance and of both rows' core distances. The tree's short edges join near neighbours, so the graph has
them; what the graph leaves apart is joined by the nearest pairs between its parts. scikit-learn's own search
compares all pairs one at a time, and the ``hdbscan`` package's trees do so too beyond some twenty dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from multimodal_search.analysis.graph import Graph
from multimodal_search.types import FloatArray, IntArray

# Of more rows the parts are joined by samples: only the order in which parts merge depends on it
_MOST_JOINED = 40_000
_BLOCK_FLOATS = 1 << 24
_LEAST = 1e-7  # sparse matrices take an edge of length 0 for none: repeated rows are this far apart


@dataclass(frozen=True, slots=True)
class Tree:
    """A minimum spanning tree.

    Attributes:
        first, second: (n - 1,) the rows that each edge joins.
        lengths: (n - 1,) float64 mutual reachability, over 0.
        n: how many rows.
    """

    first: IntArray
    second: IntArray
    lengths: FloatArray
    n: int

    def matrix(self) -> csr_array:
        """(n, n) symmetric; the diagonal has the least length, so that each row has a core distance."""
        own = np.arange(self.n)
        rows = np.concatenate([self.first, self.second, own])
        columns = np.concatenate([self.second, self.first, own])
        least = np.full(self.n, _LEAST)
        values = np.concatenate([self.lengths, self.lengths, least])
        return csr_array(coo_array((values, (rows, columns)), shape=(self.n, self.n)))


def spanning_tree(vectors: FloatArray, graph: Graph, min_samples: int) -> Tree:
    """Of (n, dim) rows and their graph (``l2`` or ``cosine``), which has ``min_samples - 1`` others or more.

    Args:
        min_samples: a row's core distance is to its ``min_samples``-th nearest, itself counted, as in
            scikit-learn.
    """
    n = len(vectors)
    core = _core(graph, min_samples)
    own = np.repeat(np.arange(n), graph.rows.shape[1])
    other = graph.rows.ravel().astype(np.int64)
    there = other >= 0
    own, other = own[there], other[there]
    lengths = np.maximum(graph.distances.ravel()[there], np.maximum(core[own], core[other]))
    # both directions of a pair are one edge: sums of duplicates would be wrong lengths
    low, high = np.minimum(own, other), np.maximum(own, other)
    _, once = np.unique(low * n + high, return_index=True)
    edges = csr_array((lengths[once], (low[once], high[once])), shape=(n, n))
    forest = minimum_spanning_tree(edges).tocoo()
    first, second, lengths = forest.row.astype(np.int64), forest.col.astype(np.int64), forest.data
    count, part = connected_components(forest, directed=False)
    if count > 1:
        joins = _joined(_prepared(vectors, graph.metric), core, part, count, graph.metric)
        first, second, lengths = (
            np.concatenate(pair) for pair in zip((first, second, lengths), joins, strict=True)
        )
    return Tree(first, second, lengths, n)


def _core(graph: Graph, min_samples: int) -> FloatArray:
    """(n,) float64 distance to the ``min_samples``-th nearest, itself counted.

    An approximate graph may know fewer neighbours of a row: then to the farthest that it knows.
    """
    near = graph.distances[:, : min_samples - 1].astype(np.float64)
    known = np.where(np.isfinite(near), near, 0.0)
    return np.asarray(np.maximum(known.max(axis=1, initial=0.0), _LEAST), dtype=np.float64)


def _joined(
    vectors: FloatArray, core: FloatArray, part: IntArray, count: int, metric: str
) -> tuple[IntArray, IntArray, FloatArray]:
    """The shortest edges that join the parts: the nearest pairs of all parts, then their tree."""
    rows = _sampled(part, count)
    rows = rows[np.argsort(part[rows], kind="stable")]
    points, reach, owner = vectors[rows], core[rows], part[rows]
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    nearest = np.full((count, count), np.inf)
    step = max(1, _BLOCK_FLOATS // len(rows))
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        lengths = _lengths(points[some], points, reach[some], reach, metric)
        best = np.minimum.reduceat(lengths, starts, axis=1)
        np.minimum.at(nearest, owner[some], best)
    np.fill_diagonal(nearest, np.inf)
    nearest = np.minimum(nearest, nearest.T)
    joins = minimum_spanning_tree(csr_array(np.where(np.isfinite(nearest), nearest, 0.0))).tocoo()
    bounds = np.r_[starts, len(rows)]
    ends = []
    for one, other in zip(joins.row.tolist(), joins.col.tolist(), strict=True):
        left, right = slice(bounds[one], bounds[one + 1]), slice(bounds[other], bounds[other + 1])
        lengths = _lengths(points[left], points[right], reach[left], reach[right], metric)
        at = np.unravel_index(int(lengths.argmin()), lengths.shape)
        ends.append((rows[bounds[one] + at[0]], rows[bounds[other] + at[1]]))
    found = np.asarray(ends, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1], np.asarray(joins.data, dtype=np.float64)


def _sampled(part: IntArray, count: int) -> IntArray:
    """All rows, or of each part an even share of those that can be compared."""
    if len(part) <= _MOST_JOINED:
        return np.arange(len(part), dtype=np.int64)
    order = np.argsort(part, kind="stable")
    sizes = np.bincount(part, minlength=count)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    share = max(1, _MOST_JOINED // count)
    kept = [
        start + np.unique(np.linspace(0, size - 1, min(size, share)).astype(np.int64))
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]
    return np.asarray(order[np.concatenate(kept)], dtype=np.int64)


def _prepared(vectors: FloatArray, metric: str) -> FloatArray:
    if metric != "cosine":
        return np.asarray(vectors - vectors.mean(axis=0), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _lengths(
    some: FloatArray, others: FloatArray, reach: FloatArray, others_reach: FloatArray, metric: str
) -> FloatArray:
    """(a, b) mutual reachability between two sets of rows."""
    products = some @ others.T
    if metric == "cosine":
        found = 1.0 - products
    else:
        found = (
            np.einsum("nd,nd->n", some, some)[:, None] + np.einsum("nd,nd->n", others, others) - 2 * products
        )
        np.sqrt(np.maximum(found, 0, out=found), out=found)
    np.maximum(found, reach[:, None].astype(np.float32), out=found)
    return np.maximum(found, others_reach[None].astype(np.float32), out=found)
