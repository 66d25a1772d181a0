"""``.parquet``: a row an id, with its vector as a list of fixed length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.storage import write_atomically
from multimodal_search.tables.format import FORMAT
from multimodal_search.tables.manifest import describe
from multimodal_search.tables.reader import FeatureTable
from multimodal_search.types import FloatArray

COLUMN = "embedding"
_GROUP_BYTES = 32 << 20
_GROUP_ROWS = 65_536


def write_parquet(table: FeatureTable, path: Path, *, compression: str = "none") -> None:
    """Columns id, key, metadata and ``embedding``; a patch grid is one list, its shape in the metadata.

    The schema's metadata holds, as JSON under ``multimodal_search.feature_table``, what ``manifest.json``
    says of all rows, and ``shape`` (of a row).

    Args:
        compression: of the vectors: none, zstd or gzip. The other columns are always compressed.

    Raises:
        OutputError: the disk is full or not writable.
    """
    info = table.info
    vector = pa.list_(pa.from_numpy_dtype(np.dtype(info.dtype)), int(np.prod(info.row_shape)))
    described = {**describe(info), "shape": info.row_shape}
    schema = table.schema().append(pa.field(COLUMN, vector, nullable=False))
    schema = schema.with_metadata({FORMAT: json.dumps(described)})
    plain = [name for name in schema.names if name != COLUMN]
    with (
        write_atomically(path) as file,
        pq.ParquetWriter(
            file,
            schema,
            compression={f"{COLUMN}.list.element": compression, **dict.fromkeys(plain, "zstd")},
            use_dictionary=plain,
            write_statistics=plain,
            write_page_checksum=True,
        ) as writer,
    ):
        for group in _groups(table, schema):
            writer.write_table(group, row_group_size=_GROUP_ROWS)


def _groups(table: FeatureTable, schema: pa.Schema) -> Iterator[pa.Table]:
    """Row groups: large enough to read fast, small enough to read alone."""
    gathered: list[pa.Table] = []
    for columns, vectors in table.blocks():
        gathered.append(_joined(columns, vectors, schema))
        rows = sum(one.num_rows for one in gathered)
        if rows >= _GROUP_ROWS or sum(one.nbytes for one in gathered) >= _GROUP_BYTES:
            yield pa.concat_tables(gathered)
            gathered = []
    if gathered:
        yield pa.concat_tables(gathered)


def _joined(columns: pa.Table, vectors: FloatArray, schema: pa.Schema) -> pa.Table:
    arrays = [
        columns[field.name].cast(field.type)
        if field.name in columns.column_names
        else pa.nulls(columns.num_rows, field.type)
        for field in list(schema)[:-1]
    ]
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=schema.field(COLUMN).type))
    return pa.Table.from_arrays(arrays, schema=schema)
