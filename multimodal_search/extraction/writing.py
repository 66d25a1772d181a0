"""The folder that extraction writes and ``sources.extracted`` reads; every scene is whole or not there."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from multimodal_search.errors import DataError, OutputError
from multimodal_search.sources import fields
from multimodal_search.sources.extracted import METADATA_FILE, SERIES_FOLDER
from multimodal_search.sources.paths import DataFolder
from multimodal_search.storage import ensure_writable_folder, output_error, write_atomically, write_json
from multimodal_search.storage.local import TEMPORARY_SUFFIX
from multimodal_search.tables.lock import FolderLock
from multimodal_search.types import Failure, FloatArray

MADE_FROM_FILE = "extraction.json"
FAILURES_FILE = "failures.jsonl"
IMAGES_FOLDER = "images"
_CHANNELS_FILE = "channels.json"
_JOURNAL_FILE = ".extraction.jsonl"


@dataclass(frozen=True, slots=True)
class Channel:
    """A column of the signals.

    Attributes:
        name: with its SI unit at the end, for example ``speed_mps``.
        unit: for people, for example ``m/s``.
    """

    name: str
    unit: str


class ExtractedWriter:
    """Scenes, pictures and signals, one scene after another; a killed run goes on where it was.

    A scene counts from the moment its line is in a journal, which is synced; its files are there by then.
    ``scenes_metadata.json`` and ``channels.json`` are put together from the journal by ``finish``.

    Args:
        folder: made if need be. Held by one run at a time, until ``close`` or the end of a ``with``.
        made_from: what decides the content: the source and the settings; JSON.
        overwrite: remove what an earlier extraction wrote here, instead of going on.

    Raises:
        OutputError: the folder holds something else, another run writes to it, or it cannot be written.
    """

    def __init__(self, folder: Path, made_from: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.folder = ensure_writable_folder(folder)
        self._paths = DataFolder(self.folder)
        self._lock = FolderLock(self.folder, "folder")
        self._lock.acquire(wait_seconds=0)
        self._records: dict[str, dict[str, Any]] = {}
        self._columns: dict[str, int] = {}
        self._failures: dict[str, list[Failure]] = {}
        self._fresh: dict[str, list[Failure]] = {}  # of this run
        try:
            self._claim(json.loads(json.dumps(dict(made_from))), overwrite)
            self._journal = (self.folder / _JOURNAL_FILE).open("ab", buffering=0)
        except OSError as error:
            self._lock.release()
            raise output_error(error, self.folder / _JOURNAL_FILE) from error
        except BaseException:
            self._lock.release()
            raise

    @property
    def finished(self) -> set[str]:
        """Ids of the scenes that are there, from earlier runs and from this one."""
        return set(self._records)

    @property
    def failures(self) -> list[Failure]:
        """What could not be used, in earlier runs and in this one; each once, by id.

        A scene that is written anew loses the failures of earlier runs.
        """
        return list(dict.fromkeys(one for key in sorted(self._failures) for one in self._failures[key]))

    def add_image(self, relative: str, content: bytes) -> str:
        """Write a picture; it belongs to the scene that is added next.

        Args:
            relative: under ``images/``, with ``/``; ``images/`` in front may be there or not.
            content: the file, as it is.

        Returns:
            The path for the record, relative to the folder.

        Raises:
            DataError: the path leaves the folder.
            OutputError: it cannot be written.
        """
        pictures = DataFolder(self.folder / IMAGES_FOLDER)
        inner = pictures.relative(relative.removeprefix(f"{IMAGES_FOLDER}/"), "the name of a picture")
        return self._write(f"{IMAGES_FOLDER}/{inner}", content)

    def add(self, record: dict[str, Any], series: FloatArray | None) -> None:
        """Write a scene: from here on no kill loses it. A scene of the same id is replaced.

        Args:
            record: of ``scenes_metadata.json``: scene_id, description, image_path, images, location,
                timestamp, log, metadata.
            series: (T, C) at the rate of ``finish``; NaN where there is no value.

        Raises:
            DataError: the scene's id cannot be a file name.
            OutputError: it cannot be written.
        """
        scene_id = record["scene_id"]
        record = {**record, "metadata": fields.flat(record.get("metadata") or {})}  # JSON has no NaN
        line: dict[str, Any] = {
            "record": record,
            "failures": [asdict(one) for one in self._fresh.get(scene_id, ())],
        }
        place = f"{SERIES_FOLDER}/{scene_id}.npy"
        if series is not None:
            line["columns"] = series.shape[1]
            buffer = io.BytesIO()
            np.save(buffer, np.asarray(series, dtype=np.float64), allow_pickle=False)
            self._write(place, buffer.getvalue())
        else:  # a scene that is written anew may have had one
            (self.folder / self._paths.relative(place, f"scene {scene_id!r}")).unlink(missing_ok=True)
        self._append(line)
        self._take(line)

    def fail(self, failure: Failure) -> None:
        """Keep what could not be used, and why; of a scene before it is added.

        Raises:
            OutputError: it cannot be written.
        """
        line = {"failure": asdict(failure)}
        self._append(line)
        self._take(line)
        self._fresh.setdefault(failure.id, []).append(failure)

    def finish(self, channels: Sequence[Channel], rate_hz: float) -> None:
        """Write the lists of scenes, channels and failures; may be called again after more scenes.

        Args:
            channels: the columns of every scene's series, in order; empty where there is no series.
            rate_hz: rows a second.

        Raises:
            DataError: a scene's series has another number of columns.
            OutputError: a list cannot be written.
        """
        for scene_id, columns in self._columns.items():
            if columns != len(channels):
                raise DataError(
                    f"The series of {scene_id!r} has {columns} columns; {len(channels)} are named.",
                    where=self.folder,
                    remedy="extract with --overwrite, or into another folder",
                )
        with write_atomically(self.folder / FAILURES_FILE, "w") as file:
            for failure in self.failures:
                file.write(json.dumps(asdict(failure)) + "\n")
        if channels:
            (self.folder / SERIES_FOLDER).mkdir(exist_ok=True)
            layout = {
                "channels": [one.name for one in channels],
                "units": [one.unit for one in channels],
                "rate_hz": rate_hz,
            }
            write_json(self.folder / SERIES_FOLDER / _CHANNELS_FILE, layout)
        write_json(self.folder / METADATA_FILE, [self._records[key] for key in sorted(self._records)])

    def close(self) -> None:
        """Let others write. What was added stays, also without ``finish``."""
        self._journal.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _claim(self, made_from: dict[str, Any], overwrite: bool) -> None:
        marker = self.folder / MADE_FROM_FILE
        before = _read_marker(marker)
        if before is None and (self.folder / METADATA_FILE).exists():
            raise OutputError(
                f"The folder has a {METADATA_FILE} that no extraction wrote; it is left alone.",
                where=self.folder,
                remedy="--output-dir another folder",
            )
        for leftover in self.folder.rglob(f".*{TEMPORARY_SUFFIX}"):
            leftover.unlink(missing_ok=True)  # of a killed run: the lock keeps live ones out
        if before is not None:
            self._read_journal()
            differ = sorted(key for key in {*before, *made_from} if before.get(key) != made_from.get(key))
            if overwrite:
                self._remove()
            elif differ:
                raise OutputError(
                    "The folder was extracted from something else: "
                    + "; ".join(
                        f"{key} was {fields.shown(before.get(key))}, is {fields.shown(made_from.get(key))}"
                        for key in differ
                    )
                    + ".",
                    where=self.folder,
                    remedy="--output-dir another folder, or --overwrite to begin again",
                )
        write_json(marker, made_from)

    def _remove(self) -> None:
        """Only what an extraction wrote: somebody may keep notes beside it."""
        for scene_id, record in self._records.items():
            named = [record.get("image_path"), *(record.get("images") or {}).values()]
            for path in [f"{SERIES_FOLDER}/{scene_id}.npy", *(one for one in named if one)]:
                (self.folder / self._paths.relative(path, self.folder)).unlink(missing_ok=True)
        for name in (METADATA_FILE, FAILURES_FILE, f"{SERIES_FOLDER}/{_CHANNELS_FILE}", _JOURNAL_FILE):
            (self.folder / name).unlink(missing_ok=True)
        self._records, self._columns, self._failures = {}, {}, {}

    def _read_journal(self) -> None:
        path = self.folder / _JOURNAL_FILE
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # a line that a kill cut short
            os.truncate(path, whole)
        for text in content[:whole].splitlines():
            with contextlib.suppress(ValueError):  # a torn block after a power cut: that scene is done again
                self._take(json.loads(text))

    def _take(self, line: Mapping[str, Any]) -> None:
        if "failure" in line:
            failure = Failure(**line["failure"])
            self._failures.setdefault(failure.id, []).append(failure)
            return
        record = line["record"]
        scene_id = record["scene_id"]
        self._records[scene_id] = record
        self._failures[scene_id] = [Failure(**one) for one in line["failures"]]
        self._columns.pop(scene_id, None)
        if "columns" in line:
            self._columns[scene_id] = line["columns"]

    def _append(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line, allow_nan=False) + "\n"  # escapes keep it ASCII
        path = self.folder / _JOURNAL_FILE
        before_bytes = path.stat().st_size
        try:
            if self._journal.write(text.encode()) < len(text):
                raise OSError(errno.ENOSPC, "a short write")
            os.fsync(self._journal.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line would spoil the next one
                os.truncate(path, before_bytes)
            raise output_error(error, path) from error

    def _write(self, relative: str, content: bytes) -> str:
        inside = self._paths.relative(relative, f"written to {self.folder}")
        path = self.folder / inside
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(path) as file:
                file.write(content)
        except OSError as error:
            raise output_error(error, path) from error
        return inside


def _read_marker(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path.name} cannot be read: {error}.", where=path, remedy="--output-dir another folder"
        ) from error
    return content if isinstance(content, dict) else {}
