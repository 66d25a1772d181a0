"""A map's files: rows with their places and neighbours, as Parquet or JSON, and how the map was made."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import DataError
from multimodal_search.filters.fields import METADATA, flatten
from multimodal_search.storage import write_atomically, write_json
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray

PARQUET_FILE, JSON_FILE, INFO_FILE = "map.parquet", "scenes_with_umap.json", "map_info.json"
_ROWS_A_GROUP = 65_536


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows and where they lie.

    Attributes:
        vectors: the rows, all usable.
        coordinates: (n, 2) float64.
        near: (n, k) the rows of the nearest others, -1 where there are fewer.
        away: (n, k) their distances.
        new: (n,) which rows were added to a former map; None on a new one.
        clusters: the name of each row's cluster; None where no clusters are given.
    """

    vectors: VectorSet
    coordinates: FloatArray
    near: npt.NDArray[np.int32]
    away: FloatArray
    new: npt.NDArray[np.bool_] | None = None
    clusters: Sequence[str | None] | None = None


@dataclass(frozen=True, slots=True)
class Former:
    """A map that is there: ids, their places, and how it was made."""

    ids: list[str]
    coordinates: FloatArray
    info: dict[str, Any]


def write_rows(folder: Path, placed: Placed, form: Literal["json", "parquet"]) -> Path:
    """``map.parquet`` or ``scenes_with_umap.json``; a former file of the other form goes.

    Columns: ``id``, those of the vectors (keys of the metadata as columns of their own where they are plain),
    ``cluster`` where it is known, ``projection_x``, ``projection_y``, and ``neighbors``: ``distances`` and
    ``ids``, which are row numbers of this file from 0, as embedding-atlas reads them.

    Raises:
        OutputError: the disk is full or not writable.
    """
    table = _table(placed)
    path, other = folder / PARQUET_FILE, folder / JSON_FILE
    if form == "json":
        path, other = other, path
        write_json(path, [_plain(row) for row in table.to_pylist()], indent=None)
    else:
        with write_atomically(path) as file:
            pq.write_table(table, file, row_group_size=_ROWS_A_GROUP, compression="zstd")
    other.unlink(missing_ok=True)
    return path


def read_former(folder: Path) -> Former:
    """The map in a folder.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    try:
        info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        if (folder / PARQUET_FILE).is_file():
            table = pq.read_table(folder / PARQUET_FILE, columns=["id", "projection_x", "projection_y"])
            rows = table.to_pydict()
        else:
            found = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))
            rows = {key: [one[key] for one in found] for key in ("id", "projection_x", "projection_y")}
        places = np.stack([np.asarray(rows[f"projection_{axis}"], dtype=np.float64) for axis in "xy"], axis=1)
        return Former([str(one) for one in rows["id"]], places, dict(info))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"There is no map that can be read here: {error}.",
            where=folder,
            remedy="the folder that 'multimodal-search map --out' wrote",
        ) from error


def _table(placed: Placed) -> pa.Table:
    ids = pa.array(placed.vectors.ids, pa.string())
    columns: dict[str, Any] = {"id": ids, **_metadata(placed.vectors.columns)}
    if placed.clusters is not None:
        columns["cluster"] = pa.array(placed.clusters, pa.string())
    if placed.new is not None:
        columns["new"] = pa.array(placed.new)
    columns["projection_x"] = pa.array(placed.coordinates[:, 0].astype(np.float32))
    columns["projection_y"] = pa.array(placed.coordinates[:, 1].astype(np.float32))
    columns["neighbors"] = _neighbours(placed.near, placed.away)
    return pa.table(columns)


def _neighbours(near: npt.NDArray[np.int32], away: FloatArray) -> pa.Array:
    there = near >= 0
    offsets = pa.array(np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32))
    distances = pa.array(away[there].astype(np.float32))
    return pa.StructArray.from_arrays(
        [
            pa.ListArray.from_arrays(offsets, distances),
            pa.ListArray.from_arrays(offsets, pa.array(near[there].astype(np.int32))),
        ],
        names=["distances", "ids"],
    )


def _metadata(columns: pa.Table | None) -> dict[str, Any]:
    """The columns, and the keys of the metadata that hold one type of plain value."""
    if columns is None:
        return {}
    found: dict[str, Any] = {name: columns[name] for name in columns.column_names if name != METADATA}
    if METADATA in columns.column_names:
        fields = flatten(columns)
        for name in fields.names:
            column = fields.column(name)
            if name not in found and len(column.kinds) == 1 and column.lists is None:
                found[name] = next(iter(column.kinds.values()))
    own = {"id", "projection_x", "projection_y", "neighbors"}
    return {name: values for name, values in found.items() if name not in own}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int) else str(value)
