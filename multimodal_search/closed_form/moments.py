"""Second moments of pairs of rows, in one pass and in fixed memory; and folds that keep groups whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_search.types import FloatArray, IntArray

_CHUNK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over n pairs (x, y), each taken after a fixed shift that keeps large offsets from cancelling.

    Attributes:
        n: number of pairs.
        sum_x, sum_y: (dx,), (dy,).
        xx, xy, yy: (dx, dx), (dx, dy), (dy, dy) sums of outer products.
        shift_x, shift_y: what was subtracted from every row.
        scale_x, scale_y: (dx,), (dy,) the largest sums of squares that xx and yy came from: their rounding
            errors are of that size times the machine's precision, however little is left after a difference.
    """

    n: int
    sum_x: FloatArray
    sum_y: FloatArray
    xx: FloatArray
    xy: FloatArray
    yy: FloatArray
    shift_x: FloatArray
    shift_y: FloatArray
    scale_x: FloatArray
    scale_y: FloatArray

    def __add__(self, other: Moments) -> Moments:
        return self._with(other, 1)

    def __sub__(self, other: Moments) -> Moments:
        return self._with(other, -1)

    def _with(self, other: Moments, sign: int) -> Moments:
        return Moments(
            self.n + sign * other.n,
            self.sum_x + sign * other.sum_x,
            self.sum_y + sign * other.sum_y,
            self.xx + sign * other.xx,
            self.xy + sign * other.xy,
            self.yy + sign * other.yy,
            self.shift_x,
            self.shift_y,
            np.maximum(self.scale_x, other.scale_x),
            np.maximum(self.scale_y, other.scale_y),
        )

    def means(self) -> tuple[FloatArray, FloatArray]:
        """(dx,), (dy,)."""
        return self.shift_x + self.sum_x / self.n, self.shift_y + self.sum_y / self.n

    def covariances(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Cxx (dx, dx), Cxy (dx, dy), Cyy (dy, dy) about the means.

        A column whose variance is no more than rounding is constant, and its row and column are zeros:
        standardised, noise would be a matrix that is not positive definite.
        """
        mx, my = self.sum_x / self.n, self.sum_y / self.n
        cxx = self.xx / self.n - np.outer(mx, mx)
        cxy = self.xy / self.n - np.outer(mx, my)
        cyy = self.yy / self.n - np.outer(my, my)
        still_x = np.diag(cxx) <= self._noise(self.scale_x, self.shift_x)
        still_y = np.diag(cyy) <= self._noise(self.scale_y, self.shift_y)
        cxx[still_x], cxx[:, still_x], cxy[still_x] = 0.0, 0.0, 0.0
        cyy[still_y], cyy[:, still_y], cxy[:, still_y] = 0.0, 0.0, 0.0
        return cxx, cxy, cyy

    def _noise(self, scale: FloatArray, shift: FloatArray) -> FloatArray:
        """The variance that rounding alone may leave: of the sums, and of the shifted rows."""
        epsilon = np.finfo(np.float64).eps
        noise: FloatArray = 1e3 * epsilon * scale / self.n + (8 * epsilon * shift) ** 2
        return noise


def moments(
    x: FloatArray,
    y: FloatArray,
    x_rows: IntArray,
    y_rows: IntArray,
    shift: tuple[FloatArray, FloatArray] | None = None,
) -> Moments:
    """Second moments of the pairs ``(x[x_rows[i]], y[y_rows[i]])``, read in chunks."""
    dx, dy = x.shape[1], y.shape[1]
    if shift is None:
        shift = _shift(x, x_rows), _shift(y, y_rows)
    sum_x, sum_y = np.zeros(dx), np.zeros(dy)
    xx, xy, yy = np.zeros((dx, dx)), np.zeros((dx, dy)), np.zeros((dy, dy))
    for start in range(0, len(x_rows), _CHUNK_ROWS):
        stop = start + _CHUNK_ROWS
        one = np.asarray(x[x_rows[start:stop]], dtype=np.float64) - shift[0]
        two = np.asarray(y[y_rows[start:stop]], dtype=np.float64) - shift[1]
        sum_x += one.sum(axis=0)
        sum_y += two.sum(axis=0)
        xx += one.T @ one
        xy += one.T @ two
        yy += two.T @ two
    return Moments(len(x_rows), sum_x, sum_y, xx, xy, yy, *shift, np.diag(xx).copy(), np.diag(yy).copy())


def _shift(values: FloatArray, rows: IntArray) -> FloatArray:
    shift: FloatArray = np.asarray(values[rows[:_CHUNK_ROWS]], dtype=np.float64).mean(axis=0)
    return shift


def fold_moments(
    x: FloatArray,
    y: FloatArray,
    groups: Sequence[object] | None,
    x_rows: IntArray | None,
    y_rows: IntArray | None,
    folds: int,
    seed: int,
) -> list[Moments]:
    x_rows = np.arange(len(x)) if x_rows is None else np.asarray(x_rows, dtype=np.int64)
    y_rows = np.arange(len(y)) if y_rows is None else np.asarray(y_rows, dtype=np.int64)
    if len(x_rows) != len(y_rows) or not len(x_rows):
        raise ValueError(f"the pairs must match and be at least one, got {len(x_rows)} and {len(y_rows)}")
    if groups is None:
        groups = np.arange(len(x_rows)).tolist()
    if len(groups) != len(x_rows):
        raise ValueError(f"one group a pair, got {len(groups)} for {len(x_rows)} pairs")
    fold = grouped_folds(groups, folds, seed)
    shift = _shift(x, x_rows), _shift(y, y_rows)
    return [moments(x, y, x_rows[fold == k], y_rows[fold == k], shift) for k in range(int(fold.max()) + 1)]


def grouped_folds(groups: Sequence[object], folds: int, seed: int = 0) -> IntArray:
    """(n,) the fold of each row: whole groups, dealt by a hash so that the order of rows does not matter.

    There are never more folds than groups; each group goes to the fold that is smallest so far.
    """
    names, sizes = np.unique(np.asarray([str(group) for group in groups]), return_counts=True)
    folds = max(1, min(folds, len(names)))
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(f"{seed}:{names[i]}".encode()).hexdigest())
    filled = np.zeros(folds)
    fold_of: dict[str, int] = {}
    for i in sorted(order, key=lambda i: -sizes[i]):
        fold_of[str(names[i])] = int(np.argmin(filled))
        filled[fold_of[str(names[i])]] += sizes[i]
    return np.array([fold_of[str(group)] for group in groups], dtype=np.int64)


def deviations(covariance: FloatArray) -> FloatArray:
    """Standard deviations; 1 for a constant column, whose weight is then zero by its zero covariance."""
    variance = np.diag(covariance)
    floor = 1e-12 * max(float(variance.max(initial=0.0)), 1e-300)
    return np.where(variance > floor, np.sqrt(np.maximum(variance, floor)), 1.0)
