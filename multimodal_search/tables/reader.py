"""Reading a feature table: memory-mapped, gathered only where rows are scattered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import BundleError, EncoderError
from multimodal_search.tables.format import (
    FAILURES,
    DamagedPartError,
    PartInfo,
    TableInfo,
    check_part,
    read_manifest,
)
from multimodal_search.types import Failure, FloatArray, IntArray

_BLOCK_ROWS = 8192  # how many rows a copy takes at a time, so that no second copy of the table is ever held


class FeatureTable:
    """The rows of a table's whole parts, numbered 0 .. len - 1 in the order they were written.

    Attributes:
        folder: where it is.
        info: what all rows have in common.
        parts: the whole parts.
        damaged: part -> why it was left out (only with ``skip_damaged``).
    """

    def __init__(
        self, folder: Path, info: TableInfo, parts: Sequence[PartInfo], damaged: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.info = info
        self.parts = tuple(parts)
        self.damaged = damaged or {}
        self._offsets = np.cumsum([0, *(part.rows for part in self.parts)], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._offsets[-1])

    @cached_property
    def ids(self) -> list[str]:
        """One id a row. An input that changed has several rows; the last one holds."""
        return self._strings("id")

    @cached_property
    def keys(self) -> list[str]:
        """One content key a row: what the input was when it was encoded."""
        return self._strings("key")

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
        """(n, dim) the vectors of these rows, or of all: a read-only memory map, or one copy."""
        if rows is None:
            rows = np.arange(len(self), dtype=np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows outside 0 .. {len(self) - 1}")
        if len(rows) and (view := self._view(rows)) is not None:
            return view
        gathered = np.empty((len(rows), self.info.dim), dtype=self.info.dtype)
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

    def columns(self) -> pa.Table:
        """id, key and the metadata columns of all rows, in row order."""
        tables = [pq.read_table(self.folder / f"{part.name}.parquet") for part in self.parts]
        plain = [table.replace_schema_metadata(None) for table in tables]
        return pa.concat_tables(plain, promote_options="default") if plain else pa.table({})

    def failures(self) -> list[Failure]:
        """Inputs that could not be used in the last run that wrote here."""
        path = self.folder / FAILURES
        if not path.exists():
            return []
        return [Failure(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]

    @cached_property
    def _lookup(self) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        latest: dict[str, int] = {}
        former: dict[tuple[str, str], int] = {}
        for row, one in enumerate(self.ids):
            if one in latest:
                former[one, self.keys[latest[one]]] = latest[one]
            latest[one] = row
        return latest, former

    def _strings(self, column: str) -> list[str]:
        values: list[str] = []
        for part in self.parts:
            values += pq.read_table(self.folder / f"{part.name}.parquet", columns=[column])[
                column
            ].to_pylist()
        return values

    def _view(self, rows: IntArray) -> FloatArray | None:
        first = int(np.searchsorted(self._offsets, rows[0], side="right")) - 1
        low = int(rows[0] - self._offsets[first])
        if low + len(rows) > self.parts[first].rows or (np.diff(rows) != 1).any():
            return None
        return self._open(self.parts[first])[low : low + len(rows)]

    def _open(self, part: PartInfo) -> FloatArray:
        mapped: FloatArray = np.load(self.folder / f"{part.name}.npy", mmap_mode="r", allow_pickle=False)
        if mapped.shape != (part.rows, self.info.dim) or mapped.dtype != self.info.dtype:
            raise BundleError(
                f"{part.name}.npy holds {mapped.dtype} {mapped.shape}, not what the manifest says.",
                where=self.folder,
                remedy="remove this folder and run again",
            )
        return mapped


def open_table(
    folder: str | Path, *, fingerprint: str | None = None, verify: bool = True, skip_damaged: bool = False
) -> FeatureTable:
    """Open a feature table for reading.

    Args:
        folder: the table.
        fingerprint: of the encoder that asks; another one's table is refused.
        verify: read every part once and compare checksums (about 1 GB/s); sizes are compared always.
        skip_damaged: leave damaged parts out and list them in ``damaged``, instead of refusing the table.

    Raises:
        BundleError: there is no table, it cannot be understood, or a part is damaged.
        EncoderError: the table was made by another encoder.
    """
    folder = Path(folder)
    try:
        info, parts = read_manifest(folder)
    except (FileNotFoundError, NotADirectoryError, DamagedPartError) as error:
        reason = str(error) if isinstance(error, DamagedPartError) else "manifest.json is missing"
        raise BundleError(
            f"There is no whole feature table here: {reason}.",
            where=folder,
            remedy="run the command that made it again: it puts the table together from its parts",
        ) from error
    if fingerprint is not None:
        refuse_other_encoder(folder, info.fingerprint, fingerprint)
    whole, damaged = [], {}
    for part in parts:
        try:
            check_part(folder, part, checksums=verify)
            whole.append(part)
        except DamagedPartError as error:
            damaged[part.name] = str(error)
    if damaged and not skip_damaged:
        raise BundleError(
            f"{len(damaged)} of {len(parts)} parts are damaged: {next(iter(damaged.values()))}.",
            where=folder,
            remedy="run the command that made it again: it computes the damaged parts anew",
        )
    return FeatureTable(folder, info, whole, damaged)


def refuse_other_encoder(folder: Path, found: str, asked: str) -> None:
    """Raise EncoderError unless the two fingerprints are the same."""
    if found != asked:
        raise EncoderError(
            f"The feature table was made by another encoder ({found[:12]}, this one is {asked[:12]}).",
            where=folder,
            remedy="use the encoder that made it, or another folder: their vectors cannot be compared",
        )
