"""Rows in order of likeness -> moments: neighbouring frames and cameras of one scene are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_search.search.ranking import Ranking
from multimodal_search.types import FloatArray, IntArray

_INTERVALS = 2.5
_USUAL = 0.9  # of six cameras one after another, one step in six is from keyframe to keyframe
_LONGEST_GAP_US = 10_000_000
_NO_TIME = -(2**63)


class Timeline:
    """Where rows are in their scenes.

    Args:
        items: one a row; rows of one item (its cameras) are one frame.
        scenes: one a row; None where it belongs to none.
        times_us: one a row; None where unknown.

    Attributes:
        gap_us: two and a half of the data's usual intervals between frames of a scene, at most ten seconds;
            0 where no scene has two frames.
    """

    def __init__(
        self, items: Sequence[str], scenes: Sequence[str | None], times_us: Sequence[int | None]
    ) -> None:
        self.items = items
        self.scenes = scenes
        times = [
            _NO_TIME if one is None or scene is None else one
            for one, scene in zip(times_us, scenes, strict=True)
        ]
        self.times_us = np.array(times, dtype=np.int64)
        self.gap_us = self._usual_gap_us()

    def _usual_gap_us(self) -> int:
        known = np.flatnonzero(self.times_us != _NO_TIME)
        if len(known) < 2:
            return 0
        codes: dict[Any, int] = {}
        scenes = np.array([codes.setdefault(self.scenes[row], len(codes)) for row in known.tolist()])
        order = np.lexsort((self.times_us[known], scenes))
        steps = np.diff(self.times_us[known][order])
        within = steps[(np.diff(scenes[order]) == 0) & (steps > 0)]
        return (
            int(min(_INTERVALS * float(np.quantile(within, _USUAL)), _LONGEST_GAP_US)) if len(within) else 0
        )


@dataclass(slots=True, eq=False)
class Moment:
    """Frames that belong together.

    Attributes:
        rows: in order of likeness; the first is the best.
        likeness: of the best row.
        span_us: time of the first and of the last frame; None where no time is known.
    """

    rows: list[int]
    likeness: float
    span_us: tuple[int, int] | None

    @property
    def best(self) -> int:
        """The best row."""
        return self.rows[0]


def find_moments(
    ranking: Ranking,
    timeline: Timeline,
    count: int,
    *,
    gap_us: int | None = None,
    per_scene: int | None = None,
) -> list[Moment]:
    """The ``count`` best moments, best first.

    Rows are taken from the best one down, until the one that would open a further moment: a row within
    ``gap_us`` of a moment of its scene joins it, and joins two moments that it lies between. So more moments
    look deeper, and an earlier one may grow with their number.

    Args:
        gap_us: None is the timeline's own.
        per_scene: at most so many of one scene.
    """
    gap_us = timeline.gap_us if gap_us is None else gap_us
    wanted = max(64, 4 * count)
    while True:
        # from the start each time: an index that looks deeper may find better rows, too
        rows, likenesses = ranking.top(wanted)
        merger = _Merger(timeline, gap_us, per_scene)
        filled = any(
            merger.refuses(row, likeness, count)
            for row, likeness in zip(rows.tolist(), likenesses.tolist(), strict=True)
        )
        if filled or len(rows) < wanted:
            return merger.moments()[:count]
        wanted *= 4


class _Merger:
    def __init__(self, timeline: Timeline, gap_us: int, per_scene: int | None) -> None:
        self._timeline = timeline
        self._gap_us = gap_us
        self._per_scene = per_scene
        self._by_scene: dict[Any, list[Moment]] = {}
        self._all: dict[int, Moment] = {}  # insertion order is order of likeness
        self._counted = 0

    def refuses(self, row: int, likeness: float, count: int) -> bool:
        """Take the row in, unless it would open a moment after ``count`` of them."""
        takers = self._takers(row)
        if not takers and self._counted >= count:
            return True
        self._add(row, likeness, takers)
        return False

    def _add(self, row: int, likeness: float, takers: Sequence[Moment]) -> None:
        span_us = self._span(row)
        if takers:
            first, *others = takers
            first.rows.append(row)
            first.span_us = _hull(first.span_us, span_us)
            for other in others:
                self._join(first, other, self._key(row))
            return
        moment = Moment([row], likeness, span_us)
        scene = self._by_scene.setdefault(self._key(row), [])
        scene.append(moment)
        self._all[id(moment)] = moment
        self._counted += self._counts(scene)

    def _join(self, first: Moment, other: Moment, key: Any) -> None:
        scene = self._by_scene[key]
        self._counted -= self._counts(scene)
        first.rows += other.rows
        first.span_us = _hull(first.span_us, other.span_us)
        scene.remove(other)
        del self._all[id(other)]

    def _counts(self, scene: Sequence[Moment]) -> bool:
        """Whether the scene's last moment is one that will be shown."""
        return self._per_scene is None or len(scene) <= self._per_scene

    def moments(self) -> list[Moment]:
        """In order of likeness, each scene's best."""
        if self._per_scene is None:
            return list(self._all.values())
        kept = {id(one) for scene in self._by_scene.values() for one in scene[: self._per_scene]}
        return [one for place, one in self._all.items() if place in kept]

    def _key(self, row: int) -> Any:
        scene = self._timeline.scenes[row]
        return ("item", self._timeline.items[row]) if scene is None else ("scene", scene)

    def _span(self, row: int) -> tuple[int, int] | None:
        time_us = int(self._timeline.times_us[row])
        return None if time_us == _NO_TIME else (time_us, time_us)

    def _takers(self, row: int) -> list[Moment]:
        """Moments of the row's scene that it belongs to, best first."""
        scene = self._by_scene.get(self._key(row), [])
        span_us = self._span(row)
        if span_us is None:
            item = self._timeline.items[row]
            return [one for one in scene if self._timeline.items[one.best] == item]
        low, high = span_us[0] - self._gap_us, span_us[0] + self._gap_us
        return [one for one in scene if one.span_us and one.span_us[0] <= high and one.span_us[1] >= low]


def _hull(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])


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
    rows: IntArray = np.array(moment.rows, dtype=np.int64)
    ordered = rows[np.lexsort((rows, timeline.times_us[rows]))]
    return tuple(dict.fromkeys(timeline.items[row] for row in ordered.tolist()))
