"""The map as columns: one point a moment, in little-endian binary that a page reads without a library.

``/map``: ``MMSMAP01``, uint32 n, float32 x[n], float32 y[n]; NaN where a moment has no place.
``/map/column/{field}``: ``MMSCOL01``, uint32 kind, uint32 n; kind 0: float32 values[n], NaN where there is
none (times in seconds since the earliest); kind 1: uint16 codes[n], 65535 where there is none, two bytes of
padding if n is odd, uint32 length and the names as JSON in UTF-8.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from multimodal_search.filters import Fields
from multimodal_search.search.searcher import Searcher
from multimodal_search.serving.answers import ClusterName
from multimodal_search.serving.map_places import clusters_of, places_of
from multimodal_search.serving.problems import Refused
from multimodal_search.types import FloatArray

_COLUMNS = ("moment_id", "scene_id", "text", "location", "timestamp_us", "metadata")
_HIDDEN = ("moment_id", "text")
_NO_CODE = 0xFFFF
_QUICK = 1  # coordinates hardly shrink: the least effort


class MapData:
    """The moments of a bundle and their places.

    Attributes:
        moments: a row a moment, in order of first appearance.
        count: how many.
        places: (count, 2) float32, NaN where there is none.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.moments = _moments(searcher.columns)
        self.count = self.moments.num_rows
        self.ids: list[str] = self.moments["moment_id"].to_pylist()
        self.places: npt.NDArray[np.float32] = places_of(searcher, self.moments).astype(np.float32)
        self._searcher = searcher
        self._packed: dict[str, bytes] = {}

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Id -> row."""
        return {one: row for row, one in enumerate(self.ids)}

    @cached_property
    def fields(self) -> Fields:
        """What is known of the moments."""
        return Fields(self.moments)

    @property
    def names(self) -> list[str]:
        """Fields that can be asked and coloured by."""
        return [name for name in self.fields.names if name not in _HIDDEN]

    def place(self, one: str) -> tuple[float, float] | None:
        """Where a moment lies."""
        row = self.row_of.get(one)
        if row is None or not np.isfinite(self.places[row]).all():
            return None
        return float(self.places[row, 0]), float(self.places[row, 1])

    def points(self) -> bytes:
        """``/map``, packed by gzip."""
        return self.kept("points", lambda: _points(self.places))

    def id_list(self) -> bytes:
        """``/map/ids``, packed by gzip."""
        return self.kept("ids", lambda: json.dumps(self.ids).encode())

    def column(self, name: str) -> bytes:
        """``/map/column/{field}``, packed by gzip.

        Raises:
            Refused: there is no such field (404).
        """
        if name == "cluster":
            return self.kept("cluster", lambda: _coded(self._clusters[0]))
        if name not in self.names:
            raise Refused(404, "There is no such field.", "GET /config lists them")
        return self.kept(f"column {name}", lambda: self._column(name))

    @property
    def clusters(self) -> list[ClusterName]:
        """Names on the map, the largest first."""
        return self._clusters[1]

    @cached_property
    def _clusters(self) -> tuple[list[str | None], list[ClusterName]]:
        return clusters_of(self._searcher, self.moments, self.places)

    def _column(self, name: str) -> bytes:
        kinds = self.fields.column(name).kinds
        if "number" in kinds:
            values = kinds["number"].to_numpy(zero_copy_only=False).astype(np.float64)
            if name == "timestamp_us":
                values = (values - np.nanmin(values)) / 1e6 if np.isfinite(values).any() else values
            return _numbers(values)
        for kind in ("text", "true or false"):
            if kind in kinds:
                return _coded([None if one is None else str(one) for one in kinds[kind].to_pylist()])
        return _coded([None] * self.count)

    def kept(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What ``make`` gives, packed by gzip; made once under this name."""
        if name not in self._packed:
            self._packed[name] = gzip.compress(make(), _QUICK, mtime=0)
        return self._packed[name]


def _moments(columns: pa.Table) -> pa.Table:
    codes = columns["moment_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.sort(np.unique(codes, return_index=True)[1])
    return columns.select(_COLUMNS).take(pa.array(first)).combine_chunks()


def _points(places: npt.NDArray[np.float32]) -> bytes:
    x, y = (np.ascontiguousarray(places[:, axis], dtype="<f4").tobytes() for axis in (0, 1))
    return b"MMSMAP01" + struct.pack("<I", len(places)) + x + y


def _numbers(values: FloatArray) -> bytes:
    with np.errstate(over="ignore"):
        narrow = values.astype("<f4")
    return b"MMSCOL01" + struct.pack("<II", 0, len(values)) + narrow.tobytes()


def _coded(values: list[str | None]) -> bytes:
    """The most frequent names have codes; of more than 65,535 the rest have none."""
    counts: dict[str, int] = {}
    for one in values:
        if one is not None:
            counts[one] = counts.get(one, 0) + 1
    names = sorted(counts, key=lambda one: (-counts[one], one))[:_NO_CODE]
    code = {name: number for number, name in enumerate(names)}
    codes = np.array([_NO_CODE if one is None else code.get(one, _NO_CODE) for one in values], dtype="<u2")
    listed = json.dumps(names).encode()
    padding = b"\0\0" if len(values) % 2 else b""
    head = b"MMSCOL01" + struct.pack("<II", 1, len(values))
    return head + codes.tobytes() + padding + struct.pack("<I", len(listed)) + listed
