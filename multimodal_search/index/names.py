"""Ids and metadata of a segment: an Arrow file, memory-mapped, so that opening an index reads none of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from multimodal_search.errors import BundleError, DataError
from multimodal_search.storage import write_atomically
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import BoolArray, IntArray

_BATCH_ROWS = 65_536


def write_names(path: Path, vectors: VectorSet) -> None:
    """Write the column ``id`` and the metadata columns.

    Raises:
        OutputError: the file cannot be written.
    """
    write_table(path, names_table(vectors))


def names_table(vectors: VectorSet) -> pa.Table:
    """Ids and metadata columns."""
    table = pa.table({"id": pa.array(vectors.ids, pa.string())})
    if vectors.columns is not None:
        for name in vectors.columns.column_names:
            table = table.append_column(vectors.columns.schema.field(name), vectors.columns[name])
    return table.replace_schema_metadata(None)


def write_table(path: Path, table: pa.Table) -> None:
    """Write ids and columns.

    Raises:
        OutputError: the file cannot be written.
    """
    with write_atomically(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=_BATCH_ROWS)


def _bytes_of(chunk: pa.Array) -> tuple[memoryview, memoryview]:
    """Where each string ends, and their bytes: a few ids are read ten times sooner than through scalars."""
    width = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
    _, ends, content = chunk.buffers()
    if ends is None:
        return np.zeros(1, width).data, memoryview(b"")
    whole = np.frombuffer(ends, width)[chunk.offset : chunk.offset + len(chunk) + 1]
    return whole.data, memoryview(content if content is not None else b"")


class Names:
    """Ids and metadata of all segments, in row order."""

    def __init__(self, paths: Sequence[Path]) -> None:
        try:
            tables = [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in paths]
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise BundleError(
                f"The ids of the index cannot be read ({error}).",
                where=paths[0].parent,
                remedy="restore the index from its backup, or build it again",
            ) from error
        self.table = pa.concat_tables(tables, promote_options="permissive")
        self._chunks = [_bytes_of(chunk) for chunk in self.table["id"].chunks]
        self._starts = [0, *accumulate(len(ends) - 1 for ends, _ in self._chunks)]

    def __len__(self) -> int:
        return self._starts[-1]

    def of(self, rows: IntArray) -> list[str | None]:
        """The ids of these rows; None where a row is -1."""
        if len(rows) > 1000:
            wanted = pa.array(rows, mask=rows < 0)
            found: list[str | None] = self.table["id"].take(wanted).to_pylist()
            return found
        names: list[str | None] = []
        for row in rows.tolist():
            if row < 0:
                names.append(None)
                continue
            place = bisect_right(self._starts, row) - 1
            ends, content = self._chunks[place]
            row -= self._starts[place]
            names.append(str(content[ends[row] : ends[row + 1]], "utf-8"))
        return names

    def rows_of(self, ids: Sequence[str], gone: BoolArray | None) -> IntArray:
        """(n,) the row of each id that is not gone, -1 where there is none."""
        wanted = pa.array(list(ids), pa.string())
        places = pc.index_in(self.table["id"], value_set=wanted)
        rows = np.flatnonzero(np.asarray(pc.is_valid(places)))
        if gone is not None:
            rows = rows[~gone[rows]]
        found = np.full(len(ids), -1, dtype=np.int64)
        first = places.take(pa.array(rows)).to_numpy() if len(rows) else np.empty(0, np.int64)
        found[first] = rows
        # an id that was asked for twice is found at its first place only
        firsts: IntArray = np.asarray(pc.index_in(wanted, value_set=wanted), dtype=np.int64)
        return np.take(found, firsts)

    def refuse_known(self, ids: Sequence[str], gone: BoolArray | None, where: Path) -> None:
        """Raise DataError where an id is there already."""
        rows = self.rows_of(ids, gone)
        if (rows >= 0).any():
            raise DataError(
                f"{int((rows >= 0).sum())} ids are in the index already, {ids[int(np.argmax(rows >= 0))]!r} "
                "first.",
                where=where,
                remedy="delete them before, or append with skip_known=True",
            )
