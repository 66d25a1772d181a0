"""How far a long search for neighbours is, on the disk, so that a killed one goes on."""

from __future__ import annotations

import logging
import time
import zipfile
from pathlib import Path

import numpy as np

from multimodal_search.analysis.neighbors_best import Best
from multimodal_search.errors import OutputError
from multimodal_search.storage import write_atomically

_log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0


class Checkpoint:
    """The best neighbours so far and the number of the next step; without a path it keeps nothing.

    Args:
        path: of a ``.npz`` file, whole or absent.
        state: names what the steps are steps of; another state's file is left unread.
    """

    def __init__(self, path: Path | None = None, state: str = "") -> None:
        self._path = path
        self._state = state
        self._saved = time.monotonic()

    def of(self, state: str) -> Checkpoint:
        """The same place for steps that also depend on ``state``."""
        return Checkpoint(self._path, f"{self._state} {state}")

    def restore(self, best: Best) -> int:
        """Fill ``best``; returns the next step, 0 where nothing is there."""
        if self._path is None:
            return 0
        try:
            with np.load(self._path, allow_pickle=False) as file:
                if str(file["state"]) != self._state or file["rows"].shape != best.rows.shape:
                    return 0
                best.rows[:], best.scores[:], best.floor[:] = file["rows"], file["scores"], file["floor"]
                step = int(file["step"])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            _log.warning("%s cannot be read (%s): starting over", self._path, error)
            return 0
        _log.info("going on with a search for neighbours that was cut short")
        return step

    def save(self, best: Best, step: int) -> None:
        """Now and then: what goes on at ``step`` needs no more than this."""
        if self._path is None or time.monotonic() - self._saved < EVERY_SECONDS:
            return
        best.merge()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(self._path) as file:
                np.savez(
                    file, rows=best.rows, scores=best.scores, floor=best.floor, step=step, state=self._state
                )
        except (OSError, OutputError) as error:
            _log.warning("a killed run would start over: %s", error)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """The search is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
