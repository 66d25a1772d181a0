"""Approximate neighbours of many rows: rows in cells of k-means, each compared with the cells around it.

An inverted file (Sivic and Zisserman, 2003) asked by all its rows at once: what one row would read, a cell's
rows read together, as one matrix product. How many cells are compared is chosen by asking sampled rows for
their true neighbours, and the recall is measured on other ones afterwards.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from multimodal_search.analysis.neighbors_exact import Rows
from multimodal_search.analysis.neighbors_scores import Scored
from multimodal_search.analysis.neighbors_top import best_columns
from multimodal_search.types import FloatArray, IntArray

_log = logging.getLogger(__name__)

_TRAINING_ROWS_PER_CELL = 40
_ROUNDS = 8
_BLOCK_ROWS = 8192
_ASKED_ROWS = 256
_TARGET_RECALL = 0.97
_MOST_COLUMNS = 65_536  # that a cell's rows are compared with
_LARGEST_CELL = 4  # times the mean


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows in runs: cell c has rows ``starts[c]`` to ``starts[c + 1]`` of the reordered ones.

    Attributes:
        scored: the rows in the order of cells.
        rows: (n,) their original numbers.
        around: (cells, cells) int32: each cell's cells, nearest first, itself before all.
    """

    scored: Scored
    rows: IntArray
    starts: IntArray
    around: Rows

    def __len__(self) -> int:
        return len(self.starts) - 1

    def run(self, cell: int) -> slice:
        """Where the cell's rows are."""
        return slice(int(self.starts[cell]), int(self.starts[cell + 1]))


def approximate_neighbours(scored: Scored, k: int, seed: int) -> tuple[Rows, FloatArray, float]:
    """(n, k) rows, distances, and the recall that was measured."""
    generator = np.random.default_rng(seed)
    n = len(scored)
    cells = make_cells(scored, generator)
    asked = generator.permutation(n)[: 2 * _ASKED_ROWS]
    truth = _true_neighbours(cells.scored, asked, k)
    count = _enough_cells(cells, asked[::2], truth[::2])
    near = np.empty((n, k), dtype=np.int32)
    for cell in range(len(cells)):
        near[cells.run(cell)] = _compare(cells, cell, count, k)
    recall = _recall(near[asked[1::2]], truth[1::2])
    near, away = ordered_originally(cells, near)
    _log.info("%d cells, each compared with %d: recall@%d %.4f", len(cells), count, k, recall)
    return near, away, recall


