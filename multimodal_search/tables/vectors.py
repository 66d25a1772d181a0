"""Vectors with ids, wherever they are: a feature table, a bundle, a Parquet file, or ``.npy``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import BundleError, DataError
from multimodal_search.storage import fetch_file, is_s3, open_store, write_atomically
from multimodal_search.tables.files.npy import ids_path, read_ids
from multimodal_search.tables.files.parquet import COLUMN
from multimodal_search.tables.format import FORMAT, MANIFEST
from multimodal_search.tables.opening import open_table
from multimodal_search.tables.reader import FeatureTable
from multimodal_search.types import EncoderCard, FloatArray, IntArray

BUNDLE_VECTORS = "vectors"
_BLOCK_ROWS = 8192
_FILES = (".npy", ".parquet", ".pq")


class VectorSet:
    """Rows of one length with an id each; vectors stay on the disk until they are asked for.

    Attributes:
        location: where they come from, for people.
        ids: one a row, each once.
        dim: length of a vector.
        fingerprint: of the encoder (or of the bundle's encoders and heads) that made them; None if unknown.
        card: of that encoder; None if unknown, or where there are several.
        columns: metadata in row order, without ``id``; None where there is none.
    """

    def __init__(
        self,
        location: str,
        ids: Sequence[str],
        dim: int,
        gather: Callable[[IntArray], FloatArray],
        *,
        fingerprint: str | None = None,
        card: EncoderCard | None = None,
        columns: pa.Table | None = None,
    ) -> None:
        self.location = location
        self.ids = ids
        self.dim = dim
        self.fingerprint = fingerprint
        self.card = card
        self.columns = columns
        self._gather = gather

    def __len__(self) -> int:
        return len(self.ids)

    def gather(self, rows: IntArray) -> FloatArray:
        """(n, dim) float32 of these rows, in their order."""
        return np.asarray(self._gather(np.asarray(rows, dtype=np.int64)), dtype=np.float32)

    def blocks(self, rows: int = _BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """(first row, (n, dim) float32), all rows in order."""
        for start in range(0, len(self), rows):
            yield start, self.gather(np.arange(start, min(start + rows, len(self)), dtype=np.int64))

    def array(self) -> FloatArray:
        """(rows, dim) float32, all in memory."""
        found = np.empty((len(self), self.dim), dtype=np.float32)
        for start, block in self.blocks():
            found[start : start + len(block)] = block
        return found

    def usable(self) -> npt.NDArray[np.bool_]:
        """(rows,) which vectors are finite and not zero: the others have no neighbours."""
        found = np.empty(len(self), dtype=np.bool_)
        for start, block in self.blocks():
            found[start : start + len(block)] = np.isfinite(block).all(axis=1) & block.any(axis=1)
        return found

    def select(self, rows: IntArray) -> VectorSet:
        """Some rows, in the given order."""
        kept = np.asarray(rows, dtype=np.int64)
        return VectorSet(
            self.location,
            [self.ids[row] for row in kept.tolist()],
            self.dim,
            lambda some: self._gather(kept[some]),
            fingerprint=self.fingerprint,
            card=self.card,
            columns=None if self.columns is None else self.columns.take(pa.array(kept)),
        )


def open_vectors(
    location: str | Path, *, ids: str | Path | None = None, modality: str | None = None
) -> VectorSet:
    """Open vectors for reading.

    Args:
        location: a feature table (a folder), a bundle, a ``.parquet`` file with a column ``embedding`` of
            equally long lists, or a ``.npy`` file of shape (rows, dim); each of them local or on ``s3://``.
        ids: with ``.npy``: a file with one id a line (default: ``<name>.ids.txt`` beside it, then
            ``ids.txt``, then row numbers).
        modality: only rows of this ``type`` (``image``, ``text``, ``timeseries``), where they tell theirs.

    Raises:
        DataError: nothing is there, or it is no set of vectors; ids that do not fit.
        BundleError: a feature table that is not whole.
    """
    if is_s3(location) and Path(location).suffix in _FILES:
        path = _fetched(str(location))
    elif is_s3(location):
        inside = f"{str(location).rstrip('/')}/{BUNDLE_VECTORS}"
        there = MANIFEST in open_store(inside).names(MANIFEST)
        return _of_modality(_from_table(open_table(inside if there else location), str(location)), modality)
    else:
        path = Path(location).expanduser()
    if path.suffix == ".npy":
        return _of_modality(_from_npy(path, None if ids is None else Path(ids)), modality)
    if path.suffix in _FILES:
        return _of_modality(_from_parquet(path), modality)
    if (path / BUNDLE_VECTORS / MANIFEST).is_file():
        return _of_modality(_from_table(open_table(path / BUNDLE_VECTORS, verify=False), str(path)), modality)
    if (path / MANIFEST).is_file():
        return _of_modality(_from_table(open_table(path, verify=False), str(path)), modality)
    raise DataError(
        "There are no vectors here." if path.exists() else "There is no such file or folder.",
        where=location,
        remedy="a feature table (a folder with manifest.json), a bundle, a .parquet file, or .npy with ids",
    )


def _fetched(url: str) -> Path:
    try:
        path = fetch_file(url)
    except FileNotFoundError:
        raise DataError("There is no such object.", where=url, remedy="check bucket and key") from None
    if path.suffix == ".npy":
        beside = ids_path(path)
        with contextlib.suppress(FileNotFoundError):
            ids = fetch_file(f"{url.rpartition('/')[0]}/{beside.name}")
            with write_atomically(beside) as file:
                file.write(ids.read_bytes())
    return path


def _from_table(table: FeatureTable, location: str) -> VectorSet:
    if table.info.patches is not None:
        raise DataError(
            "These are grids of patches: several vectors a row.",
            where=location,
            remedy="embed with --pool mean or default",
        )
    rows = table.latest_rows()
    columns = table.columns()
    if len(rows) < len(table):
        columns = columns.take(pa.array(rows))
    others = [name for name in columns.column_names if name not in ("id", "key")]
    return VectorSet(
        location,
        columns["id"].to_pylist() if len(rows) else [],
        table.info.dim,
        lambda some: table.gather(rows[some]),
        fingerprint=table.info.fingerprint,
        card=table.info.card,
        columns=columns.select(others) if others else None,
    )


def _of_modality(found: VectorSet, modality: str | None) -> VectorSet:
    if modality is None or (found.card is not None and found.card.modality.value == modality):
        return found
    if found.columns is None or "type" not in found.columns.column_names:
        raise DataError(
            "These vectors do not say of which modality they are.",
            where=found.location,
            remedy="leave the modality out, or name a bundle",
        )
    kinds = np.asarray(found.columns["type"].to_pylist(), dtype=np.str_)
    return found.select(np.flatnonzero(kinds == modality))


def _from_npy(path: Path, ids: Path | None) -> VectorSet:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError("There is no such file.", where=path, remedy="check the path") from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"This is no .npy file that can be read: {error}.", where=path, remedy="write it with numpy.save"
        ) from error
    if array.ndim != 2 or array.dtype.kind != "f":
        raise DataError(
            f"An array of {array.dtype} {array.shape}, not of numbers (rows, dim).",
            where=path,
            remedy="one row a vector",
        )
    names = _names(path, ids, len(array))
    return VectorSet(str(path), names, array.shape[1], lambda rows: array[rows])


def _names(path: Path, ids: Path | None, count: int) -> list[str]:
    places = [ids] if ids is not None else [ids_path(path), path.with_name("ids.txt")]
    for place in places:
        if place.is_file():
            names = read_ids(place)
            break
    else:
        if ids is not None:
            raise DataError("There is no such file of ids.", where=ids, remedy="check the path")
        return [str(row) for row in range(count)]
    if len(names) != count:
        raise DataError(
            f"{len(names)} ids for {count} vectors.", where=place, remedy="one id a line, in row order"
        )
    if len(set(names)) != count:
        twice = next(one for one in names if names.count(one) > 1)
        raise DataError(f"The id {twice!r} stands there twice.", where=place, remedy="make ids unique")
    return names


def _from_parquet(path: Path) -> VectorSet:
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError("There is no such file.", where=path, remedy="check the path") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"This is no Parquet file that can be read: {error}.", where=path) from error
    if COLUMN not in table.column_names:
        raise DataError(
            f"No column {COLUMN!r} among {', '.join(table.column_names)}.",
            where=path,
            remedy=f"name the column of vectors {COLUMN!r}",
        )
    vectors = _lists(table[COLUMN].combine_chunks(), path)
    ids = (
        [str(one) for one in table["id"].to_pylist()]
        if "id" in table.column_names
        else [str(row) for row in range(len(vectors))]
    )
    if len(set(ids)) != len(ids):
        raise DataError("Ids stand there more than once.", where=path, remedy="make the column id unique")
    others = [name for name in table.column_names if name not in ("id", "key", COLUMN)]
    about = _described(table.schema, path)
    return VectorSet(
        str(path),
        ids,
        vectors.shape[1],
        lambda rows: vectors[rows],
        fingerprint=str(about["fingerprint"]) if about else None,
        card=EncoderCard.from_json(about["card"]) if about and about.get("card") else None,
        columns=table.select(others).replace_schema_metadata(None) if others else None,
    )


def _lists(column: pa.Array, path: Path) -> FloatArray:
    if column.null_count:
        raise DataError(f"{column.null_count} rows have no vector.", where=path, remedy="leave them out")
    if not pa.types.is_fixed_size_list(column.type):
        lengths = set(column.value_lengths().unique().to_pylist()) if len(column) else {0}
        if len(lengths) != 1:
            raise DataError("The vectors differ in length.", where=path, remedy="one encoder a file")
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat).reshape(len(column), -1)


def _described(schema: pa.Schema, path: Path) -> dict[str, Any] | None:
    """What the file says of its encoder; None where another program wrote it."""
    raw = (schema.metadata or {}).get(FORMAT.encode())
    if raw is None:
        return None
    try:
        described: dict[str, Any] = json.loads(raw)
    except ValueError as error:
        raise BundleError("The file's description cannot be read.", where=path) from error
    if described.get("patches"):
        raise DataError("These are grids of patches.", where=path, remedy="embed with --pool mean or default")
    return described
