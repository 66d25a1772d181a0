"""The best neighbours found so far, a list a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from multimodal_search.analysis.neighbors_scores import Scored
from multimodal_search.types import FloatArray, IntArray

Rows = npt.NDArray[np.int32]
_WAITING_PER_ROW = 4
_LEAST = np.finfo(np.float32).tiny  # equal rows under l2 have no slack: no step between scores


class Best:
    """The best of each row so far; what comes later and is no better does not replace it."""

    def __init__(self, scored: Scored, k: int) -> None:
        n = len(scored)
        self.rows: Rows = np.full((n, k), -1, dtype=np.int32)
        self.scores = np.full((n, k), -np.inf, dtype=np.float32)
        self.floor = np.full(n, -np.inf, dtype=np.float32)
        self._slack = scored.slack
        self._waiting: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._count = 0

    def offer(self, rows: IntArray, others: IntArray, scores: FloatArray) -> None:
        """Candidates above their rows' floors; ``others`` ascend from call to call."""
        self._waiting.append((rows, others, scores))
        self._count += len(rows)
        if self._count > max(1 << 16, _WAITING_PER_ROW * len(self.floor)):
            self.merge()

    def merge(self) -> None:
        """Sort what is waiting into the lists, and raise the floors."""
        if not self._waiting:
            return
        rows, others, scores = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._count = [], 0
        k = self.rows.shape[1]
        touched = np.unique(rows)
        held = self.rows[touched].ravel()
        there = held >= 0
        rows = np.concatenate([np.repeat(touched, k)[there], rows])
        others = np.concatenate([held[there], others])
        scores = np.concatenate([self.scores[touched].ravel()[there], scores])
        # stable: equal scores stay in the order of their rows, in which they came
        order = np.argsort(_key(rows, scores / np.maximum(self._slack[rows], _LEAST)), kind="stable")
        rows, others, scores = rows[order], others[order], scores[order]
        starts = np.searchsorted(rows, touched)
        place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
        kept = place < k
        self.rows[rows[kept], place[kept]] = others[kept]
        self.scores[rows[kept], place[kept]] = scores[kept]
        full = touched[self.rows[touched, -1] >= 0]
        self.floor[full] = self.scores[full, -1] + self._slack[full]


def _key(rows: IntArray, steps: FloatArray) -> IntArray:
    """Sorts by row, then by descending score, in whole steps of the row's slack."""
    bits = np.rint(steps, dtype=np.float32).view(np.int32).astype(np.int64)
    ascending = np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))
    return np.asarray((rows.astype(np.int64) << 33) - ascending)
