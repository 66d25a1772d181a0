"""The files of a feature table.

::

    part-<hash>.npy       (rows, dim) float32 or float16
    part-<hash>.parquet   id, key and metadata columns of the same rows; renamed into place after the .npy
    manifest.json         encoder, fingerprint, dim, dtype, and the whole parts with sizes and checksums
    failures.jsonl        inputs that could not be used in the last run, and why

A part's name is a hash of its rows' ids and keys, and its parquet file carries the checksum of its vectors: a
table whose manifest is lost, or is behind its parts after a kill, is put together again from the parts alone.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import BundleError
from multimodal_search.storage import write_atomically, write_json
from multimodal_search.types import EncoderCard, FloatArray

FORMAT = "multimodal_search.feature_table"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
FAILURES = "failures.jsonl"
_REMEDY = "remove this folder and run again: the features are computed anew"


@dataclass(frozen=True, slots=True)
class TableInfo:
    """What all rows of a table have in common.

    Attributes:
        fingerprint: of the encoder (and projector) that made the vectors.
        dim: length of a vector.
        card: of the encoder, None for vectors that no single encoder made.
        normalised: whether vectors have length 1.
        source: which data the rows come from, for people.
        settings: how they were made, for people.
    """

    fingerprint: str
    dim: int
    card: EncoderCard | None = None
    normalised: bool = True
    dtype: Literal["float32", "float16"] = "float32"
    source: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One part as the manifest lists it."""

    name: str
    rows: int
    vectors_bytes: int
    vectors_sha256: str
    rows_bytes: int
    rows_sha256: str
    sequence: int


class DamagedPartError(Exception):
    """A part that is not whole; the reason is for the warning."""


def part_name(ids: Sequence[str], keys: Sequence[str]) -> str:
    """The name of the part that holds these rows in this order."""
    digest = hashlib.sha256()
    for texts in (ids, keys):
        for text in texts:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little"))
            digest.update(raw)
    return f"part-{digest.hexdigest()[:16]}"


