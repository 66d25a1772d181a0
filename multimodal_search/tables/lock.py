"""One writer a table, in a local folder: a lock that the system frees when its process dies."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from multimodal_search.errors import OutputError
from multimodal_search.storage import output_error

_log = logging.getLogger(__name__)

_NAME = ".lock"
_ASK_AGAIN_SECONDS = 60.0
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class FolderLock:
    """The right to write into a folder that exists.

    Args:
        folder: the folder.
        kind: what it is, for the message.
    """

    def __init__(self, folder: Path, kind: str = "feature table") -> None:
        self._folder = folder
        self._kind = kind
        self._path = folder / _NAME
        self._lock = FileLock(self._path)

    def acquire(self, wait_seconds: float | None = None) -> None:
        """Wait for another run.

        Args:
            wait_seconds: at most; None: as long as it takes; 0: not at all.

        Raises:
            OutputError: another run still holds it, or there can be no lock here.
        """
        waited = 0.0
        while True:
            left = None if wait_seconds is None else wait_seconds - waited
            turn = 1.0 if waited == 0.0 else _ASK_AGAIN_SECONDS
            turn = turn if left is None else max(0.0, min(turn, left))
            try:
                self._lock.acquire(timeout=turn, poll_interval=0.1)
                break
            except Timeout:
                waited += turn
                if wait_seconds is not None and waited >= wait_seconds:
                    raise OutputError(
                        f"Another run writes to this {self._kind} ({self._holder()}).",
                        where=self._folder,
                        remedy="wait for it to end, or stop it; what it wrote is used by the next run",
                    ) from None
                _log.warning("waiting for another run (%s) that writes to %s", self._holder(), self._folder)
            except (OSError, NotImplementedError) as error:
                raise self._no_lock(error) from error
        with contextlib.suppress(OSError):  # Windows lets nobody write into a locked file
            self._path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")

    def check(self) -> None:
        """Nothing: the system takes no lock away from a live process."""

    def release(self) -> None:
        """Let others write."""
        self._lock.release()

    def _holder(self) -> str:
        try:
            return self._path.read_text().strip() or "unknown process"
        except OSError:
            return "unknown process"

    def _no_lock(self, error: OSError | NotImplementedError) -> OutputError:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            return output_error(error, self._path)
        return OutputError(
            f"The file system of this folder has no file locks ({error}), which keep two runs apart.",
            where=self._folder,
            remedy="write to a local disk (or mount the share with locks) and copy the folder afterwards",
        )
