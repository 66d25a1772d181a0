"""Reading a feature table: memory-mapped, gathered only where rows are scattered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import BundleError
from multimodal_search.storage import is_s3
from multimodal_search.storage.store import Store
from multimodal_search.tables.format import FAILURES, ROWS_SUFFIX, VECTORS_SUFFIX, PartInfo, TableInfo
from multimodal_search.tables.local_copy import LocalCopy
from multimodal_search.types import Failure, FloatArray, IntArray

_BLOCK_ROWS = 8192  # how many rows a copy takes at a time, so that no second copy of the table is ever held
_BLOCK_BYTES = 16 << 20


class FeatureTable:
    """The rows of a table's whole parts, numbered 0 .. len - 1 in the table's order.

    Attributes:
        store: where it is.
        folder: where its files are; of a table on S3, the local copy.
        info: what all rows have in common.
        parts: the whole parts.
        damaged: part -> why it was left out (only with ``skip_damaged``).
    """

    def __init__(
        self,
        store: Store,
        info: TableInfo,
        parts: Sequence[PartInfo],
        damaged: dict[str, str] | None = None,
        *,
        copy: LocalCopy | None = None,
    ) -> None:
        self.store = store
        self._copy = LocalCopy(store) if copy is None and is_s3(store.url) else copy
        self.folder = Path(store.url) if self._copy is None else self._copy.folder
        self.info = info
        self.parts = tuple(parts)
        self.damaged = damaged or {}
        self._offsets = np.cumsum([0, *(part.rows for part in self.parts)], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._offsets[-1])

    @cached_property
    def ids(self) -> list[str]:
        """One id a row. An input that changed has several rows; the last one holds."""
        return [one for part in self.parts for one in self._strings(part, "id")]

    @cached_property
    def keys(self) -> list[str]:
        """One content key a row: what the input was when it was encoded."""
        return [one for part in self.parts for one in self._strings(part, "key")]

    def locate(self, ids: Sequence[str], keys: Sequence[str] | None = None) -> IntArray:
        """(n,) the row of each id (with this content key, where keys are given), -1 where there is none."""
        found = np.full(len(ids), -1, dtype=np.int64)
        latest, former = self._lookup
        for i, one in enumerate(ids):
            row = latest.get(one, -1)
            if keys is not None and row >= 0 and self.keys[row] != keys[i]:
                row = former.get((one, keys[i]), -1)
            found[i] = row
        return found

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        """(n, dim) the vectors of these ids, a memory map where they lie together in one part.

        Raises:
            KeyError: an id is not in the table.
        """
        rows = self.locate(ids)
        if (rows < 0).any():
            raise KeyError(ids[int(np.argmax(rows < 0))])
        return self.gather(rows)

    def gather(self, rows: IntArray | None = None) -> FloatArray:
        """(n, dim), or (n, patches, dim), of these rows or of all: a read-only memory map, or one copy."""
        if rows is None:
            rows = np.arange(len(self), dtype=np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows outside 0 .. {len(self) - 1}")
        if len(rows) and (view := self._view(rows)) is not None:
            return view
        gathered = np.empty((len(rows), *self.info.row_shape), dtype=self.info.dtype)
        order = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[order], self._offsets)
        for part, first, start, stop in zip(self.parts, self._offsets, bounds, bounds[1:], strict=False):
            if start == stop:
                continue
            mapped = self._open(part)
            for low in range(start, stop, _BLOCK_ROWS):
                to = order[low : min(low + _BLOCK_ROWS, stop)]
                gathered[to] = mapped[rows[to] - first]
        return gathered

    def latest_rows(self) -> IntArray:
        """(n,) one row an id, in the table's order: of an input that changed, the last one."""
        hashes = np.empty(len(self), dtype=np.int64)
        for first, part in zip(self._offsets, self.parts, strict=False):
            strings = self._strings(part, "id")
            hashes[first : first + part.rows] = np.fromiter(map(hash, strings), np.int64, part.rows)
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        equal = np.flatnonzero(hashes[1:] == hashes[:-1])
        doubtful = np.sort(order[np.unique(np.concatenate([equal, equal + 1]))])
        keep = np.ones(len(self), dtype=np.bool_)
        keep[doubtful] = False
        keep[list(self._last_of(doubtful).values())] = True
        return np.flatnonzero(keep)

    def blocks(self) -> Iterator[tuple[pa.Table, FloatArray]]:
        """The latest row of each id, a few megabytes at a time: (id, key and columns; vectors)."""
        rows = self.latest_rows()
        row_bytes = int(np.prod(self.info.row_shape)) * np.dtype(self.info.dtype).itemsize
        step = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // max(1, row_bytes)))
        bounds = np.searchsorted(rows, self._offsets)
        for part, first, start, stop in zip(self.parts, self._offsets, bounds, bounds[1:], strict=False):
            if start == stop:
                continue
            columns, mapped = self._columns(part), self._open(part)
            for low in range(start, stop, step):
                some = rows[low : min(low + step, stop)] - first
                yield columns.take(pa.array(some)), np.asarray(mapped[some])

    def columns(self) -> pa.Table:
        """id, key and the metadata columns of all rows, in row order."""
        tables = [self._columns(part) for part in self.parts if part.rows]
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})

    def schema(self) -> pa.Schema:
        """Of ``columns``, without reading the rows."""
        files = (self._file(part, ROWS_SUFFIX) for part in self.parts if part.rows)
        schemas = [pq.read_schema(file).remove_metadata() for file in files]
        plain = pa.schema([("id", pa.string()), ("key", pa.string())])
        return pa.unify_schemas(schemas or [plain], promote_options="default")

    def failures(self) -> list[Failure]:
        """Inputs that have no row, and why."""
        try:
            text = self.store.read(FAILURES).decode("utf-8")
        except FileNotFoundError:
            return []
        lines = [json.loads(line) for line in text.split("\n") if line]
        return [Failure(line["id"], line["path"], line["reason"]) for line in lines]

    @cached_property
    def _lookup(self) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        latest: dict[str, int] = {}
        former: dict[tuple[str, str], int] = {}
        for row, one in enumerate(self.ids):
            if one in latest:
                former[one, self.keys[latest[one]]] = latest[one]
            latest[one] = row
        return latest, former

    def _last_of(self, rows: IntArray) -> dict[str, int]:
        """id -> its last row, of these rows in ascending order."""
        last: dict[str, int] = {}
        bounds = np.searchsorted(rows, self._offsets)
        for part, first, start, stop in zip(self.parts, self._offsets, bounds, bounds[1:], strict=False):
            if start < stop:
                strings = self._strings(part, "id")
                last.update((strings[row - first], row) for row in rows[start:stop].tolist())
        return last

    def _columns(self, part: PartInfo) -> pa.Table:
        return pq.read_table(self._file(part, ROWS_SUFFIX)).replace_schema_metadata(None)

    def _strings(self, part: PartInfo, column: str) -> list[str]:
        path = self._file(part, ROWS_SUFFIX)
        values: list[str] = pq.read_table(path, columns=[column])[column].to_pylist()
        return values

    def _file(self, part: PartInfo, suffix: str) -> Path:
        if self._copy is not None:
            self._copy.fetch(part)
        return self.folder / f"{part.name}{suffix}"

    def _view(self, rows: IntArray) -> FloatArray | None:
        first = int(np.searchsorted(self._offsets, rows[0], side="right")) - 1
        low = int(rows[0] - self._offsets[first])
        if low + len(rows) > self.parts[first].rows or (np.diff(rows) != 1).any():
            return None
        return self._open(self.parts[first])[low : low + len(rows)]

    def _open(self, part: PartInfo) -> FloatArray:
        path = self._file(part, VECTORS_SUFFIX)
        mapped: FloatArray = np.load(path, mmap_mode="r", allow_pickle=False)
        if mapped.shape != (part.rows, *self.info.row_shape) or mapped.dtype != self.info.dtype:
            raise BundleError(
                f"{path.name} holds {mapped.dtype} {mapped.shape}, not what the manifest says.",
                where=self.folder,
                remedy="remove this folder and run again",
            )
        return mapped
