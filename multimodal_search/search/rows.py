"""Vectors that may be compared with one another, and what is known of each: searched, filtered, described."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from multimodal_search.errors import DataError, nearest
from multimodal_search.filters import Fields
from multimodal_search.filters.fields import METADATA
from multimodal_search.index.metric import Metric, prepared, scores
from multimodal_search.search.hits import Hit
from multimodal_search.search.moments import Measure, Moment, Timeline, diverse, find_moments, frames
from multimodal_search.search.options import Wanted
from multimodal_search.search.ranking import ExactRanking, Ranking, Scanner
from multimodal_search.types import BoolArray, FloatArray, IntArray

_KNOWN = (
    "id",
    "moment_id",
    "type",
    "scene_id",
    "text",
    "image_path",
    "series_path",
    "location",
    "timestamp_us",
    METADATA,
)
_MMR_CANDIDATES = 5
_SAMPLE = 512
Ranker = Callable[[FloatArray, BoolArray | None, Callable[[], ExactRanking]], Ranking]


class Rows:
    """Rows of one space.

    Args:
        ids: one a row, as people know it: the moment's, or the row's own.
        dim: length of a vector.
        gather: rows -> (n, dim) vectors.
        columns: metadata, one row a vector.
        ranker: an index over these rows, for its own metric; without one all rows are compared.
        metric: of that index.
        usable: (rows,) which rows there still are; None where all are.
    """

    def __init__(
        self,
        ids: Sequence[str],
        dim: int,
        gather: Callable[[IntArray], FloatArray],
        columns: pa.Table | None,
        *,
        ranker: Ranker | None = None,
        metric: Metric = "cosine",
        usable: BoolArray | None = None,
    ) -> None:
        self.ids = ids
        self.dim = dim
        self.metric = metric
        self._gather = gather
        self._ranker = ranker
        self._usable = usable
        others = pa.table({"id": pa.array(ids, pa.string())})
        if columns is not None:
            for name in columns.column_names:
                if name != "id":
                    others = others.append_column(name, columns[name])
        self._columns = others
        self._scanner = Scanner(gather, len(ids), dim)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fields(self) -> Fields:
        """What a filter may ask."""
        return Fields(self._columns)

    @cached_property
    def timeline(self) -> Timeline:
        """Where rows are in their scenes."""
        return Timeline(self.ids, self._strings("scene_id"), self._times())

    def has(self, one: str) -> bool:
        """Whether there is such an id."""
        return one in self._row_of

    def locate(self, one: str) -> IntArray:
        """(n,) the rows of an id.

        Raises:
            DataError: there is none; the message names the nearest ids.
        """
        rows = self._row_of.get(one)
        if rows is None:
            raise DataError(
                f"There is no id {one!r} here.", remedy=nearest(one, _likely(one, list(self._row_of)))
            )
        return np.array(rows, dtype=np.int64)

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        """(n, dim) float32, one an id: its first row.

        Raises:
            DataError: an unknown id.
        """
        rows = np.array([self.locate(one)[0] for one in ids], dtype=np.int64)
        return np.asarray(self._gather(rows), dtype=np.float32)

    def nearest(self, query: FloatArray, wanted: Wanted) -> list[Hit]:
        """The best moments.

        Args:
            query: (dim,), finite; of length one for the cosine.

        Raises:
            SettingsError: a filter on a field that is not there.
        """
        metric = wanted.metric or self.metric
        if not len(self):
            return []
        allowed = None if wanted.where is None else wanted.where.mask(self.fields)
        if self._usable is not None:
            allowed = self._usable if allowed is None else self._usable & allowed
        if wanted.spread is None:
            found = self._moments(query, metric, allowed, wanted.k, wanted)
        else:
            few = max(_MMR_CANDIDATES * wanted.k, 50)
            candidates = self._moments(query, metric, allowed, few, wanted)
            best = self._gather(np.array([one.best for one in candidates], dtype=np.int64))
            found = diverse(candidates, prepared(best, "cosine"), wanted.k, wanted.spread)
        return [self._hit(one, metric) for one in found]

    def hit(self, one: str) -> Hit:
        """A moment as it is known, without a query: its score is 1.

        Raises:
            DataError: an unknown id.
        """
        row = int(self.locate(one)[0])
        return self._hit(Moment(row, 1.0, np.array([row], dtype=np.int64), None), "cosine")

    def scene(self, one: str) -> list[str]:
        """Ids of the moments of a moment's scene, in order of time; itself among them.

        Raises:
            DataError: an unknown id.
        """
        rows = self.timeline.scene_rows(int(self.locate(one)[0]))
        return list(dict.fromkeys(self.ids[row] for row in rows.tolist()))

    def _moments(
        self, query: FloatArray, metric: Metric, allowed: BoolArray | None, count: int, wanted: Wanted
    ) -> list[Moment]:
        def scan() -> ExactRanking:
            return self._scanner.rank(query, metric, None if allowed is None else np.flatnonzero(allowed))

        def measure(rows: IntArray) -> FloatArray:
            values = self._scanner.measure(query, metric, rows)
            return values if allowed is None else np.where(allowed[rows], values, -np.inf)

        ranker = self._ranker if metric == self.metric else None
        return find_moments(
            scan() if ranker is None else ranker(query, allowed, scan),
            measure,
            self._usual(measure, allowed),
            self.timeline,
            count,
            gap_us=wanted.gap_us,
            per_scene=wanted.per_scene,
        )

    def _usual(self, measure: Measure, allowed: BoolArray | None) -> float:
        """Likeness of a row like any other: the median of some, the same ones each time."""
        rows = np.arange(len(self), dtype=np.int64) if allowed is None else np.flatnonzero(allowed)
        if len(rows) > _SAMPLE:
            rows = rows[np.unique(np.random.default_rng(0).integers(0, len(rows), _SAMPLE))]
        values = measure(rows)
        known = values[np.isfinite(values)]
        return float(np.median(known)) if len(known) else 0.0

    @cached_property
    def _row_of(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row, one in enumerate(self.ids):
            if self._usable is None or self._usable[row]:
                found.setdefault(one, []).append(row)
        return found

    def _strings(self, name: str) -> list[str | None]:
        if name not in self._columns.column_names:
            return [None] * len(self)
        return [None if one is None else str(one) for one in self._columns[name].to_pylist()]

    def _times(self) -> list[int | None]:
        if "timestamp_us" not in self._columns.column_names:
            return [None] * len(self)
        numbers = self.fields.column("timestamp_us").kinds.get("number")
        if numbers is None:
            return [None] * len(self)
        return [None if one is None else int(one) for one in numbers.to_pylist()]

    def _hit(self, moment: Moment, metric: Metric) -> Hit:
        known = {name: self._columns[name][moment.best].as_py() for name in self._columns.column_names}
        own = {name: value for name, value in known.items() if name not in _KNOWN and value is not None}
        time_us = known.get("timestamp_us")
        start_us, end_us = moment.span_us or (time_us, time_us)
        return Hit(
            id=self.ids[moment.best],
            scene_id=str(known.get("scene_id") or self.ids[moment.best]),
            score=float(scores(np.array([moment.likeness]), metric)[0]),
            text=str(known.get("text") or ""),
            image_path=known.get("image_path"),
            series_path=known.get("series_path"),
            metadata={**own, **_mapping(known.get(METADATA))},
            location=known.get("location"),
            timestamp_us=time_us,
            start_us=start_us,
            end_us=end_us,
            frames=frames(moment, self.timeline),
        )


def _mapping(value: Any) -> dict[str, Any]:
    read = json.loads(value) if isinstance(value, str) and value else value
    return dict(read) if isinstance(read, dict) else {}


def _likely(one: str, known: Sequence[str], most: int = 5000) -> list[str]:
    """Of very many ids those worth comparing: with the same beginning, else the first ones."""
    if len(known) <= most:
        return list(known)
    for length in range(len(one), 2, -1):
        if alike := [name for name in known if name.startswith(one[:length])]:
            return alike[:most]
    return list(known[:most])
