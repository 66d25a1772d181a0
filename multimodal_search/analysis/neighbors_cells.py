"""Approximate neighbours of many rows: rows in cells of k-means, each compared with the cells it is near to.

An inverted file (Sivic and Zisserman, 2003) asked by all rows at once: for each cell, the rows that want it
make one matrix product, and only what is better than a row's neighbours so far is looked at. How many cells a
row asks is chosen by the true neighbours of sampled rows; the recall is measured on other ones afterwards.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multimodal_search.analysis.neighbors_best import Best, Rows
from multimodal_search.analysis.neighbors_checkpoint import Checkpoint
from multimodal_search.analysis.neighbors_scores import Scored
from multimodal_search.analysis.neighbors_top import best_columns
from multimodal_search.types import FloatArray, IntArray

_log = logging.getLogger(__name__)

_TRAINING_ROWS_PER_CELL = 40
_ROUNDS = 8
_BLOCK_ROWS = 8192
_ASKED_ROWS = 256
_TARGET_RECALL = 0.97
_MOST_PROBES = 64
_PROBES_AT_A_TIME = 8
_LARGEST_CELL = 4  # times the mean


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows in runs: cell c has rows ``starts[c]`` to ``starts[c + 1]`` of the reordered ones.

    Attributes:
        scored: the rows in the order of cells.
        rows: (n,) their original numbers.
        centres: (cells, dim).
    """

    scored: Scored
    rows: IntArray
    starts: IntArray
    centres: FloatArray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def run(self, cell: int) -> slice:
        """Where the cell's rows are."""
        return slice(int(self.starts[cell]), int(self.starts[cell + 1]))

    def likeness(self, points: FloatArray) -> FloatArray:
        """(points, cells): the larger, the nearer the centre."""
        scores = points @ self.centres.T
        if self.scored.metric == "l2":
            scores -= np.einsum("nd,nd->n", self.centres, self.centres) / 2
        return np.asarray(scores)


def approximate_neighbours(
    scored: Scored, k: int, seed: int, checkpoint: Checkpoint
) -> tuple[Rows, FloatArray, float]:
    """(n, k) rows, distances, and the recall that was measured."""
    generator = np.random.default_rng(seed)
    cells = _make_cells(scored, generator)
    asked = generator.permutation(len(scored))[: 2 * _ASKED_ROWS]
    truth = _true_neighbours(cells.scored, asked, k)
    probes = _enough_probes(cells, asked[::2], truth[::2])
    best = Best(cells.scored, k)
    # numbers are those of the cells' order, which another number of threads may change
    checkpoint = checkpoint.of(hashlib.blake2b(cells.rows.tobytes(), digest_size=8).hexdigest())
    first = checkpoint.restore(best)
    if not first:
        _compare_inside(cells, best)
    wanted = _wanted(cells, probes)
    for rank in range(first, probes, _PROBES_AT_A_TIME):
        _compare_wanted(cells, best, wanted[:, rank : rank + _PROBES_AT_A_TIME])
        checkpoint.save(best, rank + _PROBES_AT_A_TIME)
    best.merge()
    recall = _recall(best.rows[asked[1::2]], truth[1::2])
    _log.info("%d cells, each row compared with %d: recall@%d %.4f", len(cells), probes, k, recall)
    return *_named(cells, best.rows), recall


