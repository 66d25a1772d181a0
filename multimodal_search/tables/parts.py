"""One part: written whole, compared with what is known of it, recognised where nothing is known."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import DataError
from multimodal_search.storage import is_s3
from multimodal_search.storage.store import Store
from multimodal_search.tables.format import (
    FAILURES_SUFFIX,
    FORMAT,
    ROWS_SUFFIX,
    VECTORS_SUFFIX,
    DamagedPartError,
    PartInfo,
    TableInfo,
    part_name,
    stored_name,
)
from multimodal_search.types import FloatArray

_NPY: Any = np.lib.format  # numpy's stubs have no types for it


@dataclass(frozen=True, slots=True)
class PartFailure:
    """One input of a part that has no row.

    Attributes:
        id: of the input.
        path: its file, if it has one.
        reason: why.
        again: whether another try, in the next run, is worth it (a network that did not answer).
        key: the input's key as planned.
    """

    id: str
    path: str | None
    reason: str
    again: bool = False
    key: str = ""


def write_planned_part(
    store: Store,
    info: TableInfo,
    name: str,
    sequence: int,
    ids: Sequence[str],
    keys: Sequence[str],
    vectors: FloatArray,
    columns: Mapping[str, Sequence[Any]],
    failures: Sequence[PartFailure],
    *,
    inputs: int | None = None,
) -> PartInfo:
    """Write a part's files, each whole or not at all; the parquet file, written last, makes it count.

    The same rows give the same bytes, so that writing a part twice does no harm.

    Args:
        name: ``part_name`` of all inputs that the part was planned with.
        sequence: its place in the table.
        ids: one a row.
        vectors: (rows, dim) or (rows, patches, dim).
        columns: metadata, name -> one value a row.
        failures: inputs without a row.
        inputs: how many the part was planned with, those that another part holds included (default: none).

    Raises:
        OutputError: the store cannot be written.
    """
    array = np.ascontiguousarray(vectors, dtype=info.dtype)
    if array.shape != (len(ids), *info.row_shape):
        raise ValueError(f"vectors of shape {array.shape}, expected {(len(ids), *info.row_shape)}")
    if {"id", "key"} & set(columns):
        raise ValueError("the metadata columns 'id' and 'key' are taken")
    raw, listed = npy_bytes(array), encode_failures(failures)
    tried = [*ids, *(one.id for one in failures)]
    inputs = len(tried) if inputs is None else inputs
    own: dict[str, Any] = {
        "name": stored_name(name, sequence, tried if len(tried) < inputs else None),
        "sequence": sequence,
        "inputs": inputs,
        "vectors_bytes": len(raw),
        "vectors_sha256": hashlib.sha256(raw).hexdigest(),
        "failures": len(failures),
        "failures_bytes": len(listed),
        "failures_sha256": hashlib.sha256(listed).hexdigest() if failures else "",
    }
    rows = _rows_bytes(info, own, ids, keys, columns)
    part = PartInfo(rows=len(ids), rows_bytes=len(rows), rows_sha256=hashlib.sha256(rows).hexdigest(), **own)
    store.write(part.name + VECTORS_SUFFIX, memoryview(raw))
    if failures:
        store.write(part.name + FAILURES_SUFFIX, listed)
    store.write(part.name + ROWS_SUFFIX, memoryview(rows))
    return part


def npy_bytes(array: FloatArray) -> bytearray:
    """An array as a ``.npy`` file, with one copy of it."""
    head = io.BytesIO()
    _NPY.write_array_header_1_0(head, _NPY.header_data_from_array_1_0(array))
    content = bytearray(head.tell() + array.nbytes)
    content[: head.tell()] = head.getvalue()
    np.frombuffer(content, dtype=array.dtype, offset=head.tell())[:] = array.reshape(-1)
    return content


def _rows_bytes(
    info: TableInfo,
    own: Mapping[str, Any],
    ids: Sequence[str],
    keys: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
) -> pa.Buffer:
    described = {**own, "table": info.binding, "rows_hash": part_name(ids, keys)}
    table = pa.table({"id": pa.array(ids, pa.string()), "key": pa.array(keys, pa.string()), **columns})
    table = table.replace_schema_metadata({FORMAT: json.dumps({**described, "sha256": _digest(described)})})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def _digest(described: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def encode_failures(failures: Iterable[PartFailure]) -> bytes:
    """One JSON object a line."""
    lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in failures)
    return "".join(lines).encode("utf-8", "backslashreplace")


def decode_failures(raw: bytes) -> list[PartFailure]:
    """What ``encode_failures`` wrote."""
    return [PartFailure(**json.loads(line)) for line in raw.decode("utf-8").split("\n") if line]


def read_failures(store: Store, part: PartInfo) -> list[PartFailure]:
    """The inputs of a part that have no row."""
    return decode_failures(store.read(part.name + FAILURES_SUFFIX)) if part.failures else []


def read_rows(store: Store, part: PartInfo, columns: Sequence[str] | None = None) -> pa.Table:
    """id, key and metadata columns of a part."""
    source = pa.BufferReader(store.read(part.name + ROWS_SUFFIX))
    return pq.read_table(source, columns=None if columns is None else list(columns))


def compare_sizes(part: PartInfo, sizes: Mapping[str, int]) -> None:
    """Compare a part's files with a listing.

    Raises:
        DamagedPartError: one is missing or has another size.
    """
    for file_name, size, _ in part.files:
        if file_name not in sizes:
            raise DamagedPartError(f"{file_name} is missing")
        if sizes[file_name] != size:
            raise DamagedPartError(f"{file_name} has {sizes[file_name]} bytes, expected {size}")


def compare_checksums(store: Store, part: PartInfo) -> None:
    """Read a part's files once.

    Raises:
        DamagedPartError: one has another content than when it was written, or cannot be read.
    """
    for file_name, _, sha256 in part.files:
        try:
            found = _sha256(store, file_name)
        except (OSError, DataError) as error:
            if is_s3(store.url) and isinstance(error, DataError):  # the network, not the part
                raise
            raise DamagedPartError(f"{file_name} cannot be read: {error}") from error
        if found != sha256:
            raise DamagedPartError(f"{file_name} has another checksum than when it was written")


def recognise_part(store: Store, name: str, sizes: Mapping[str, int]) -> tuple[PartInfo, dict[str, Any]]:
    """Look at a part that no manifest lists: (part, ``TableInfo.binding`` of its table).

    Raises:
        DamagedPartError: its files are not whole, or are not this part's.
    """
    file_name = name + ROWS_SUFFIX
    try:
        raw = store.read(file_name)
        table = pq.read_table(pa.BufferReader(raw), page_checksum_verification=True)
        described = json.loads(table.schema.metadata[FORMAT.encode()])
        if described.pop("sha256") != _digest(described):
            raise DamagedPartError(f"{file_name} has another checksum than when it was written")
        binding: dict[str, Any] = described.pop("table")
        rows_hash = described.pop("rows_hash")
        part = PartInfo(
            rows=table.num_rows, rows_bytes=len(raw), rows_sha256=hashlib.sha256(raw).hexdigest(), **described
        )
        if part.name != name or part_name(table["id"].to_pylist(), table["key"].to_pylist()) != rows_hash:
            raise DamagedPartError(f"{file_name} holds other rows than its name says")
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DamagedPartError(f"{file_name} cannot be read: {error}") from error
    compare_sizes(part, sizes)
    compare_checksums(store, part)
    return part, binding


def _sha256(store: Store, file_name: str) -> str:
    if is_s3(store.url):
        return hashlib.sha256(store.read(file_name)).hexdigest()
    with Path(store.url, file_name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
