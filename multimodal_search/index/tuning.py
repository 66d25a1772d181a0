"""``nprobe`` or ``ef`` tuned to a recall, and the recall measured, both against exact search.

Queries are rows of the data, without themselves among their own neighbours, and rows with a little noise;
those that are measured with are others than those that were tuned with, so that the figure is not flattered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from multimodal_search.index import kinds, searching
from multimodal_search.index.metric import Metric, likeness_matrix, prepared
from multimodal_search.index.opened import Opened
from multimodal_search.index.stored import read_prepared
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import BoolArray, FloatArray, IntArray

K = 10
# A share of 0.95 seen on 1,000 queries of ten is true to 0.004 (one standard error)
_MEASURED = 1000
_TUNED = 500
_EXACT = 200
# Tuned a little higher than asked, so that other queries do not fall below
_MARGIN = 0.3
_NOISE = 0.05
_TIMED = 200


@dataclass(frozen=True, slots=True)
class Questions:
    """Queries whose right answers are known.

    Attributes:
        queries: (n, dim) float32, prepared.
        own: (n,) the row that a query is; -1 where it is noisy.
        answers: (n, 10) the exact nearest rows, -1 padded.
        reach: (n,) likeness of the last of them.
        perturbed: (n,) which are noisy.
    """

    queries: FloatArray
    own: IntArray
    answers: IntArray
    reach: FloatArray
    perturbed: BoolArray

    def part(self, which: Any) -> Questions:
        """Some of them."""
        return Questions(
            self.queries[which],
            self.own[which],
            self.answers[which],
            self.reach[which],
            self.perturbed[which],
        )


def questions(vectors: VectorSet, gone: BoolArray, metric: Metric, seed: int, count: int) -> Questions:
    """Rows of the data as queries, two thirds as they are, one third with noise; one pass over the data."""
    generator = np.random.default_rng([seed, 1])
    usable = np.flatnonzero(~gone)
    rows = generator.choice(usable, min(count, len(usable)), replace=False)
    perturbed = np.arange(len(rows)) % 3 == 2
    queries = prepared(vectors.gather(rows), metric)
    noise = generator.standard_normal(queries.shape, dtype=np.float32)
    noise *= _NOISE * np.linalg.norm(queries, axis=1, keepdims=True) / np.sqrt(queries.shape[1])
    queries = prepared(np.where(perturbed[:, None], queries + noise, queries), metric)
    own = np.where(perturbed, -1, rows)
    answers, near = exact(vectors, gone, queries, own, metric)
    reach = np.where(answers >= 0, near, np.inf).min(axis=1, initial=np.inf)
    return Questions(queries, own, answers, reach, perturbed)


def exact(
    vectors: VectorSet, gone: BoolArray, queries: FloatArray, own: IntArray, metric: Metric
) -> tuple[IntArray, FloatArray]:
    """(n, 10) nearest rows and likeness over all vectors at full precision, a query's own row left out."""
    best = np.full((len(queries), K), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), K), -1, dtype=np.int64)
    unusable = np.empty(len(vectors), dtype=np.bool_)
    first = 0
    for block in read_prepared(vectors, metric, unusable):
        stop = first + len(block)
        near = likeness_matrix(block, queries, metric)
        near[:, gone[first:stop]] = -np.inf
        mine = np.flatnonzero((own >= first) & (own < stop))
        near[mine, own[mine] - first] = -np.inf
        _take_better(best, rows, near, first)
        first = stop
    return rows, best


def _take_better(best: FloatArray, rows: IntArray, near: FloatArray, first: int) -> None:
    """Keep the best ten of what was known and a block's."""
    places = np.flatnonzero((near > best[:, -1:]).any(axis=1))
    for low in range(0, len(places), 256):
        some = places[low : low + 256]
        count = min(K, near.shape[1])
        top = np.argpartition(-near[some], count - 1, axis=1)[:, :count]
        merged = np.concatenate([best[some], np.take_along_axis(near[some], top, 1)], axis=1)
        named = np.concatenate([rows[some], top + first], axis=1)
        order = np.argsort(-merged, axis=1, kind="stable")[:, :K]
        best[some] = np.take_along_axis(merged, order, 1)
        rows[some] = np.where(np.isfinite(best[some]), np.take_along_axis(named, order, 1), -1)


