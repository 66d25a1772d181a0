"""Rows in order of likeness -> moments: neighbouring frames and cameras of one scene are one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_search.search.ranking import Ranking
from multimodal_search.types import BoolArray, FloatArray, IntArray

_INTERVALS = 2.5
_USUAL = 0.9  # of six cameras one after another, one step in six is from keyframe to keyframe
_LONGEST_GAP_US = 10_000_000
_REACH = 0.5  # as the width of a peak is measured at half its height


class Timeline:
    """Where rows are in their scenes.

    Args:
        items: one a row; rows of one item (its cameras) are one frame.
        scenes: one a row; None where it belongs to none.
        times_us: one a row; None where unknown.

    Attributes:
        scene_of: (rows,) number of the scene; rows of no scene, or without a time, share one with their item.
        timed: (rows,) whether a row has a time within a scene.
        gap_us: two and a half of the data's usual intervals between frames of a scene, at most ten seconds;
            0 where no scene has two frames.
    """

    def __init__(
        self, items: Sequence[str], scenes: Sequence[str | None], times_us: Sequence[int | None]
    ) -> None:
        self.items = items
        self.timed = np.array(
            [time is not None and scene is not None for scene, time in zip(scenes, times_us, strict=True)],
            dtype=np.bool_,
        )
        times = [time if timed else 0 for time, timed in zip(times_us, self.timed.tolist(), strict=True)]
        self.times_us = np.array(times, dtype=np.int64)
        codes: dict[Any, int] = {}
        self.scene_of: IntArray = np.array(
            [
                codes.setdefault(("scene", scene) if timed else ("item", item), len(codes))
                for scene, item, timed in zip(scenes, items, self.timed.tolist(), strict=True)
            ],
            dtype=np.int64,
        )
        self._order: IntArray = np.lexsort((self.times_us, self.scene_of)).astype(np.int64)
        self._starts = np.searchsorted(self.scene_of[self._order], np.arange(len(codes) + 1))
        self.gap_us = self._usual_gap_us()

    def scene_rows(self, row: int) -> IntArray:
        """(n,) all rows of a row's scene, in order of time."""
        scene = self.scene_of[row]
        return self._order[self._starts[scene] : self._starts[scene + 1]]

    def _usual_gap_us(self) -> int:
        ordered = self._order[self.timed[self._order]]
        steps = np.diff(self.times_us[ordered])
        within = steps[(np.diff(self.scene_of[ordered]) == 0) & (steps > 0)]
        if not len(within):
            return 0
        return int(min(_INTERVALS * float(np.quantile(within, _USUAL)), _LONGEST_GAP_US))


@dataclass(slots=True, eq=False)
class Moment:
    """Frames that belong together.

    Attributes:
        best: the row most like the query.
        likeness: of that row.
        rows: all of them, in order of time.
        span_us: time of the first and of the last frame; None where no time is known.
    """

    best: int
    likeness: float
    rows: IntArray
    span_us: tuple[int, int] | None


Measure = Callable[[IntArray], FloatArray]
"""Rows -> (n,) their likeness to the query; -inf for rows that may not be found."""


def find_moments(
    ranking: Ranking,
    measure: Measure,
    usual: float,
    timeline: Timeline,
    count: int,
    *,
    gap_us: int | None = None,
    per_scene: int | None = None,
) -> list[Moment]:
    """The ``count`` best moments, best first; fewer only where there are no more.

    The best row opens a moment, which reaches over its neighbours as far as they keep half of its lead over
    the usual row; so does the best of the other rows that is further than ``gap_us`` from it, and so on. What
    a moment is does not depend on ``count``.

    Args:
        usual: likeness of a row like any other: the median.
        gap_us: None is the timeline's own.
        per_scene: at most so many of one scene.
    """
    gap_us = timeline.gap_us if gap_us is None else gap_us
    wanted = max(64, 4 * count)
    while True:
        # from the start each time: an index that looks deeper may find better rows, too
        rows, likenesses = ranking.top(wanted)
        finder = _Finder(timeline, measure, usual, gap_us, per_scene)
        for row, likeness in zip(rows.tolist(), likenesses.tolist(), strict=True):
            finder.take(row, likeness)
            if len(finder.found) == count:
                return finder.found
        if len(rows) < wanted:
            return finder.found
        wanted *= 4


