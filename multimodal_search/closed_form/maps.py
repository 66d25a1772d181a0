"""Ridge regression and regularised CCA from second moments.

Sources: ridge, Hoerl and Kennard 1970; CCA, Hotelling 1936, with the ridge of Vinod 1976; weighting the
canonical directions by their correlation for retrieval, Gong, Ke, Isard and Lazebnik 2014 (arXiv 1212.4522).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular, svd

from multimodal_search.closed_form.moments import Moments, deviations, fold_moments
from multimodal_search.types import FloatArray, IntArray

PENALTIES = (1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
"""Relative to the mean variance of the inputs (which is 1 once they are standardised)."""


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
    parts = fold_moments(x, y, groups, x_rows, y_rows, folds if len(penalties) > 1 else 1, seed)
    total = reduce(Moments.__add__, parts)
    penalty = penalties[0] if len(penalties) == 1 else best_penalty(parts, total, penalties, _ridge_score)
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
    parts = fold_moments(x, y, groups, x_rows, y_rows, folds if len(penalties) > 1 else 1, seed)
    total = reduce(Moments.__add__, parts)
    penalty = penalties[0] if len(penalties) == 1 else best_penalty(parts, total, penalties, _cca_score)
    mx, my = total.means()
    a, b = _cca(total, dim, penalty)
    return a, mx, b, my


def best_penalty(
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


def _ridge(of: Moments, penalty: float) -> tuple[FloatArray, FloatArray]:
    cxx, cxy, _ = of.covariances()
    scale = deviations(cxx)
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
    sx, sy = deviations(cxx), deviations(cyy)
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