def recall(opened: Opened, asked: Questions, vectors: VectorSet) -> FloatArray:
    """(n,) the share of the ten nearest that are found; an equally near row counts as well."""
    _, rows = searching.search(opened, asked.queries, K + 1, None)
    rows = np.where(rows == asked.own[:, None], -2, rows)
    # without its own row each has ten left; with noise the eleventh is one too many
    order = np.argsort(rows == -2, axis=1, kind="stable")
    rows = np.take_along_axis(rows, order, 1)[:, :K]
    right = (rows[:, :, None] == asked.answers[:, None, :]).any(axis=2) & (rows >= 0)
    doubtful = np.flatnonzero(((~right) & (rows >= 0)).any(axis=1))
    for place in doubtful.tolist():
        others = np.flatnonzero(~right[place] & (rows[place] >= 0))
        metric = opened.state.metric
        near = likeness_matrix(
            prepared(vectors.gather(rows[place, others]), metric), asked.queries[place : place + 1], metric
        )[0]
        right[place, others] = near >= asked.reach[place]
    there = np.maximum((asked.answers >= 0).sum(axis=1), 1)
    share: FloatArray = np.minimum(right.sum(axis=1), there) / there
    return share


def tuned(opened: Opened, vectors: VectorSet, target: float, seed: int) -> tuple[Opened, dict[str, Any]]:
    """The index with the smallest knobs that reach the target, and what it does with them."""
    gone = np.zeros(opened.state.rows, np.bool_) if opened.gone is None else opened.gone
    exact_kind = opened.state.kind == "flat"  # its recall is 1 but for the digits that 16 bits lack
    count = _EXACT if exact_kind else _MEASURED + _TUNED
    known = questions(vectors, gone, opened.state.metric, seed, count)
    cut = len(known.own) * _TUNED // (_MEASURED + _TUNED)
    few = known.part(slice(0, max(cut, 1)))
    others = known.part(slice(cut, None)) if cut else known
    wanted = target + _MARGIN * (1 - target)
    steps = _steps(opened)
    place = _first(lambda i: _lowest(_with(opened, steps[i]), few, vectors) >= wanted, len(steps))
    while True:
        ready = _with(opened, steps[place])
        each = recall(ready, others, vectors)
        if each.mean() >= target or place + 1 >= len(steps):
            break
        place += 1
    return ready, _report(ready, others, each, target)


def _lowest(opened: Opened, asked: Questions, vectors: VectorSet) -> float:
    each = recall(opened, asked, vectors)
    kinds_of = [each[which] for which in (asked.perturbed, ~asked.perturbed) if which.any()]
    return float(min(one.mean() for one in kinds_of))


def _report(opened: Opened, asked: Questions, each: FloatArray, target: float) -> dict[str, Any]:
    held_out, noisy = each[~asked.perturbed], each[asked.perturbed]
    return {
        "recall": round(float(held_out.mean() if len(held_out) else each.mean()), 4),
        "recall_perturbed": round(float(noisy.mean()), 4) if len(noisy) else None,
        "target_recall": target,
        "queries": len(each),
        "milliseconds": round(float(np.median(seconds(opened, asked.queries[:_TIMED]))) * 1e3, 3),
    }


def seconds(opened: Opened, queries: FloatArray) -> FloatArray:
    """(n,) how long each takes, asked alone."""
    searching.search(opened, queries[:1], K, None)
    took = []
    for query in queries:
        started = time.perf_counter()
        searching.search(opened, query[None], K, None)
        took.append(time.perf_counter() - started)
    return np.array(took)


def _steps(opened: Opened) -> list[Mapping[str, int]]:
    """Knobs, the quickest first."""
    kind, most = opened.state.kind, getattr(opened.main, "nlist", 0)
    grown: list[int] = [1]
    while grown[-1] < 4096:
        grown.append(max(grown[-1] + 1, int(grown[-1] * 1.3)))
    if kind == "flat":
        return [{}]
    if kind == "hnsw":
        return [{"ef": value} for value in grown if 10 <= value <= 2000]
    probes = sorted({min(value, most) for value in grown})
    if kind in kinds.LOSSY:
        again = 4 if kind == "sq8" else 16
        steps = [{"nprobe": value, "rerank": again} for value in probes]
        return [*steps, *({"nprobe": probes[-1], "rerank": again * more} for more in (2, 4, 8, 16))]
    return [{"nprobe": value} for value in probes]


def _first(holds: Callable[[int], bool], count: int) -> int:
    """The first of ``count`` places where it holds, by halving; the last where it holds nowhere."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _with(opened: Opened, knobs: Mapping[str, int]) -> Opened:
    return replace(opened, state=replace(opened.state, knobs=knobs))
