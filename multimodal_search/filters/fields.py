"""The fields of a table of metadata: its columns, the keys of its JSON, and the members of its structs."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from multimodal_search.errors import DataError, SettingsError, nearest
from multimodal_search.filters.column import Column, Elements, Kind, Scalar

__all__ = ["METADATA", "Fields", "Scalar", "flatten"]

METADATA = "metadata"
_CHUNK_ROWS = 65_536
_KEPT: dict[int, tuple[weakref.ReferenceType[Any], Fields]] = {}


class Fields:
    """The fields of all rows, each made ready for comparing when it is first asked for.

    A column is found by its name; so is a key of the JSON in the column ``metadata`` (or
    ``metadata.<key>``, where a column has the key's name), and a struct's member as ``struct.member``.
    """

    def __init__(self, table: pa.Table) -> None:
        # another object over the same memory: ``flatten`` forgets these fields when the caller's table goes
        table = table.select(table.column_names)
        while any(pa.types.is_struct(one.type) for one in table.schema):
            table = table.flatten()
        self._table = table
        self._made: dict[str, Column] = {}
        self._json: Mapping[str, Column] | None = None

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def names(self) -> list[str]:
        """What can be asked for."""
        keys = [] if METADATA not in self._table.column_names else list(self._metadata())
        return list(dict.fromkeys([*(one for one in self._table.column_names if one != METADATA), *keys]))

    def column(self, name: str, *, where: object = None) -> Column:
        """One field.

        Args:
            where: the condition that asks, for the message.

        Raises:
            SettingsError: no row has it.
            DataError: the metadata is no JSON.
        """
        if name not in self._made:
            found = self._find(name)
            if found is None:
                names = self.names
                raise SettingsError(
                    f"No row has a field {name!r}.",
                    where=where,
                    remedy=nearest(name, names) if names else "these vectors have no metadata",
                )
            self._made[name] = found
        return self._made[name]

    def _find(self, name: str) -> Column | None:
        if name in self._table.column_names and name != METADATA:
            return from_arrow(name, self._table[name])
        if METADATA not in self._table.column_names:
            return None
        return self._metadata().get(name) or self._metadata().get(name.removeprefix(f"{METADATA}."))

    def _metadata(self) -> Mapping[str, Column]:
        if self._json is None:
            self._json = _read_json(self._table[METADATA])
        return self._json


def flatten(columns: pa.Table) -> Fields:
    """The fields of a table; the same table gives the same object while it lives: JSON is read once."""
    kept = _KEPT.get(id(columns))
    if kept is not None and kept[0]() is columns:
        return kept[1]
    fields = Fields(columns)
    place = id(columns)
    # bound now: at the interpreter's end the module's names are gone before the tables are
    _KEPT[place] = (weakref.ref(columns, partial(_forget, _KEPT, place)), fields)
    return fields


def _forget(kept: dict[int, Any], place: int, _: object) -> None:
    kept.pop(place, None)


def from_arrow(name: str, values: pa.ChunkedArray | pa.Array) -> Column:
    """A column by its Arrow type: times become microseconds since the epoch, NaN becomes null."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # an Arrow of more than 2 GB
        array = pa.concat_arrays(array.chunks)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return from_arrow(name, array.dictionary_decode())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return Column(name, len(array), {}, _elements(name, array))
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_time(kind):
        return Column(
            name, len(array), {"number": array.cast(pa.timestamp("us"), safe=False).cast(pa.int64())}
        )
    if pa.types.is_boolean(kind):
        return Column(name, len(array), {"true or false": array})
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column(name, len(array), {"text": array.cast(pa.string())})
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return Column(name, len(array), {"number": array.cast(pa.int64())})
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        wide = array.cast(pa.float64(), safe=False)
        return Column(name, len(array), {"number": pc.if_else(pc.is_nan(wide), pa.scalar(None), wide)})
    return Column(name, len(array), {})


def _elements(name: str, array: pa.Array) -> Elements:
    rows = pc.list_parent_indices(array).to_numpy(zero_copy_only=False).astype(np.int64)
    return Elements(rows, from_arrow(name, pc.list_flatten(array)), pc.is_valid(array))


def _read_json(column: pa.ChunkedArray) -> dict[str, Column]:
    """The keys of a column of JSON objects, in order of appearance."""
    chunks: dict[str, list[tuple[int, list[Any]]]] = {}
    for start in range(0, len(column), _CHUNK_ROWS):
        rows = _objects(column.slice(start, _CHUNK_ROWS).to_pylist(), start)
        keys = dict.fromkeys(key for row in rows for key in row)
        for key in keys:
            chunks.setdefault(key, []).append((start, [row.get(key) for row in rows]))
    return {key: _from_chunks(key, parts, len(column)) for key, parts in chunks.items()}


def _objects(texts: Sequence[str | None], start: int) -> list[Mapping[str, Any]]:
    try:
        # one call for all: half the time of one a row
        rows = json.loads(f"[{','.join(text or 'null' for text in texts)}]")
    except ValueError:
        rows = []
    if len(rows) != len(texts):
        rows = [_object(text, start + place) for place, text in enumerate(texts)]
    return [row if isinstance(row, dict) else {} for row in rows]


def _object(text: str | None, row: int) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError as error:
        raise DataError(f"The metadata of row {row} is no JSON: {error}.", where=text) from error


def _from_chunks(name: str, parts: Sequence[tuple[int, list[Any]]], rows: int) -> Column:
    pieces, end = [], 0
    for start, values in parts:
        pieces += [from_values(name, [None] * (start - end))] if start > end else []
        pieces.append(from_values(name, values))
        end = start + len(values)
    pieces += [from_values(name, [None] * (rows - end))] if rows > end else []
    return pieces[0] if len(pieces) == 1 else _joined(name, pieces, rows)


def from_values(name: str, values: Sequence[Any]) -> Column:
    """A column of values of any JSON type, split by type."""
    types = set(map(type, values)) - {type(None)}
    kinds: dict[Kind, pa.Array] = {}
    if types & {int, float}:
        whole = float not in types and all(-(2**63) <= one < 2**63 for one in values if type(one) is int)
        read: Callable[[int | float], int | float] = int if whole else _float
        kinds["number"] = pa.array(
            [read(one) if type(one) in (int, float) and one == one else None for one in values],
            pa.int64() if whole else pa.float64(),
        )
    if str in types:
        kinds["text"] = pa.array([one if type(one) is str else None for one in values], pa.string())
    if bool in types:
        kinds["true or false"] = pa.array([one if type(one) is bool else None for one in values], pa.bool_())
    if list not in types:
        return Column(name, len(values), kinds)
    lists = [(row, one) for row, one in enumerate(values) if type(one) is list]
    members = from_values(name, [member for _, one in lists for member in one])
    owners = np.repeat(np.array([row for row, _ in lists], dtype=np.int64), [len(one) for _, one in lists])
    present = pa.array([type(one) is list for one in values], pa.bool_())
    return Column(name, len(values), kinds, Elements(owners, members, present))


def _float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:  # JSON has whole numbers of any length
        return float("inf") if number > 0 else float("-inf")


def _joined(name: str, pieces: Sequence[Column], rows: int) -> Column:
    kinds: dict[Kind, pa.Array] = {}
    for kind in dict.fromkeys(kind for piece in pieces for kind in piece.kinds):
        arrays = [piece.kinds.get(kind) for piece in pieces]
        known = [one.type for one in arrays if one is not None]
        wanted = pa.float64() if pa.float64() in known else known[0]
        kinds[kind] = pa.concat_arrays(
            [
                pa.nulls(piece.rows, wanted) if one is None else one.cast(wanted, safe=False)
                for piece, one in zip(pieces, arrays, strict=True)
            ]
        )
    if all(piece.lists is None for piece in pieces):
        return Column(name, rows, kinds)
    owners, members, present, start = [], [], [], 0
    for piece in pieces:
        if piece.lists is None:
            present.append(pa.array(np.zeros(piece.rows, dtype=np.bool_)))
        else:
            owners.append(piece.lists.rows + start)
            members.append(piece.lists.values)
            present.append(piece.lists.present)
        start += piece.rows
    joined = _joined(name, members, sum(one.rows for one in members))
    return Column(name, rows, kinds, Elements(np.concatenate(owners), joined, pa.concat_arrays(present)))