def make_cells(scored: Scored, generator: np.random.Generator) -> Cells:
    """About 2 sqrt(n) cells; large ones are cut: repeated vectors would make one of half the rows."""
    n = len(scored)
    centres = _centres(scored, int(np.clip(2 * np.sqrt(n), 1, 16_384)), generator)
    owner = np.empty(n, dtype=np.int32)
    for start in range(0, n, _BLOCK_ROWS):
        owner[start : start + _BLOCK_ROWS] = _nearest(
            scored, scored.points[start : start + _BLOCK_ROWS], centres
        )
    order = np.argsort(owner, kind="stable")
    sizes = np.bincount(owner, minlength=len(centres))
    limit = max(1, _LARGEST_CELL * n // len(centres))
    pieces = np.maximum(1, -(-sizes // limit))
    starts = [0]
    for size, count in zip(sizes.tolist(), pieces.tolist(), strict=True):
        starts += (starts[-1] + np.arange(1, count + 1) * size // count).tolist()
    centres = np.repeat(centres, pieces, axis=0)
    likeness = _scores(scored, centres, centres)
    np.fill_diagonal(likeness, np.inf)
    around = np.argsort(-likeness, axis=1, kind="stable").astype(np.int32)
    return Cells(scored.reordered(order), order, np.array(starts), around)


def ordered_originally(cells: Cells, near: Rows) -> tuple[Rows, FloatArray]:
    """Neighbours and distances by original row, from numbers in the order of cells."""
    named = np.where(near >= 0, cells.rows[np.maximum(near, 0)], -1).astype(np.int32)
    away = cells.scored.distances(np.arange(len(near)), near)
    order = np.lexsort((named, away), axis=1)
    rows, distances = np.empty_like(named), np.empty_like(away)
    rows[cells.rows] = np.take_along_axis(named, order, axis=1)
    distances[cells.rows] = np.take_along_axis(away, order, axis=1)
    return rows, distances


def _centres(scored: Scored, count: int, generator: np.random.Generator) -> FloatArray:
    """Lloyd's algorithm on a sample; for cosine, on the sphere."""
    n = len(scored)
    sample = scored.points[np.sort(generator.permutation(n)[: count * _TRAINING_ROWS_PER_CELL])]
    centres: FloatArray = sample[generator.permutation(len(sample))[:count]].copy()
    for _ in range(_ROUNDS):
        owner = np.concatenate(
            [
                _nearest(scored, sample[start : start + _BLOCK_ROWS], centres)
                for start in range(0, len(sample), _BLOCK_ROWS)
            ]
        )
        order = np.argsort(owner, kind="stable")
        sizes = np.bincount(owner, minlength=count)
        full = np.flatnonzero(sizes)
        sums = np.add.reduceat(sample[order], np.searchsorted(owner[order], full), axis=0)
        centres[full] = sums / sizes[full, None]
        empty = np.flatnonzero(sizes == 0)
        centres[empty] = sample[generator.integers(0, len(sample), len(empty))]
        if scored.metric == "cosine":
            centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return centres


def _nearest(scored: Scored, points: FloatArray, centres: FloatArray) -> IntArray:
    scores = points @ centres.T
    if scored.metric != "cosine":
        scores -= np.einsum("nd,nd->n", centres, centres) / 2
    return np.asarray(scores.argmax(axis=1))


def _scores(scored: Scored, first: FloatArray, second: FloatArray) -> FloatArray:
    scores = first @ second.T
    if scored.metric == "l2":
        scores -= np.einsum("nd,nd->n", second, second) / 2
    return scores


def _true_neighbours(scored: Scored, asked: IntArray, k: int) -> Rows:
    """(asked, k) compared with all rows, in the order of cells."""
    few = scored.reordered(asked)
    best: Rows = np.empty((len(asked), 0), dtype=np.int32)
    values = np.empty((len(asked), 0), dtype=np.float32)
    for start in range(0, len(scored), _BLOCK_ROWS):
        columns = np.arange(start, min(start + _BLOCK_ROWS, len(scored)))
        scores = few.points @ scored.points[columns].T
        if scored.halves is not None:
            scores -= scored.halves[columns]
        own, place = np.nonzero(asked[:, None] == columns)
        scores[own, place] = -np.inf
        some, found = best_columns(scores, k, columns)
        best, values = np.hstack([best, some]), np.hstack([values, found])
        order = np.argsort(-values, axis=1, kind="stable")[:, :k]
        best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
    return best


def _enough_cells(cells: Cells, asked: IntArray, truth: Rows) -> int:
    """The fewest cells around a row's own that hold the target's share of true neighbours."""
    of_row = np.searchsorted(cells.starts, np.arange(len(cells.rows)), side="right") - 1
    rank = np.empty(len(cells), dtype=np.int64)
    held = np.zeros(len(cells))
    total = 0
    for row, near in zip(asked, truth, strict=True):
        rank[cells.around[of_row[row]]] = np.arange(len(cells))
        there = near[near >= 0]
        held += np.bincount(rank[of_row[there]], minlength=len(cells))
        total += len(there)
    if not total:
        return 1
    mean = max(1, len(cells.rows) // len(cells))
    most = max(1, min(len(cells), _MOST_COLUMNS // mean))
    return min(most, 1 + int(np.searchsorted(np.cumsum(held) / total, _TARGET_RECALL)))


def _compare(cells: Cells, cell: int, count: int, k: int) -> Rows:
    """(rows of the cell, k) best among the cells around it; more cells where these have too few rows."""
    own = cells.run(cell)
    if own.start == own.stop:
        return np.empty((0, k), dtype=np.int32)
    sizes = np.diff(cells.starts)[cells.around[cell]]
    count = max(count, 1 + int(np.searchsorted(np.cumsum(sizes), k + 1)))
    runs = [cells.run(other) for other in cells.around[cell, :count].tolist()]
    names = np.concatenate([np.arange(run.start, run.stop) for run in runs])
    scored = cells.scored
    scores = scored.points[own] @ np.concatenate([scored.points[run] for run in runs]).T
    if scored.halves is not None:
        scores -= scored.halves[names]
    # the cell itself is the first of those around it
    np.fill_diagonal(scores[:, : own.stop - own.start], -np.inf)
    scores /= 2 * scored.slack[own, None]
    np.rint(scores, out=scores)  # equal up to rounding: the lower row is the nearer
    best, _ = best_columns(scores, k, names)
    return best


def _recall(found: Rows, truth: Rows) -> float:
    there = truth >= 0
    met = (found[:, :, None] == truth[:, None, :]).any(axis=1)
    return float(met[there].mean()) if there.any() else 1.0