class _Finder:
    def __init__(
        self, timeline: Timeline, measure: Measure, usual: float, gap_us: int, per_scene: int | None
    ) -> None:
        self.found: list[Moment] = []
        self._timeline = timeline
        self._measure = measure
        self._usual = usual
        self._gap_us = gap_us
        self._per_scene = per_scene
        self._by_scene: dict[int, list[Moment]] = {}

    def take(self, row: int, likeness: float) -> None:
        """The next row in order of likeness: opens a moment, or lies at one that is there."""
        of_scene = self._by_scene.setdefault(int(self._timeline.scene_of[row]), [])
        if self._per_scene is not None and len(of_scene) >= self._per_scene:
            return
        if any(self._near(one, np.array([row]))[0] for one in of_scene):
            return
        moment = self._grown(row, likeness, of_scene)
        of_scene.append(moment)
        self.found.append(moment)

    def _grown(self, row: int, likeness: float, others: Sequence[Moment]) -> Moment:
        rows = self._timeline.scene_rows(row)
        if not self._timeline.timed[row]:
            return Moment(row, likeness, np.array([row], dtype=np.int64), None)
        free = np.ones(len(rows), dtype=np.bool_)
        for other in others:
            free &= ~self._near(other, rows)
        rows = rows[free]
        # never above the best itself, which lies below the usual row where the query leads away from all
        least = min(self._usual + _REACH * (likeness - self._usual), likeness)
        rows = rows[(self._measure(rows) >= least) | (rows == row)]
        times_us = self._timeline.times_us[rows]
        stretches = np.cumsum(np.diff(times_us, prepend=times_us[:1]) > self._gap_us)
        rows = rows[stretches == stretches[rows == row][0]]
        times_us = self._timeline.times_us[rows]
        return Moment(row, likeness, rows, (int(times_us[0]), int(times_us[-1])))

    def _near(self, moment: Moment, rows: IntArray) -> BoolArray:
        """(n,) which rows of the moment's scene lie at it."""
        if moment.span_us is None:  # a scene of one item
            return np.ones(len(rows), dtype=np.bool_)
        times_us = self._timeline.times_us[rows]
        start_us, end_us = moment.span_us
        near: BoolArray = (times_us >= start_us - self._gap_us) & (times_us <= end_us + self._gap_us)
        return near


def diverse(moments: Sequence[Moment], vectors: FloatArray, count: int, spread: float) -> list[Moment]:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): near the query, unlike each other.

    Likeness to the query and to each other are both brought to 0..1 among the candidates first: a picture's
    cosine with words is on another scale than with a picture.

    Args:
        moments: the candidates, best first.
        vectors: (candidates, dim) of their best rows, of length one.
        spread: 0 looks only at the query, 1 only at the others.
    """
    if not moments:
        return []
    near = _to_unit(np.array([one.likeness for one in moments], dtype=np.float64))
    alike = _to_unit(vectors.astype(np.float64) @ vectors.T.astype(np.float64))
    chosen = [0]
    closest = alike[0].copy()
    while len(chosen) < min(count, len(moments)):
        worth = (1 - spread) * near - spread * closest
        worth[chosen] = -np.inf
        chosen.append(int(np.argmax(worth)))
        np.maximum(closest, alike[chosen[-1]], out=closest)
    return [moments[one] for one in chosen]


def _to_unit(values: FloatArray) -> FloatArray:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def frames(moment: Moment, timeline: Timeline) -> tuple[str, ...]:
    """Ids of the moment's frames, each once, in order of time."""
    return tuple(dict.fromkeys(timeline.items[row] for row in moment.rows.tolist()))
