"""Writing a feature table: one writer at a time, part by part, and whatever a killed run left is used."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from multimodal_search.errors import BundleError, OutputError
from multimodal_search.storage import ensure_writable_folder, output_error, remove_leftovers, write_atomically
from multimodal_search.tables.format import (
    FAILURES,
    MANIFEST,
    DamagedPartError,
    PartInfo,
    TableInfo,
    check_part,
    describe_part,
    read_manifest,
    write_manifest,
    write_part,
)
from multimodal_search.tables.reader import FeatureTable, refuse_other_encoder
from multimodal_search.types import Failure, FloatArray

_log = logging.getLogger(__name__)

LOCK = ".lock"
_ASK_AGAIN_SECONDS = 60.0


class TableWriter:
    """The one writer of a table, for a ``with`` block; rows that were added stay, whatever happens after.

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
        self._wait_seconds = wait_seconds
        self._replace = replace
        self._parts: dict[str, PartInfo] = {}  # in the order of writing
        self._unlisted = 0
        self._table: FeatureTable | None = None
        self._lock = FileLock(self.folder / LOCK)

    def __enter__(self) -> Self:
        ensure_writable_folder(self.folder)
        self._acquire()
        try:
            remove_leftovers(self.folder)
            if self._replace:
                self._clear()
            else:
                self._recover()
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
                self._list_parts()
        finally:
            self._lock.release()

    @property
    def table(self) -> FeatureTable:
        """The table as it stands, for reading."""
        if self._table is None:
            self._table = FeatureTable(self.folder, self.info, tuple(self._parts.values()))
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
        part = write_part(self.folder, self.info, ids, keys, vectors, columns or {}, self._sequence())
        self._parts.pop(part.name, None)
        self._parts[part.name] = part
        self._table = None
        self._unlisted += 1
        # the manifest grows with the table: rewritten a part, it would cost the square of the parts
        if self._unlisted * 16 >= len(self._parts):
            self._list_parts()

    def write_failures(self, failures: Iterable[Failure]) -> None:
        """Replace ``failures.jsonl``.

        Raises:
            OutputError: it cannot be written.
        """
        with write_atomically(self.folder / FAILURES) as file:
            for one in failures:
                line = {"id": one.id, "path": one.path, "reason": one.reason}
                file.write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))

    def _sequence(self) -> int:
        return 1 + next((part.sequence for part in reversed(self._parts.values())), 0)

    def _list_parts(self) -> None:
        write_manifest(self.folder, self.info, tuple(self._parts.values()))
        self._unlisted = 0

    def _acquire(self) -> None:
        waited = 0.0
        while True:
            left = None if self._wait_seconds is None else self._wait_seconds - waited
            turn = 1.0 if waited == 0.0 else _ASK_AGAIN_SECONDS
            turn = turn if left is None else max(0.0, min(turn, left))
            try:
                self._lock.acquire(timeout=turn, poll_interval=0.1)
                break
            except Timeout:
                waited += turn
                if left is not None and waited >= (self._wait_seconds or 0.0):
                    raise OutputError(
                        f"Another run writes to this feature table ({self._holder()}).",
                        where=self.folder,
                        remedy="wait for it to end, or stop it; what it wrote is used by the next run",
                    ) from None
                _log.warning("waiting for another run (%s) that writes to %s", self._holder(), self.folder)
            except OSError as error:
                raise output_error(error, self.folder / LOCK) from error
        with contextlib.suppress(OSError):  # Windows lets nobody write into a locked file
            (self.folder / LOCK).write_text(f"process {os.getpid()} on {socket.gethostname()}\n")

    def _holder(self) -> str:
        try:
            return (self.folder / LOCK).read_text().strip() or "unknown process"
        except OSError:
            return "unknown process"

    def _clear(self) -> None:
        (self.folder / MANIFEST).unlink(missing_ok=True)  # first: without it there is no table
        for pattern in ("part-*.parquet", "part-*.npy", FAILURES):
            for path in self.folder.glob(pattern):
                path.unlink()
        self._unlisted = 1

    def _recover(self) -> None:
        listed: list[PartInfo] = []
        try:
            found, listed = read_manifest(self.folder)
            self._refuse_other_table(found)
        except FileNotFoundError:
            pass
        except DamagedPartError as error:
            _log.warning("%s: %s; it is written anew from the parts", self.folder, error)
        for part in listed:
            try:
                check_part(self.folder, part, checksums=True)
                self._parts[part.name] = part
            except DamagedPartError as error:
                self._drop(part.name, error)
        self._adopt({part.name for part in listed})
        if not listed or [part.name for part in listed] != list(self._parts):
            self._list_parts()

    def _adopt(self, listed: set[str]) -> None:
        """Take up whole parts that a killed run wrote after its last manifest."""
        adopted: list[PartInfo] = []
        for path in sorted(self.folder.glob("part-*.parquet")):
            if path.stem in listed:
                continue
            try:
                part, fingerprint = describe_part(self.folder, path.stem)
            except DamagedPartError as error:
                self._drop(path.stem, error)
                continue
            refuse_other_encoder(self.folder, fingerprint, self.info.fingerprint)
            adopted.append(part)
        both = sorted([*self._parts.values(), *adopted], key=lambda part: (part.sequence, part.name))
        self._parts = {part.name: part for part in both}
        for path in self.folder.glob("part-*.npy"):
            if not path.with_suffix(".parquet").exists():  # killed between a part's two files
                path.unlink()

    def _drop(self, name: str, reason: DamagedPartError) -> None:
        _log.warning("%s: %s; its rows are computed again", self.folder, reason)
        for suffix in (".parquet", ".npy"):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _refuse_other_table(self, found: TableInfo) -> None:
        refuse_other_encoder(self.folder, found.fingerprint, self.info.fingerprint)
        if (found.dim, found.dtype) != (self.info.dim, self.info.dtype):
            raise BundleError(
                f"The feature table here holds {found.dtype} vectors of {found.dim} values, "
                f"not {self.info.dtype} of {self.info.dim}.",
                where=self.folder,
                remedy="choose another folder, or remove this one",
            )


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
