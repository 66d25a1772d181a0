"""Rows in the order of their likeness to a query: scanned exactly, or through an index."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from multimodal_search.index.metric import Metric, likeness_matrix, prepared
from multimodal_search.types import FloatArray, IntArray

_BLOCK_ROWS = 65_536
_EXACT_ROWS = 4096
_KEPT_BYTES = 256 << 20
_UNIT_ERROR = 1e-6  # of a squared length in float32
_ASKED_ROWS = 4096  # an index is made for a few; a scan orders any number


class Ranking(Protocol):
    """The rows that a query may find, nearest first."""

    def top(self, count: int) -> tuple[IntArray, FloatArray]:
        """(n,) rows and (n,) likenesses, higher is nearer; n < count only where there are no more rows."""


class Scanner:
    """Exact search over all rows.

    Args:
        gather: rows -> (n, dim) vectors.
        rows: how many there are.
        dim: length of a vector.
    """

    def __init__(self, gather: Callable[[IntArray], FloatArray], rows: int, dim: int) -> None:
        self._gather = gather
        self._rows = rows
        self._dim = dim
        self._kept: dict[Metric, FloatArray] = {}

    def rank(self, query: FloatArray, metric: Metric, rows: IntArray | None = None) -> ExactRanking:
        """Compare a query with these rows, or with all.

        Args:
            query: (dim,), of length one for the cosine.
            rows: ascending.
        """
        ready = query.astype(np.float32)
        exact = partial(self._exactly, ready, metric)
        if rows is None or 2 * len(rows) > self._rows:  # quicker than gathering most of the rows
            found = self._compared(np.arange(self._rows, dtype=np.int64), ready, metric)
            chosen = np.flatnonzero(found > -np.inf)
            if rows is not None:
                chosen = rows[found[rows] > -np.inf]
            return ExactRanking(chosen, found[chosen], exact)
        found = self._compared(rows, ready, metric)
        usable = found > -np.inf
        return ExactRanking(rows[usable], found[usable], exact)

    def measure(self, query: FloatArray, metric: Metric, rows: IntArray) -> FloatArray:
        """(n,) likenesses of these rows, in any order; -inf for rows that cannot be compared."""
        block = self._block(rows, metric)
        values = likeness(block, query.astype(np.float32), metric)
        return np.where(np.isfinite(values) & (block.any(axis=1) | (metric != "cosine")), values, -np.inf)

    def _compared(self, rows: IntArray, query: FloatArray, metric: Metric) -> FloatArray:
        """(n,) likenesses; -inf for rows that cannot be compared."""
        found = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = self._block(rows[start : start + _BLOCK_ROWS], metric)
            values = likeness_matrix(block, query[None], metric)[0]
            usable = np.isfinite(values)
            if metric == "cosine":  # a zero vector has no direction, and is never near
                zero = np.flatnonzero(values == 0)
                usable[zero] = block[zero].any(axis=1)
            found[start : start + len(block)] = np.where(usable, values, -np.inf)
        return found

    def _exactly(self, query: FloatArray, metric: Metric, rows: IntArray) -> FloatArray:
        return likeness(self._block(rows, metric), query, metric)

    def _block(self, rows: IntArray, metric: Metric) -> FloatArray:
        """(n, dim) float32, ready to be compared; kept in memory where all of it is small."""
        if self._rows * self._dim * 4 > _KEPT_BYTES:
            return prepared(self._gather(rows), metric)
        if metric not in self._kept:
            whole = self._gather(np.arange(self._rows, dtype=np.int64))
            # mapped from a file that all processes share, if it holds what is needed
            self._kept[metric] = whole if _is_prepared(whole, metric) else prepared(whole, metric)
        kept = self._kept[metric]
        if len(rows) and len(rows) == rows[-1] - rows[0] + 1:
            return kept[rows[0] : rows[-1] + 1]
        return kept[rows]


def _is_prepared(block: FloatArray, metric: Metric) -> bool:
    if block.dtype != np.float32:
        return False
    return metric != "cosine" or bool(
        np.abs(np.einsum("ij,ij->i", block, block) - 1).max(initial=0.0) < _UNIT_ERROR
    )


def likeness(rows: FloatArray, query: FloatArray, metric: Metric) -> FloatArray:
    """(n,) float64, the same number for the same row wherever it stands: BLAS sums by a row's place."""
    found = np.empty(len(rows), dtype=np.float64)
    wide = query.astype(np.float64)
    for start in range(0, len(rows), _EXACT_ROWS):
        block = rows[start : start + _EXACT_ROWS].astype(np.float64)
        if metric == "l2":
            block -= wide
            found[start : start + len(block)] = -np.einsum("ij,ij->i", block, block)
        else:
            found[start : start + len(block)] = np.einsum("ij,j->i", block, wide)
    return found


class ExactRanking:
    """All likenesses are known; the best are computed again one by one, so that equal rows score the same.

    Args:
        rows: (n,) ascending.
        values: (n,) likenesses through BLAS, right to rounding.
        exact: rows -> likenesses that do not depend on a row's place.
    """

    def __init__(self, rows: IntArray, values: FloatArray, exact: Callable[[IntArray], FloatArray]) -> None:
        self._rows = rows
        self._values = values
        self._exact = exact

    def top(self, count: int) -> tuple[IntArray, FloatArray]:
        """Equal likenesses in the order of the rows."""
        count = min(count, len(self._rows))
        if not count:
            return self._rows[:0], self._values[:0]
        last = np.partition(self._values, len(self._values) - count)[len(self._values) - count]
        # whoever is within rounding of the last one may be better than it
        near = np.flatnonzero(self._values >= last - 1e-5 * max(1.0, float(abs(last))))
        rows = self._rows[near]
        values = np.concatenate(
            [self._exact(rows[start : start + _BLOCK_ROWS]) for start in range(0, len(rows), _BLOCK_ROWS)]
        )
        order = np.argsort(-values, kind="stable")[:count]
        return rows[order], values[order]


class IndexRanking:
    """Through an index; the scan answers where the index finds too few, or is asked for very many.

    Args:
        ask: count -> (rows, likenesses), best first.
        scan: makes the exact ranking of the same rows.
        there: how many rows there are to find.
    """

    def __init__(
        self,
        ask: Callable[[int], tuple[IntArray, FloatArray]],
        scan: Callable[[], ExactRanking],
        there: int,
    ) -> None:
        self._ask = ask
        self._scan = scan
        self._there = there
        self._scanned: ExactRanking | None = None

    def top(self, count: int) -> tuple[IntArray, FloatArray]:
        """As the index says."""
        if self._scanned is None and count <= _ASKED_ROWS:
            rows, likenesses = self._ask(count)
            if len(rows) >= min(count, self._there):
                return rows, likenesses
        self._scanned = self._scanned or self._scan()
        return self._scanned.top(count)
