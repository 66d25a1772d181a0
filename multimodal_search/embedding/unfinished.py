"""Batches of a part that is not complete yet: kept every few seconds, so that a kill loses little.

On a slow machine a part takes minutes. Its finished batches are stored beside the table, one small file a
checkpoint; a run that takes the part up again finds them, and writes the same part from them, bit for bit.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import OutputError
from multimodal_search.storage import write_atomically
from multimodal_search.tables import PartFailure
from multimodal_search.types import FloatArray

FOLDER = ".unfinished"


@dataclass(frozen=True, slots=True)
class FinishedBatch:
    """What became of a batch's inputs.

    Attributes:
        ids: of the inputs that have a vector.
        keys: one an id.
        vectors: (ids, ...) as the encoder gave them.
        columns: name -> one value an id.
    """

    ids: Sequence[str]
    keys: Sequence[str]
    vectors: FloatArray | None
    columns: Mapping[str, Sequence[Any]]
    failures: Sequence[PartFailure]


class Checkpoints:
    """Of one part, in a folder of its own; without a folder (S3) it keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self) -> dict[int, FinishedBatch]:
        """Batch number -> batch, of all whole checkpoints."""
        found: dict[int, FinishedBatch] = {}
        if self._folder is None or not self._folder.is_dir():
            return found
        for path in sorted(self._folder.glob("*.npz")):
            with contextlib.suppress(Exception):  # a damaged file can raise nearly anything
                found.update(_read(path))
        return found

    def save(self, batches: Mapping[int, FinishedBatch]) -> None:
        """Write batches; when this returns they survive a kill. A full disk is left to the part to report."""
        if self._folder is None or not batches:
            return
        with contextlib.suppress(OutputError, OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with write_atomically(self._folder / f"{min(batches):08d}.npz") as file:
                file.write(_packed(batches))

    def remove(self) -> None:
        """When the part is written."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _packed(batches: Mapping[int, FinishedBatch]) -> bytes:
    described = [
        {
            "number": number,
            "ids": list(batch.ids),
            "keys": list(batch.keys),
            "columns": {name: list(values) for name, values in batch.columns.items()},
            "failures": [[one.id, one.path, one.reason, one.again, one.key] for one in batch.failures],
        }
        for number, batch in batches.items()
    ]
    arrays = {f"v{number}": batch.vectors for number, batch in batches.items() if batch.vectors is not None}
    memory = io.BytesIO()
    text = json.dumps(described).encode()
    np.savez(memory, batches=np.frombuffer(text, np.uint8), **arrays)
    return memory.getvalue()


def _read(path: Path) -> dict[int, FinishedBatch]:
    with np.load(path, allow_pickle=False) as stored:  # the archive has a checksum a member
        described = json.loads(stored["batches"].tobytes())
        return {
            one["number"]: FinishedBatch(
                one["ids"],
                one["keys"],
                stored[f"v{one['number']}"] if one["ids"] else None,
                one["columns"],
                [PartFailure(*failure) for failure in one["failures"]],
            )
            for one in described
        }