def _make_cells(scored: Scored, generator: np.random.Generator) -> Cells:
    """About 2 sqrt(n) cells; large ones are cut: repeated vectors would make one of half the rows."""
    n = len(scored)
    centres = _centres(scored, int(np.clip(2 * np.sqrt(n), 1, 16_384)), generator)
    owner = _owners(scored, scored.points, centres)
    order = np.argsort(owner, kind="stable")
    sizes = np.bincount(owner, minlength=len(centres))
    limit = max(1, _LARGEST_CELL * n // len(centres))
    pieces = np.maximum(1, -(-sizes // limit))
    starts = [0]
    for size, count in zip(sizes.tolist(), pieces.tolist(), strict=True):
        starts += (starts[-1] + np.arange(1, count + 1) * size // count).tolist()
    return Cells(scored.reordered(order), order, np.array(starts), np.repeat(centres, pieces, axis=0))


def _centres(scored: Scored, count: int, generator: np.random.Generator) -> FloatArray:
    """Lloyd's algorithm on a sample; for cosine, on the sphere."""
    sample = scored.points[np.sort(generator.permutation(len(scored))[: count * _TRAINING_ROWS_PER_CELL])]
    centres: FloatArray = sample[generator.permutation(len(sample))[:count]].copy()
    for _ in range(_ROUNDS):
        owner = _owners(scored, sample, centres)
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


def _owners(scored: Scored, points: FloatArray, centres: FloatArray) -> IntArray:
    """(points,) the nearest centre of each."""
    offsets = 0 if scored.metric == "cosine" else np.einsum("nd,nd->n", centres, centres) / 2
    owner = np.empty(len(points), dtype=np.int64)
    for start in range(0, len(points), _BLOCK_ROWS):
        some = slice(start, start + _BLOCK_ROWS)
        owner[some] = (points[some] @ centres.T - offsets).argmax(axis=1)
    return owner


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


def _enough_probes(cells: Cells, asked: IntArray, truth: Rows) -> int:
    """The fewest cells near a row, after its own, that hold the target's share of true neighbours."""
    likeness = cells.likeness(cells.scored.points[asked])
    rank = np.empty(likeness.shape, dtype=np.int64)
    order = np.argsort(-likeness, axis=1, kind="stable")
    np.put_along_axis(rank, order, np.arange(len(cells))[None, :], axis=1)
    there = truth >= 0
    of_neighbour = np.searchsorted(cells.starts, np.maximum(truth, 0), side="right") - 1
    ranks = np.sort(np.take_along_axis(rank, of_neighbour, axis=1)[there])
    if not len(ranks):
        return 1
    enough = int(ranks[int(np.ceil(_TARGET_RECALL * len(ranks))) - 1]) + 1
    return min(enough, _MOST_PROBES, len(cells))


def _compare_inside(cells: Cells, best: Best) -> None:
    """Each row with its own cell: the floor for all that follows."""
    for cell in range(len(cells)):
        own = cells.run(cell)
        if own.stop - own.start < 2:
            continue
        scores = cells.scored.between(own, own)
        np.fill_diagonal(scores, -np.inf)
        near, found = best_columns(scores, best.rows.shape[1], np.arange(own.start, own.stop))
        best.rows[own], best.scores[own] = near, found
        best.floor[own] = found[:, -1] + cells.scored.slack[own]


def _wanted(cells: Cells, probes: int) -> npt.NDArray[np.int16]:
    """(n, probes) the cells nearest to each row."""
    found = np.empty((len(cells.rows), probes), dtype=np.int16)
    names = np.arange(len(cells))
    for start in range(0, len(found), _BLOCK_ROWS):
        likeness = cells.likeness(cells.scored.points[start : start + _BLOCK_ROWS])
        found[start : start + _BLOCK_ROWS], _ = best_columns(likeness, probes, names)
    return found


def _compare_wanted(cells: Cells, best: Best, wanted: npt.NDArray[np.int16]) -> None:
    """Each cell with the rows that want it, but for its own."""
    own = np.repeat(np.arange(len(cells), dtype=np.int16), np.diff(cells.starts))
    rows, places = np.nonzero((wanted >= 0) & (wanted != own[:, None]))
    cell_of = wanted[rows, places]
    order = np.argsort(cell_of, kind="stable")
    rows = rows[order]
    bounds = np.searchsorted(cell_of[order], np.arange(len(cells) + 1))
    scored = cells.scored
    for cell in range(len(cells)):
        run = cells.run(cell)
        width = run.stop - run.start
        for low in range(int(bounds[cell]), int(bounds[cell + 1]), _BLOCK_ROWS):
            asking = rows[low : min(low + _BLOCK_ROWS, int(bounds[cell + 1]))]
            if not width:
                continue
            scores = scored.points[asking] @ scored.points[run].T
            if scored.halves is not None:
                scores -= scored.halves[asking, None]
                scores -= scored.halves[run]
            hits = np.flatnonzero(scores > best.floor[asking, None])
            if len(hits):
                best.offer(asking[hits // width], run.start + hits % width, scores.ravel()[hits])


def _named(cells: Cells, near: Rows) -> tuple[Rows, FloatArray]:
    """Neighbours and distances by original row, from numbers in the order of cells."""
    named = np.where(near >= 0, cells.rows[np.maximum(near, 0)], -1).astype(np.int32)
    away = cells.scored.distances(np.arange(len(near)), near)
    order = np.lexsort((named, away), axis=1)
    rows, distances = np.empty_like(named), np.empty_like(away)
    rows[cells.rows] = np.take_along_axis(named, order, axis=1)
    distances[cells.rows] = np.take_along_axis(away, order, axis=1)
    return rows, distances


def _recall(found: Rows, truth: Rows) -> float:
    there = truth >= 0
    met = (found[:, :, None] == truth[:, None, :]).any(axis=1)
    return float(met[there].mean()) if there.any() else 1.0
