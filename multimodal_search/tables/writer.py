"""Writing a feature table from one process: part by part, and whatever a killed run left is used."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from multimodal_search.errors import OutputError
from multimodal_search.storage import LocalStore, ensure_writable_folder, remove_leftovers
from multimodal_search.tables.format import FAILURES, TableInfo, part_name
from multimodal_search.tables.lock import FolderLock
from multimodal_search.tables.manifest import PartList
from multimodal_search.tables.parts import write_planned_part
from multimodal_search.tables.reader import FeatureTable
from multimodal_search.tables.recovery import clear, recover
from multimodal_search.types import Failure, FloatArray


class TableWriter:
    """The one writer of a table, for a ``with`` block; rows that were added stay, whatever happens after.

    Its parts are planned as they come; ``PlannedTable`` is for parts that several processes write.
    Entering it waits for another run's lock (the system frees that of a dead process), removes temporary
    files, drops damaged parts with a warning, and takes up whole parts that no manifest lists yet.

    Args:
        folder: the table; made if need be.
        info: what all rows have in common.
        wait_seconds: how long to wait for another run that writes here; None: as long as it takes.
        replace: empty the table first.

    Raises (on entering):
        OutputError: the folder is not writable, or another run still writes here after ``wait_seconds``.
        EncoderError: another encoder's table is there.
        BundleError: a table of another shape or a newer format is there.
    """

    def __init__(
        self,
        folder: str | Path,
        info: TableInfo,
        *,
        wait_seconds: float | None = None,
        replace: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.info = info
        self._store = LocalStore(str(folder))
        self._wait_seconds = wait_seconds
        self._replace = replace
        self._parts = PartList(self._store, info)
        self._last_sequence = 0
        self._table: FeatureTable | None = None
        self._lock = FolderLock(self.folder)

    def __enter__(self) -> Self:
        ensure_writable_folder(self.folder)
        self._lock.acquire(self._wait_seconds)
        try:
            remove_leftovers(self.folder)
            if self._replace:
                clear(self._store)
            self._parts = recover(self._store, self.info)
            self._last_sequence = max((part.sequence for part in self._parts.sorted()), default=0)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # the parts are on the disk: a manifest that cannot be written must not hide what went wrong
            with contextlib.suppress(OutputError) if error else contextlib.nullcontext():
                self._parts.save()
        finally:
            self._lock.release()

    @property
    def table(self) -> FeatureTable:
        """The table as it stands, for reading."""
        if self._table is None:
            self._table = FeatureTable(self._store, self.info, self._parts.sorted())
        return self._table

    def add(
        self,
        ids: Sequence[str],
        keys: Sequence[str],
        vectors: FloatArray,
        columns: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Write rows as one part: when this returns, they survive a kill and a power cut.

        Args:
            ids: one a row.
            keys: what each input was when it was encoded; a row counts only while its input still is that.
            vectors: (rows, dim).
            columns: metadata, name -> one value a row.

        Raises:
            OutputError: the disk is full or not writable.
        """
        if not len(ids):
            return
        name, sequence = part_name(ids, keys), self._last_sequence + 1
        part = write_planned_part(
            self._store, self.info, name, sequence, ids, keys, vectors, columns or {}, ()
        )
        self._last_sequence = sequence
        self._table = None
        if self._parts.add(part):
            self._parts.save()

    def write_failures(self, failures: Iterable[Failure]) -> None:
        """Replace ``failures.jsonl``.

        Raises:
            OutputError: it cannot be written.
        """
        lines = (
            json.dumps({"id": one.id, "path": one.path, "reason": one.reason}, ensure_ascii=False) + "\n"
            for one in failures
        )
        self._store.write(FAILURES, "".join(lines).encode("utf-8", "backslashreplace"))


def write_table(
    folder: str | Path,
    info: TableInfo,
    blocks: Iterable[tuple[Sequence[str], FloatArray, Mapping[str, Sequence[Any]]]],
) -> FeatureTable:
    """Write a whole table anew, one part a block, so that only one block is in memory.

    Args:
        blocks: (ids, (rows, dim) vectors, metadata columns).

    Raises:
        OutputError: the disk is full, or the folder is not writable.
    """
    with TableWriter(folder, info, replace=True) as writer:
        for ids, vectors, columns in blocks:
            writer.add(ids, [""] * len(ids), vectors, columns)
    return writer.table
