"""A ridge on both sides: from one modality's features into another's space, made for ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from multimodal_search.closed_form.moments import Moments, deviations, fold_moments, grouped_folds
from multimodal_search.types import FloatArray, IntArray

TWO_SIDED_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)


class TwoSidedMap(NamedTuple):
    """A map W from x into the space of y.

    Attributes:
        weight: (dx, dy) float64.
        bias: (dy,) float64; x of mean value maps to zero.
        spread: (dy, dy) what W divides by on the side of y, so that ``(x W + b) spread`` is the y that ridge
            predicts; the identity where W is plain ridge. Two mapped x are compared as ``u spread v``:
            without it the division counts twice.
    """

    weight: FloatArray
    bias: FloatArray
    spread: FloatArray


def fit_two_sided(
    x: FloatArray,
    y: FloatArray,
    groups: Sequence[object],
    *,
    x_rows: IntArray | None = None,
    y_rows: IntArray | None = None,
    penalties: Sequence[float] = TWO_SIDED_PENALTIES,
    folds: int = 3,
    seed: int = 0,
) -> TwoSidedMap:
    """A map W from x into the space of y for retrieval: ``(x W + b) . y`` ranks the y of an x.

    Ridge predicts the mean y of an x (W = Cxx^-1 Cxy). Dividing by the spread of y too (Cxx^-1 Cxy Cyy^-1,
    the bilinear form of CCA) makes what x cannot know weigh less. How far to go is chosen by retrieval in
    grouped folds: the penalty on Cyy runs from small (CCA) to infinite (ridge).

    Raises:
        ValueError: no pair at all, or pairs that do not match.
    """
    x_rows = np.arange(len(x)) if x_rows is None else np.asarray(x_rows, dtype=np.int64)
    y_rows = np.arange(len(y)) if y_rows is None else np.asarray(y_rows, dtype=np.int64)
    parts = fold_moments(x, y, groups, x_rows, y_rows, folds, seed)
    total = reduce(Moments.__add__, parts)
    grid = [(one, two) for one in penalties for two in (*penalties, np.inf)]
    best = (penalties[len(penalties) // 2], np.inf)
    if len(parts) > 1:
        fold = grouped_folds(groups, folds, seed)
        scores = np.zeros(len(grid))
        for k, part in enumerate(parts):
            held = _evenly(np.flatnonzero(fold == k))
            inner, shift = total - part, part.shift_y
            one = np.asarray(x[x_rows[held]], dtype=np.float64) - inner.means()[0]
            two = np.asarray(y[y_rows[held]], dtype=np.float64) - shift
            two -= two.mean(axis=0)
            for index, (_, w) in enumerate(_two_sided(inner, grid)):
                scores[index] += len(held) * float(mean_reciprocal_ranks(one @ w, two).mean())
        # of equal scores the simpler map: larger penalties
        best = grid[max(range(len(grid)), key=lambda i: (round(float(scores[i]), 9), i))]
    w = next(w for _, w in _two_sided(total, [best]))
    return TwoSidedMap(w, -total.means()[0] @ w, _spread_of(total.covariances()[2], best[1]))


def mean_reciprocal_ranks(x: FloatArray, y: FloatArray) -> FloatArray:
    """(n,) mean over both directions of 1 / expected rank of row i of y for row i of x, by cosine."""
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    y = y / np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
    total = np.zeros(len(x))
    for scores in (x @ y.T, y @ x.T):
        own = np.diag(scores)[:, None]
        better, equal = scores > own + 1e-9, np.abs(scores - own) <= 1e-9
        total += 0.5 / (1 + better.sum(axis=1) + (equal.sum(axis=1) - 1) / 2)
    return total


def _two_sided(
    of: Moments, grid: Sequence[tuple[float, float]]
) -> Iterator[tuple[tuple[float, float], FloatArray]]:
    """The maps of a grid of (penalty of x, penalty of y), in its order.

    Only x is standardised: y is an embedding, where the size of a coordinate is how much it counts.
    """
    cxx, cxy, cyy = of.covariances()
    scale = deviations(cxx)
    standardised = cxx / np.outer(scale, scale)
    values, axes = np.linalg.eigh(cyy)
    unit = _unit(cyy)
    ridges: dict[float, FloatArray] = {}
    for one, two in grid:
        if one not in ridges:
            penalised = standardised + one * np.eye(len(scale))
            ridges[one] = cho_solve(cho_factor(penalised, lower=True), cxy / scale[:, None]) / scale[:, None]
        w = ridges[one]
        if np.isfinite(two):
            w = ((w @ axes) / (np.maximum(values, 0) / unit + two)) @ axes.T
        yield (one, two), w


def _spread_of(cyy: FloatArray, penalty: float) -> FloatArray:
    identity = np.eye(len(cyy))
    return cyy / _unit(cyy) + penalty * identity if np.isfinite(penalty) else identity


def _unit(cyy: FloatArray) -> float:
    """Mean variance of a coordinate: what penalties on y are multiples of."""
    return max(float(np.trace(cyy)) / len(cyy), 1e-300)


def _evenly(rows: IntArray, most: int = 512) -> IntArray:
    """At most so many of the rows, evenly."""
    return rows[:: -(-len(rows) // most)]
