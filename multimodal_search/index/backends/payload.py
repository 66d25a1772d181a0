"""Metadata as an engine's payload: fields with types, a row's values, a row's id and digest."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.filters import Fields, flatten
from multimodal_search.filters.column import Column
from multimodal_search.filters.fields import METADATA
from multimodal_search.types import FloatArray

_log = logging.getLogger(__name__)

ID = "id"
DIGEST = "_digest"

Kind = Literal["keyword", "integer", "float", "bool", "datetime", "text", "stored", "empty"]
"""How a field is indexed. Not indexed: ``text`` (long ones), ``stored`` (lists, values of several types), and
``empty`` (no row has a value)."""

# Fixed for ever: another value would give every row that is there another id
_NAMESPACE = uuid.UUID("7a4f2c52-6a0e-5b5e-9b39-5d2d3a0c8f11")
# Nobody asks whether a description equals another; its index would cost more memory than its vector
_LONGEST_KEYWORD = 64.0
_SAMPLED_ROWS = 1000
_EVERY_TYPE = (0, "", True, [0, "", True])
_ARROW: dict[Kind, pa.DataType] = {
    "keyword": pa.string(),
    "text": pa.string(),
    "integer": pa.int64(),
    "bool": pa.bool_(),
    "datetime": pa.int64(),
    "empty": pa.null(),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999


def point_id(row_id: str) -> str:
    """The engine's id of a row: the same in every run, so that an upload can be repeated."""
    return str(uuid.uuid5(_NAMESPACE, row_id))


def digest(vector: FloatArray, payload: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a row's content: an upload sends what is missing or has changed."""
    content = hashlib.blake2b(np.ascontiguousarray(vector, dtype="<f4").tobytes(), digest_size=8)
    content.update(json.dumps(payload, sort_keys=True, ensure_ascii=False).encode())
    return content.hexdigest()


class Metadata:
    """A table's metadata as payloads: its columns, and the keys of the JSON in the column ``metadata``.

    Attributes:
        kinds: field -> how it is indexed.

    Raises:
        DataError: a field bears a name that the payload needs.
    """

    def __init__(self, columns: pa.Table | None) -> None:
        self.kinds: dict[str, Kind] = {}
        self._columns: dict[str, Column] = {}
        if columns is None:
            return
        times = {one.name for one in columns.schema if _is_moment(one.type)}
        fields = flatten(columns)
        plain = set(columns.column_names)
        for name in _names(fields, columns):
            if name in (ID, DIGEST):
                raise DataError(
                    f"A field is named {name!r}.", remedy="rename it: an engine's rows need that name"
                )
            if not name or '"' in name:
                _log.warning("the field %r is left out: an engine cannot address it; rename it", name)
                continue
            column = fields.column(name)
            self._columns[name] = column
            self.kinds[name] = "datetime" if name in times else _kind(column, typed=name in plain)

    def payloads(self, start: int, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """One payload a row from ``start`` on: its id, and every field that has a value."""
        names = list(self._columns)
        values = [
            _values(column, start, start + len(ids), moments=self.kinds[name] == "datetime")
            for name, column in self._columns.items()
        ]
        for row, one in enumerate(ids):
            payload: dict[str, Any] = {ID: one}
            for name, column in zip(names, values, strict=True):
                if column[row] is not None:
                    payload[name] = column[row]
            yield payload


def evaluable(rows: Sequence[Mapping[str, Any]], fields: Mapping[str, tuple[str, Kind]]) -> pa.Table:
    """Payloads as a table that a filter can be evaluated on.

    Args:
        rows: payloads.
        fields: name in the filter -> (field, its kind).

    Returns:
        One row a payload; then rows with a value of every type in fields of several types, so that a filter
        on a type that only other rows have is no mistake.
    """
    columns: dict[str, pa.Array] = {}
    mixed: list[dict[str, Any]] = [{} for _ in (*rows, *_EVERY_TYPE)]
    for asked, (name, kind) in fields.items():
        values = [row.get(name) for row in rows]
        if kind in ("stored", "float"):  # JSON's whole numbers stay whole
            types = _EVERY_TYPE if kind == "stored" else (0, None, None, None)
            for place, value in zip(mixed, [*values, *types], strict=True):
                place[asked] = value
            continue
        if kind == "datetime":
            values = [None if one is None else microseconds(one) for one in values]
        columns[asked] = pa.array([*values, *(None for _ in _EVERY_TYPE)], _ARROW[kind])
    columns[METADATA] = pa.array([json.dumps(one) for one in mixed], pa.string())
    return pa.table(columns)


def moment(time_us: int) -> str | None:
    """Microseconds since the epoch in ISO 8601, UTC; None outside the years 1 to 9999."""
    if not _FIRST_US <= time_us <= _LAST_US:
        return None
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat()


def microseconds(written: str) -> int:
    """What ``moment`` wrote."""
    return (datetime.fromisoformat(written) - _EPOCH) // timedelta(microseconds=1)


def _names(fields: Fields, columns: pa.Table) -> Iterator[str]:
    yield from fields.names
    for name in columns.column_names if METADATA in columns.column_names else []:
        # A key of the JSON with a column's name is asked for as metadata.<key>
        try:
            fields.column(f"{METADATA}.{name}")
        except SettingsError:
            continue
        yield f"{METADATA}.{name}"


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _kind(column: Column, *, typed: bool) -> Kind:
    if column.lists is not None or len(column.kinds) > 1:
        return "stored"
    if not column.kinds:
        return "empty"
    (kind, values), *_ = column.kinds.items()
    if kind == "true or false":
        return "bool"
    if kind == "number":
        # JSON knows one kind of number: 10 today may be 10.5 in the next table
        return "integer" if typed and pa.types.is_integer(values.type) else "float"
    lengths = [len(one) for one in values.slice(0, _SAMPLED_ROWS).to_pylist() if one is not None]
    return "text" if lengths and sum(lengths) / len(lengths) > _LONGEST_KEYWORD else "keyword"


def _values(column: Column, start: int, end: int, *, moments: bool = False) -> list[Any]:
    """Rows ``start`` to ``end`` as JSON holds them; None where there is nothing."""
    found: list[Any] = [None] * (end - start)
    for kind, array in column.kinds.items():
        for row, value in enumerate(array.slice(start, end - start).to_pylist()):
            if value is not None:
                found[row] = _finite(value) if kind == "number" else value
    if moments:
        found = [None if one is None else moment(int(one)) for one in found]
    if column.lists is not None:
        rows, values, present = column.lists
        first, last = np.searchsorted(rows, [start, end])
        for row, there in enumerate(present.slice(start, end - start).to_pylist()):
            found[row] = [] if there else found[row]
        members = _values(values, int(first), int(last))
        for owner, member in zip(rows[first:last].tolist(), members, strict=True):
            found[owner - start].append(member)
    return found


def _finite(number: float) -> float:
    """JSON has no infinity: the largest number stands for it, and orders the same."""
    return number if math.isfinite(number) else math.copysign(sys.float_info.max, number)
