"""A table whose parts are planned by one process and written by many."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from multimodal_search.errors import DataError, OutputError
from multimodal_search.storage import ensure_writable_folder, is_s3, open_store, remove_leftovers
from multimodal_search.tables.format import FAILURES, PartInfo, TableInfo
from multimodal_search.tables.lease import Lease
from multimodal_search.tables.lock import FolderLock
from multimodal_search.tables.manifest import PartList
from multimodal_search.tables.parts import PartFailure, encode_failures
from multimodal_search.tables.reader import FeatureTable
from multimodal_search.tables.recovery import clear, recover, refuse_other_files
from multimodal_search.tables.rows import BoolArray, RowIndex, standing_failures
from multimodal_search.types import Failure, Input


class PlannedTable:
    """What is in a table and what it lacks, for a ``with`` block of the coordinating process.

    Workers write parts with ``write_planned_part``; here they are listed. Entering it refuses a second live
    run at once, removes temporary files, drops damaged parts with a warning, and takes up whole parts that no
    manifest lists yet. Leaving it writes ``manifest.json`` and ``failures.jsonl``.

    Args:
        location: a folder, made if need be, or an ``s3://`` prefix.
        info: what all rows have in common.
        overwrite: empty the table first; other files are never touched.
        verify_bytes: how much of the listed parts is compared by content (default: a few GB, the newest).

    Attributes:
        rows: in the table, those of changed inputs' former content included.
        failed: inputs without a row; exact on leaving, until then parts' failures are just added up.

    Raises (on entering):
        OutputError: not writable, another run writes here, or other files than a table's are there.
        EncoderError: another encoder's table is there.
        BundleError: a table made with other settings, or in a newer format, is there.
    """

    def __init__(
        self,
        location: str | Path,
        info: TableInfo,
        *,
        overwrite: bool = False,
        verify_bytes: int | None = None,
    ) -> None:
        self.store = open_store(location)
        self.info = info
        self.rows = 0
        self.failed = 0
        self._overwrite = overwrite
        self._verify_bytes = verify_bytes
        self._parts = PartList(self.store, info)
        self._index: RowIndex | None = None
        self._has_generations = False
        self._not_listed: list[Failure] = []
        self._folder = None if is_s3(location) else Path(self.store.url)
        self._lock = Lease(self.store) if self._folder is None else FolderLock(self._folder)

    def __enter__(self) -> Self:
        refuse_other_files(self.store)
        if self._folder is not None:
            ensure_writable_folder(self._folder)
        if isinstance(self._lock, Lease):
            self._lock.acquire()
        else:
            self._lock.acquire(wait_seconds=0)
        try:
            if self._folder is not None:
                remove_leftovers(self._folder)
            if self._overwrite:
                clear(self.store)
            self._parts = recover(self.store, self.info, verify_bytes=self._verify_bytes)
        except BaseException:
            self._lock.release()
            raise
        self.rows = sum(part.rows for part in self._parts.sorted())
        self._has_generations = any(part.generation for part in self._parts.sorted())
        self.failed = self._count_failed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # the parts are in the store: a list that cannot be written must not hide what went wrong
            with contextlib.suppress(OutputError, DataError) if error else contextlib.nullcontext():
                self._lock.check()
                self._parts.save()
                self._write_failures()
        finally:
            self._lock.release()

    def has(self, name: str) -> bool:
        """Whether all inputs that a part of this name is planned with are done, so that it can be left out.

        False also where that takes a look at each of them: where other parts hold some of its inputs, or
        have them with newer content. Ask ``known`` then.

        Raises:
            OutputError: another run took this output over.
        """
        self._refuse_if_lost()
        part = self._parts.get(name)
        if part is None or part.rows + part.failures < part.inputs:
            return False
        return not self._has_generations or name not in self._rows_at_start.stale

    def known(self, ids: Sequence[str], keys: Sequence[str]) -> tuple[BoolArray, int]:
        """((n,) which inputs were done when the run began, the generation of a part with the others).

        Done is a row of this content, or a failure (``to_try_again`` has those worth it). A key that is ""
        stands for any content. ``generation * 10**9 + place in the plan`` is the part's ``sequence``.

        Raises:
            OutputError: another run took this output over.
        """
        self._refuse_if_lost()
        return self._rows_at_start.known(ids, keys)

    def add(self, part: PartInfo, failures: int) -> None:
        """List a part that a worker wrote; the manifest is rewritten now and then.

        Raises:
            OutputError: it cannot be written, or another run took this output over.
        """
        self._refuse_if_lost()
        self.rows += part.rows
        self.failed += failures
        if self._parts.add(part):
            self._lock.check()
            self._parts.save()

    def to_try_again(self) -> list[Input]:
        """Failed inputs that are worth another try, and of which no part has a row."""
        parts = self._parts.sorted()
        return [
            Input(one.id, one.key, one.path or "")
            for one in standing_failures(self.store, parts)
            if one.again
        ]

    def list_failures(self, failures: Iterable[Failure]) -> None:
        """Failures that belong to no part (a folder that cannot be listed), for ``failures.jsonl``."""
        self._not_listed += failures

    @property
    def table(self) -> FeatureTable:
        """The table as it stands, for reading; of one on S3, parts are fetched when they are read."""
        return FeatureTable(self.store, self.info, self._parts.sorted())

    @property
    def _rows_at_start(self) -> RowIndex:
        if self._index is None:
            self._index = RowIndex(self.store, self._parts.sorted())
        return self._index

    def _refuse_if_lost(self) -> None:
        if isinstance(self._lock, Lease):
            self._lock.refuse_if_lost()

    def _count_failed(self) -> int:
        try:
            return self.store.read(FAILURES).count(b"\n")
        except FileNotFoundError:
            return sum(part.failures for part in self._parts.sorted())

    def _write_failures(self) -> None:
        recovered = self._index.recovered if self._index is not None else set()
        standing = standing_failures(self.store, self._parts.sorted())
        failures = [one for one in standing if one.id not in recovered]
        failures += [PartFailure(one.id, one.path, one.reason) for one in self._not_listed]
        self.failed = len(failures)
        if failures:
            self.store.write(FAILURES, encode_failures(failures))
        else:
            self.store.remove(FAILURES)
