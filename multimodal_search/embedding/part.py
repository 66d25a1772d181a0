"""One part while it is computed: its batches come in any number of sittings, and leave as one part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_search.embedding.stream import Encoded
from multimodal_search.embedding.tasks import PartTask
from multimodal_search.embedding.unfinished import Checkpoints, FinishedBatch
from multimodal_search.errors import SkipInput
from multimodal_search.storage import Store
from multimodal_search.tables import PartFailure, PartInfo, write_planned_part
from multimodal_search.types import FloatArray, Input


class Part:
    """The finished batches of a task.

    A batch is ``batch_size`` consecutive inputs, unusable ones included. Which inputs meet in a forward pass
    thus never depends on kills, and neither do the bits of the result.
    """

    def __init__(self, task: PartTask, batch_size: int, checkpoints: Checkpoints) -> None:
        self.task = task
        inputs = task.inputs
        self._batches = [inputs[start : start + batch_size] for start in range(0, len(inputs), batch_size)]
        self._checkpoints = checkpoints
        restored = checkpoints.load()
        self._finished = {number: batch for number, batch in restored.items() if number < len(self._batches)}
        self._saved = set(self._finished)
        self.restored_rows = sum(len(self._batches[number]) for number in self._finished)
        self.restored_failed = len(self.failures)

    def missing_batches(self) -> list[tuple[int, list[Input]]]:
        """(number, the inputs to compute) of each batch that is not there yet."""
        return [
            (number, [one for one in batch if one.id not in self.task.excluded])
            for number, batch in enumerate(self._batches)
            if number not in self._finished
        ]

    def size(self, number: int) -> int:
        """Inputs of a batch, excluded ones included."""
        return len(self._batches[number])

    @property
    def complete(self) -> bool:
        """Whether every batch is there."""
        return len(self._finished) == len(self._batches)

    @property
    def failures(self) -> list[PartFailure]:
        """Inputs without a vector so far, in order."""
        return [one for _, batch in sorted(self._finished.items()) for one in batch.failures]

    def take(self, number: int, encoded: Encoded[Input]) -> int:
        """Keep a batch; returns how many of its inputs failed."""
        reasons = {
            one.id: _failure(one, SkipInput(self.task.excluded[one.id]))
            for one in self._batches[number]
            if one.id in self.task.excluded
        }
        ids: list[str] = []
        keys: list[str] = []
        hashes: list[str | None] = []
        vectors: list[FloatArray] = []
        for one, outcome, extra in zip(encoded.rows, encoded.outcomes, encoded.extras, strict=True):
            if isinstance(outcome, SkipInput):
                reasons[one.id] = _failure(one, outcome)
                continue
            ids.append(one.id)
            keys.append(extra.key)
            hashes.append(extra.phash)
            vectors.append(outcome)
        columns = {"phash": hashes} if any(one is not None for one in hashes) else {}
        failures = [reasons[one.id] for one in self._batches[number] if one.id in reasons]
        stacked = np.stack(vectors).astype(self.task.info.dtype) if vectors else None
        self._finished[number] = FinishedBatch(ids, keys, stacked, columns, failures)
        return len(failures)

    def checkpoint(self) -> None:
        """Keep what is not kept yet; in the writing thread."""
        new = {number: batch for number, batch in dict(self._finished).items() if number not in self._saved}
        self._checkpoints.save(new)
        self._saved |= set(new)

    def write(self, store: Store) -> PartInfo:
        """Write the part; in the writing thread.

        Raises:
            OutputError: it cannot be written.
        """
        batches = [batch for _, batch in sorted(self._finished.items())]
        arrays = [batch.vectors for batch in batches if batch.vectors is not None]
        info = self.task.info
        part = write_planned_part(
            store,
            info,
            self.task.name,
            self.task.sequence,
            [one for batch in batches for one in batch.ids],
            [one for batch in batches for one in batch.keys],
            np.concatenate(arrays) if arrays else np.empty((0, *info.row_shape), info.dtype),
            _joined(batches),
            self.failures,
            inputs=self.task.planned,
        )
        self._checkpoints.remove()
        self._finished = {number: _emptied(batch) for number, batch in self._finished.items()}
        return part


def _failure(one: Input, skip: SkipInput) -> PartFailure:
    return PartFailure(one.id, one.location or None, skip.reason, skip.again, one.key)


def _joined(batches: Sequence[FinishedBatch]) -> dict[str, list[Any]]:
    names = sorted({name for batch in batches for name in batch.columns})
    return {
        name: [value for batch in batches for value in batch.columns.get(name, [None] * len(batch.ids))]
        for name in names
    }


def _emptied(batch: FinishedBatch) -> FinishedBatch:
    """The vectors are on the disk: let go of them while the report waits to be sent."""
    return FinishedBatch((), (), None, {}, batch.failures)
