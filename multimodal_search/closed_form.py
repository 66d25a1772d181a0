"""Linear maps with a closed form: ridge regression and regularised CCA, from second moments only.

Both are warm starts of the heads and baselines of the report. Everything is computed from sums of outer
products, so a pass reads the rows once, in chunks, and memory stays at a few (dim, dim) matrices whatever the
number of rows; a fold of the cross-validation is the total minus the fold's own sums.

Sources: ridge, Hoerl and Kennard 1970; CCA, Hotelling 1936, with the ridge of Vinod 1976; weighting the
canonical directions by their correlation for retrieval, Gong, Ke, Isard and Lazebnik 2014 (arXiv 1212.4522).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular, svd

from multimodal_search.types import FloatArray, IntArray

PENALTIES = (1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
"""Relative to the mean variance of the inputs (which is 1 once they are standardised)."""

_CHUNK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over n pairs (x, y), each taken after a fixed shift that keeps large offsets from cancelling.

    Attributes:
        n: number of pairs.
        sum_x, sum_y: (dx,), (dy,).
        xx, xy, yy: (dx, dx), (dx, dy), (dy, dy) sums of outer products.
        shift_x, shift_y: what was subtracted from every row.
    """

    n: int
    sum_x: FloatArray
    sum_y: FloatArray
    xx: FloatArray
    xy: FloatArray
    yy: FloatArray
    shift_x: FloatArray
    shift_y: FloatArray

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
        )

    def means(self) -> tuple[FloatArray, FloatArray]:
        """(dx,), (dy,)."""
        return self.shift_x + self.sum_x / self.n, self.shift_y + self.sum_y / self.n

    def covariances(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Cxx (dx, dx), Cxy (dx, dy), Cyy (dy, dy) about the means."""
        mx, my = self.sum_x / self.n, self.sum_y / self.n
        cxx = self.xx / self.n - np.outer(mx, mx)
        cxy = self.xy / self.n - np.outer(mx, my)
        return cxx, cxy, self.yy / self.n - np.outer(my, my)


def fit_ridge(
    x: FloatArray,
    y: FloatArray,
    groups: Sequence[object] | None = None,
    *,
    x_rows: IntArray | None = None,
    y_rows: IntArray | None = None,
    penalties: Sequence[float] = PENALTIES,
    folds: int = 5,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Multi-output ridge regression of y on the standardised x; predict with ``x @ W + b``.

    Args:
        x: (rows, dx), any float type, may be a memory map.
        y: (rows, dy).
        groups: (n,) what cross-validation keeps together (logs, scenes); None: each row by itself.
        x_rows, y_rows: (n,) row numbers of the pairs; None: row i with row i.
        penalties: the grid; a single one is used as it is.
        folds: how many folds choose the penalty.

    Returns:
        W (dx, dy) and b (dy,), float64.

    Raises:
        ValueError: no pair at all, or pairs that do not match.
    """
    parts = _parts(x, y, groups, x_rows, y_rows, folds if len(penalties) > 1 else 1, seed)
    total = reduce(Moments.__add__, parts)
    penalty = penalties[0] if len(penalties) == 1 else _best(parts, total, penalties, _ridge_score)
    return _ridge(total, penalty)


def fit_cca(
    x: FloatArray,
    y: FloatArray,
    dim: int,
    reg: float | Sequence[float] = PENALTIES,
    *,
    groups: Sequence[object] | None = None,
    x_rows: IntArray | None = None,
    y_rows: IntArray | None = None,
    folds: int = 5,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Regularised CCA; project with ``(x - mx) @ A`` and ``(y - my) @ B`` and compare by cosine.

    The columns carry the square root of their canonical correlation, so that the inner product of two
    projections weighs each direction by how much the two sides agree on it.

    Args:
        dim: columns wanted; fewer come back where the rank is lower.
        reg: added to the standardised covariances' diagonals, in units of their mean; of several, grouped
            cross-validation takes the best.

    Returns:
        A (dx, k), mx (dx,), B (dy, k), my (dy,), float64, k = min(dim, rank).

    Raises:
        ValueError: no pair at all, or pairs that do not match.
    """
    penalties = (reg,) if isinstance(reg, int | float) else tuple(reg)
    parts = _parts(x, y, groups, x_rows, y_rows, folds if len(penalties) > 1 else 1, seed)
    total = reduce(Moments.__add__, parts)
    penalty = penalties[0] if len(penalties) == 1 else _best(parts, total, penalties, _cca_score)
    mx, my = total.means()
    a, b = _cca(total, dim, penalty)
    return a, mx, b, my


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
    return Moments(len(x_rows), sum_x, sum_y, xx, xy, yy, *shift)


def _shift(values: FloatArray, rows: IntArray) -> FloatArray:
    shift: FloatArray = np.asarray(values[rows[:_CHUNK_ROWS]], dtype=np.float64).mean(axis=0)
    return shift


def _parts(
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


def _best(
    parts: list[Moments],
    total: Moments,
    penalties: Sequence[float],
    score: Callable[[Moments, Moments, float], float],
) -> float:
    """The penalty of the best mean held-out score; the middle one where nothing can be held out."""
    if len(parts) < 2:
        return penalties[len(penalties) // 2]
    means = [float(np.mean([score(total - part, part, one) for part in parts])) for one in penalties]
    # of equal scores the larger penalty, the simpler map
    return penalties[max(range(len(penalties)), key=lambda i: (means[i], i))]


def _deviations(covariance: FloatArray) -> FloatArray:
    """Standard deviations; 1 for a constant column, whose weight is then zero by its zero covariance."""
    variance = np.diag(covariance)
    floor = 1e-12 * max(float(variance.max(initial=0.0)), 1e-300)
    return np.where(variance > floor, np.sqrt(np.maximum(variance, floor)), 1.0)


def _ridge(of: Moments, penalty: float) -> tuple[FloatArray, FloatArray]:
    cxx, cxy, _ = of.covariances()
    scale = _deviations(cxx)
    standardised = cxx / np.outer(scale, scale)
    standardised[np.diag_indices_from(standardised)] += penalty
    w = cho_solve(cho_factor(standardised, lower=True), cxy / scale[:, None]) / scale[:, None]
    mx, my = of.means()
    return w, my - mx @ w


def _ridge_score(train: Moments, held: Moments, penalty: float) -> float:
    """Minus the held-out mean squared error, from the held-out moments alone."""
    w, b = _ridge(train, penalty)
    # in the shifted coordinates of the moments: prediction = x' w + c
    c = b + train.shift_x @ w - train.shift_y
    error = np.trace(held.yy) - 2 * np.sum(w * held.xy) + np.sum(w * (held.xx @ w))
    error += held.n * c @ c + 2 * held.sum_x @ w @ c - 2 * held.sum_y @ c
    return -float(error) / held.n


def _cca(of: Moments, dim: int, penalty: float) -> tuple[FloatArray, FloatArray]:
    cxx, cxy, cyy = of.covariances()
    sx, sy = _deviations(cxx), _deviations(cyy)
    lx, ly = _cholesky(cxx / np.outer(sx, sx), penalty), _cholesky(cyy / np.outer(sy, sy), penalty)
    inner = solve_triangular(lx, cxy / np.outer(sx, sy), lower=True)
    inner = solve_triangular(ly, inner.T, lower=True).T
    u, s, vt = svd(inner, full_matrices=False, lapack_driver="gesdd", check_finite=False)
    rank = int(np.sum(s > 1e-9 * max(float(s[0]), 1e-300)))
    k = max(1, min(dim, rank, of.n - 1))
    weight = np.sqrt(s[:k])
    a = solve_triangular(lx, u[:, :k] * weight, lower=True, trans="T") / sx[:, None]
    b = solve_triangular(ly, vt[:k].T * weight, lower=True, trans="T") / sy[:, None]
    return a, b


def _cholesky(standardised: FloatArray, penalty: float) -> FloatArray:
    standardised[np.diag_indices_from(standardised)] += max(penalty, 1e-8)
    factor: FloatArray = np.linalg.cholesky(standardised)
    return factor


def _cca_score(train: Moments, held: Moments, penalty: float) -> float:
    """The cosine between the two sides' held-out projections, all rows taken as one long vector."""
    a, b = _cca(train, min(train.xy.shape), penalty)
    mx, my = train.means()
    dx, dy = mx - held.shift_x, my - held.shift_y
    xy = held.xy - np.outer(held.sum_x, dy) - np.outer(dx, held.sum_y) + held.n * np.outer(dx, dy)
    xx = held.xx - np.outer(held.sum_x, dx) - np.outer(dx, held.sum_x) + held.n * np.outer(dx, dx)
    yy = held.yy - np.outer(held.sum_y, dy) - np.outer(dy, held.sum_y) + held.n * np.outer(dy, dy)
    across = np.sum(a * (xy @ b))
    norms = np.sum(a * (xx @ a)) * np.sum(b * (yy @ b))
    return float(across / np.sqrt(max(float(norms), 1e-300)))
