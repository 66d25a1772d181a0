"""What a search gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from multimodal_search.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Found:
    """The nearest rows, best first; equal scores in the order of the rows.

    One query gives 1-D arrays of what was found, at most ``k`` long. Several give (queries, k) arrays whose
    missing places hold None, NaN and -1.

    Attributes:
        ids: str.
        scores: float32: the cosine or the inner product (higher is nearer); with the metric ``l2`` the
            Euclidean distance (lower is nearer).
        rows: int64, numbered as in ``Index.columns``.
    """

    ids: npt.NDArray[Any]
    scores: FloatArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.ids)
