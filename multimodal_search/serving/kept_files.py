"""Files that can be made again, in a folder of limited size: what was not read for longest goes first."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path

from multimodal_search.errors import ProjectError
from multimodal_search.storage import ensure_writable_folder, write_atomically

_log = logging.getLogger(__name__)

_LEFT = 0.8  # of the limit, after a clearing: the next one is far away then


class KeptFiles:
    """A folder of files by name; several processes may share it. Safe to use from several threads.

    Args:
        folder: where it cannot be written, nothing is kept.
        largest_bytes: of all files together; a little more may be there for a moment.
    """

    def __init__(self, folder: Path, largest_bytes: int) -> None:
        self._folder: Path | None = folder
        self._largest_bytes = largest_bytes
        self._written_bytes: int | None = None  # unknown until the first file is written
        self._clearing = threading.Lock()
        try:
            ensure_writable_folder(folder)
        except ProjectError as error:
            _log.warning("thumbnails are not kept: %s", error)
            self._folder = None

    def read(self, name: str) -> bytes | None:
        """The content; None where it is not kept."""
        if self._folder is None:
            return None
        path = self._place(self._folder, name)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # not every disk notes when a file was read
        return content

    def write(self, name: str, content: bytes) -> None:
        """Keep it, if that is possible."""
        if self._folder is None:
            return
        path = self._place(self._folder, name)
        try:
            path.parent.mkdir(exist_ok=True)
            with write_atomically(path) as file:
                file.write(content)
            self._count(self._folder, len(content))
        except (ProjectError, OSError) as error:
            _log.warning("%s was not kept: %s", name, error)

    def _place(self, folder: Path, name: str) -> Path:
        return folder / name[:2] / name

    def _count(self, folder: Path, new_bytes: int) -> None:
        with self._clearing:
            if self._written_bytes is not None:
                self._written_bytes += new_bytes
                if self._written_bytes <= self._largest_bytes:
                    return
            # what other processes wrote and cleared is seen now
            files = [(one.stat(), one.path) for two in _entries(folder) for one in _entries(two.path)]
            total = sum(status.st_size for status, _ in files)
            if total > self._largest_bytes:
                for status, path in sorted(files, key=lambda file: file[0].st_mtime_ns):
                    if total <= _LEFT * self._largest_bytes:
                        break
                    with contextlib.suppress(FileNotFoundError):
                        Path(path).unlink()
                    total -= status.st_size
            self._written_bytes = total


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return list(entries)
    return []