def write_part(
    folder: Path,
    info: TableInfo,
    ids: Sequence[str],
    keys: Sequence[str],
    vectors: FloatArray,
    columns: Mapping[str, Sequence[Any]],
    sequence: int,
) -> PartInfo:
    """Write both files of a part, each whole or not at all; the parquet file, written last, makes it count.

    Args:
        vectors: (rows, dim).
        columns: metadata, name -> one value a row.
        sequence: its place in the order of writing; of two rows with one id, the later part's holds.
    """
    name = part_name(ids, keys)
    array = np.ascontiguousarray(vectors, dtype=info.dtype)
    if array.shape != (len(ids), info.dim):
        raise ValueError(f"vectors of shape {array.shape}, expected {(len(ids), info.dim)}")
    if {"id", "key"} & set(columns):
        raise ValueError("the metadata columns 'id' and 'key' are taken")
    # not straight into the file: numpy's message on a full disk says neither what nor where
    memory = io.BytesIO()
    np.save(memory, array, allow_pickle=False)
    raw = memory.getbuffer()
    vectors_sha256 = hashlib.sha256(raw).hexdigest()
    described = {
        "fingerprint": info.fingerprint,
        "vectors_sha256": vectors_sha256,
        "vectors_bytes": raw.nbytes,
        "sequence": sequence,
    }
    table = pa.table({"id": pa.array(ids, pa.string()), "key": pa.array(keys, pa.string()), **columns})
    table = table.replace_schema_metadata({FORMAT: json.dumps(described)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    rows = sink.getvalue()
    with write_atomically(folder / f"{name}.npy") as file:
        file.write(raw)
    with write_atomically(folder / f"{name}.parquet") as file:
        file.write(rows)
    return PartInfo(
        name=name,
        rows=len(ids),
        vectors_bytes=raw.nbytes,
        vectors_sha256=vectors_sha256,
        rows_bytes=rows.size,
        rows_sha256=hashlib.sha256(rows).hexdigest(),
        sequence=sequence,
    )


def check_part(folder: Path, part: PartInfo, *, checksums: bool) -> None:
    """Compare a part's files with what the manifest says of them.

    Raises:
        DamagedPartError: a file is missing, has another size, or (with ``checksums``) another content.
    """
    expected = (
        (folder / f"{part.name}.npy", part.vectors_bytes, part.vectors_sha256),
        (folder / f"{part.name}.parquet", part.rows_bytes, part.rows_sha256),
    )
    for path, size, checksum in expected:
        try:
            if path.stat().st_size != size:
                raise DamagedPartError(f"{path.name} has {path.stat().st_size} bytes, expected {size}")
            if checksums and file_sha256(path) != checksum:
                raise DamagedPartError(f"{path.name} has another checksum than when it was written")
        except OSError as error:
            raise DamagedPartError(f"{path.name} cannot be read: {error.strerror}") from error


def describe_part(folder: Path, name: str) -> tuple[PartInfo, str]:
    """Look at a part that no manifest lists: (part, fingerprint of its encoder).

    Raises:
        DamagedPartError: its files are not whole, or hold other rows than its name says.
    """
    rows_path, vectors_path = folder / f"{name}.parquet", folder / f"{name}.npy"
    try:
        table = pq.read_table(rows_path)
        described = json.loads(table.schema.metadata[FORMAT.encode()])
        part = PartInfo(
            name=name,
            rows=table.num_rows,
            vectors_bytes=described["vectors_bytes"],
            vectors_sha256=described["vectors_sha256"],
            rows_bytes=rows_path.stat().st_size,
            rows_sha256=file_sha256(rows_path),
            sequence=int(described["sequence"]),
        )
        if part_name(table["id"].to_pylist(), table["key"].to_pylist()) != name:
            raise DamagedPartError(f"{rows_path.name} holds other rows than its name says")
        fingerprint = str(described["fingerprint"])
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise DamagedPartError(f"{rows_path.name} cannot be read: {error}") from error
    if not vectors_path.exists():
        raise DamagedPartError(f"{vectors_path.name} is missing")
    check_part(folder, part, checksums=True)
    return part, fingerprint


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, info: TableInfo, parts: Sequence[PartInfo]) -> None:
    """Write ``manifest.json`` atomically; only whole parts may be listed."""
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "card": info.card.to_json() if info.card else None,
        "fingerprint": info.fingerprint,
        "pool": info.card.pool if info.card else None,
        "normalised": info.normalised,
        "dtype": info.dtype,
        "dim": info.dim,
        "rows": sum(part.rows for part in parts),
        "parts": [asdict(part) for part in parts],
        "source": dict(info.source),
        "settings": dict(info.settings),
    }
    write_json(folder / MANIFEST, manifest)


def read_manifest(folder: Path) -> tuple[TableInfo, list[PartInfo]]:
    """What the manifest says; nothing is compared with the parts yet.

    Raises:
        FileNotFoundError: there is no manifest.
        DamagedPartError: it cannot be understood; the parts can still be read without it.
        BundleError: it was written by a newer version.
    """
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise DamagedPartError(f"{MANIFEST} is of format {data['format']!r}, expected {FORMAT!r}")
        if data["format_version"] > FORMAT_VERSION:
            raise BundleError(
                f"The feature table's format is {data['format_version']}, newest known {FORMAT_VERSION}.",
                where=folder,
                remedy=f"upgrade multimodal-search, or {_REMEDY}",
            )
        info = TableInfo(
            fingerprint=data["fingerprint"],
            dim=data["dim"],
            card=EncoderCard.from_json(data["card"]) if data["card"] else None,
            normalised=data["normalised"],
            dtype=data["dtype"],
            source=data["source"],
            settings=data["settings"],
        )
        return info, [PartInfo(**part) for part in data["parts"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedPartError(f"{MANIFEST} lacks or misnames a field: {error}") from error
    except BundleError:  # a ValueError too, and meant for the user
        raise
    except ValueError as error:
        raise DamagedPartError(f"{MANIFEST} is not valid JSON: {error}") from error
