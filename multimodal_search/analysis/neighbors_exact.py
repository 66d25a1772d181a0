"""All pairs compared: each product serves both of its rows, and few scores are looked at twice.

A tile of scores is compared with what its rows and its columns have already (one pass each, an order of
magnitude cheaper than the product), and only the scores that are better are kept, sorted and merged.
"""

from __future__ import annotations

import numpy as np

from multimodal_search.analysis.neighbors_best import Best, Rows
from multimodal_search.analysis.neighbors_checkpoint import Checkpoint
from multimodal_search.analysis.neighbors_scores import Scored
from multimodal_search.analysis.neighbors_top import group_bound
from multimodal_search.types import FloatArray, IntArray

_TILE_ROWS = 512
_TILE_COLUMNS = 2048
_SAMPLE_ROWS = 2048


def exact_neighbours(scored: Scored, k: int, checkpoint: Checkpoint) -> tuple[Rows, FloatArray]:
    """(n, k) rows and distances of the nearest others, -1 and inf where there are fewer.

    Scores that differ by rounding alone count as equal; of equal ones the lower row is the nearer.
    """
    n = len(scored)
    best = Best(scored, k)
    first = checkpoint.restore(best)
    if not first:
        _raise_floors(scored, best)
    for start in range(first, n, _TILE_ROWS):
        _compare(scored, best, start)
        checkpoint.save(best, start + _TILE_ROWS)
    best.merge()
    return ordered(scored, np.arange(n), best.rows)


def ordered(scored: Scored, rows: IntArray, near: Rows) -> tuple[Rows, FloatArray]:
    """Neighbours by distance, then by row."""
    distances = scored.distances(rows, near)
    order = np.lexsort((near, distances), axis=1)
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _raise_floors(scored: Scored, best: Best) -> None:
    """A sample's k-th best bounds each row's from below: it spares sorting most of the first tiles."""
    n, k = best.rows.shape
    if n <= _SAMPLE_ROWS or k + 1 > _SAMPLE_ROWS // 2:
        return
    # evenly spread, so that a table sorted by scene is met everywhere
    columns = np.linspace(0, n - 1, _SAMPLE_ROWS).astype(np.int64)
    sample = scored.reordered(columns)
    for start in range(0, n, _TILE_ROWS):
        some = slice(start, start + _TILE_ROWS)
        scores = scored.points[some] @ sample.points.T
        if scored.halves is not None and sample.halves is not None:
            scores -= scored.halves[some, None]
            scores -= sample.halves
        # one more, as the row itself may be in the sample
        best.floor[some] = group_bound(scores, k + 1) - 2 * scored.slack[some]


def _compare(scored: Scored, best: Best, start: int) -> None:
    n = len(scored)
    stop = min(start + _TILE_ROWS, n)
    own = slice(start, stop)
    for left in range(start, n, _TILE_COLUMNS):
        right = min(left + _TILE_COLUMNS, n)
        scores = scored.between(own, slice(left, right))
        width = right - left
        if left == start:
            np.fill_diagonal(scores[:, : stop - start], -np.inf)
        hits = np.flatnonzero(scores > best.floor[own, None])
        if len(hits):
            best.offer(start + hits // width, left + hits % width, scores.ravel()[hits])
        above = scores > best.floor[None, left:right]
        if left == start:
            above[:, : stop - start] = False  # these pairs were met from both sides already
        hits = np.flatnonzero(above)
        if len(hits):
            best.offer(left + hits % width, start + hits // width, scores.ravel()[hits])
