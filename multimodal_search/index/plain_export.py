"""Vectors as plain Parquet that other programs load: LanceDB, and NVIDIA's Cosmos Dataset Search.

Neither the table's keys nor our description of it are in the file; rows without a usable vector are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import DataError
from multimodal_search.index.backends.payload import ID, Kind, Metadata
from multimodal_search.index.metric import prepared
from multimodal_search.storage import write_atomically
from multimodal_search.tables.files.parquet import COLUMN
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray

Format = Literal["lancedb", "cosmos"]

COSMOS_DIM = 256
_COSMOS_METADATA = "$meta"
_COSMOS_ID_BYTES = 255  # as its collections are made
_GROUP_ROWS = 16_384
_TYPES: dict[Kind, pa.DataType] = {
    "keyword": pa.string(),
    "text": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
}


def export_plain(
    vectors: VectorSet, out: Path, form: Format, *, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write ``id``, ``embedding`` and the metadata.

    ``lancedb``: ``embedding`` is a list of fixed length (which LanceDB takes for a vector), each field of the
    metadata a column; lists and fields of several types are JSON. ``cosmos``: the file that Cosmos Dataset
    Search inserts in bulk into Milvus: ``embedding`` a list of float32 of length one, all metadata as JSON in
    ``$meta`` (its ``docs/docs/cli-user-guide.md``, "Ingest Precomputed Embeddings", and
    ``scripts/evals/bulk_ingestion_performance/generate_data.py``).

    Args:
        out: the ``.parquet`` file.
        progress: called with (rows done, rows there are).

    Returns:
        How many rows were written.

    Raises:
        DataError: ids that Milvus cannot hold, fields that bear the names of our columns.
        OutputError: the disk is full or not writable.
    """
    metadata = Metadata(vectors.columns)
    if COLUMN in metadata.kinds:
        raise DataError(f"A field is named {COLUMN!r}, as the vectors are.", remedy="rename it")
    schema = _schema(vectors.dim, metadata.kinds, form)
    written = 0
    with write_atomically(out) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start, ids, block, payloads in _blocks(vectors, metadata):
            rows = (
                _lance(payloads, block, schema)
                if form == "lancedb"
                else _cosmos(ids, payloads, block, schema)
            )
            writer.write_table(rows)
            written += len(ids)
            if progress is not None:
                progress(min(start + _GROUP_ROWS, len(vectors)), len(vectors))
    return written


def _schema(dim: int, kinds: dict[str, Kind], form: Format) -> pa.Schema:
    name = pa.field(ID, pa.string(), nullable=False)
    if form == "cosmos":
        vector = pa.field(COLUMN, pa.list_(pa.float32()))
        return pa.schema([name, vector, pa.field(_COSMOS_METADATA, pa.string())])
    fields = [pa.field(one, _TYPES.get(kind, pa.string())) for one, kind in kinds.items()]
    return pa.schema([name, pa.field(COLUMN, pa.list_(pa.float32(), dim), nullable=False), *fields])


def _blocks(
    vectors: VectorSet, metadata: Metadata
) -> Iterator[tuple[int, list[str], FloatArray, list[dict[str, Any]]]]:
    for start, block in vectors.blocks(_GROUP_ROWS):
        usable = np.flatnonzero(np.isfinite(block).all(axis=1) & block.any(axis=1))
        payloads = list(metadata.payloads(start, list(vectors.ids[start : start + len(block)])))
        kept = [payloads[row] for row in usable.tolist()]
        yield start, [one[ID] for one in kept], block[usable], kept


def _lance(payloads: Sequence[dict[str, Any]], block: FloatArray, schema: pa.Schema) -> pa.Table:
    flat = pa.array(np.ascontiguousarray(block, dtype=np.float32).reshape(-1))
    arrays = []
    for field in schema:
        if field.name == COLUMN:
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
            continue
        values = [_as(field.type, one.get(field.name)) for one in payloads]
        array = pa.array(values, pa.string() if pa.types.is_timestamp(field.type) else field.type)
        arrays.append(array.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _as(kind: pa.DataType, value: Any) -> Any:
    """Lists and mixed values as JSON; a text in a column of texts as it is."""
    if pa.types.is_string(kind) and value is not None and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value


def _cosmos(
    ids: Sequence[str], payloads: Sequence[dict[str, Any]], block: FloatArray, schema: pa.Schema
) -> pa.Table:
    if long := next((one for one in ids if len(one.encode()) > _COSMOS_ID_BYTES), None):
        raise DataError(
            f"The id {long[:40]}... is longer than the 255 bytes of its collections.", remedy="shorten ids"
        )
    unit = prepared(block, "cosine")
    offsets = np.arange(0, unit.size + 1, unit.shape[1], dtype=np.int32)
    described = [
        json.dumps({name: value for name, value in one.items() if name != ID}, ensure_ascii=False)
        for one in payloads
    ]
    embedding = pa.ListArray.from_arrays(pa.array(offsets), pa.array(unit.reshape(-1)))
    return pa.Table.from_arrays([pa.array(ids, pa.string()), embedding, pa.array(described)], schema=schema)
