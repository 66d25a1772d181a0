"""What near means, as scores that a matrix product gives: the larger, the nearer; symmetric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multimodal_search.settings.search import Metric
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray, IntArray

_DIFFERENCE_FLOATS = 1 << 22
_ULPS = 16  # of float32: products of equal vectors differ by a few, by where in a block they stand


@dataclass(frozen=True, slots=True)
class Scored:
    """Vectors brought into the form whose products rank neighbours.

    Attributes:
        points: (n, dim) float32: unit length for ``cosine``, centred for ``l2``, as they are for ``ip``.
        halves: (n,) half of each squared length for ``l2`` (score = x.y - |x|^2/2 - |y|^2/2 = -d^2/2).
        slack: (n,) how far scores of a row may lie apart and still be the same.
    """

    points: FloatArray
    halves: FloatArray | None
    slack: FloatArray
    metric: Metric

    def __len__(self) -> int:
        return len(self.points)

    def between(self, first: slice, second: slice, out: FloatArray | None = None) -> FloatArray:
        """(a, b) scores of two runs of rows."""
        scores = np.matmul(self.points[first], self.points[second].T, out=out)
        if self.halves is not None:
            scores -= self.halves[first, None]
            scores -= self.halves[None, second]
        return scores

    def reordered(self, order: IntArray) -> Scored:
        """The same rows in another order."""
        halves = None if self.halves is None else self.halves[order]
        return Scored(self.points[order], halves, self.slack[order], self.metric)

    def distances(self, rows: IntArray, near: npt.NDArray[np.int32]) -> FloatArray:
        """(m, k) float32 distances of rows to their neighbours; inf where ``near`` is -1.

        From differences, not from products: near-duplicates keep their digits, equal vectors get 0.
        ``cosine``: 1 - cosine; ``l2``: length of the difference; ``ip``: minus the product.
        """
        found = np.empty(near.shape, dtype=np.float32)
        step = max(1, _DIFFERENCE_FLOATS // max(1, near.shape[1] * self.points.shape[1]))
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            own, others = self.points[rows[some], None, :], self.points[np.maximum(near[some], 0)]
            if self.metric == "ip":
                found[some] = -np.einsum("nkd,nd->nk", others, own[:, 0])
                continue
            others -= own
            squared = np.einsum("nkd,nkd->nk", others, others)
            found[some] = squared / 2 if self.metric == "cosine" else np.sqrt(squared)
        found[near < 0] = np.inf
        return found


def prepare(vectors: VectorSet, usable: npt.NDArray[np.bool_], metric: Metric) -> Scored:
    """The usable rows, in their order, ready to be compared; one copy in memory."""
    points = np.empty((int(usable.sum()), vectors.dim), dtype=np.float32)
    at = 0
    for start, block in vectors.blocks():
        kept = block[usable[start : start + len(block)]]
        points[at : at + len(kept)] = kept
        at += len(kept)
    if metric == "cosine":
        for start in range(0, len(points), 8192):
            some = points[start : start + 8192]
            some /= np.abs(some).max(axis=1, keepdims=True)  # squares of tiny or huge values leave float32
            some /= np.linalg.norm(some, axis=1, keepdims=True)
    elif metric == "l2" and len(points):
        points -= points.mean(axis=0, dtype=np.float64).astype(np.float32)
    squares = np.einsum("nd,nd->n", points, points)
    slack = squares * np.float32(_ULPS * np.finfo(np.float32).eps)
    return Scored(points, squares / 2 if metric == "l2" else None, slack, metric)
