"""Near-duplicates that stand in different splits: what a model saw in training is no test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_search.analysis.duplicates_groups import Group
from multimodal_search.analysis.duplicates_pairs import Likeness
from multimodal_search.types import IntArray

_BLOCK_PAIRS = 4096


@dataclass(frozen=True, slots=True)
class Leak:
    """Two near-duplicates and their splits."""

    row: int
    other: int
    split: str
    other_split: str
    cosine: float
    by: str


def find_leaks(
    splits: Sequence[str | None],
    first: IntArray,
    second: IntArray,
    groups: Sequence[Group],
    likeness: Likeness,
) -> list[Leak]:
    """Pairs seen, and members with representatives, in different splits; rows without one are left out."""
    n = len(splits)
    known = {
        name: number for number, name in enumerate(dict.fromkeys(one for one in splits if one is not None))
    }
    code = np.array([-1 if one is None else known[one] for one in splits], dtype=np.int64)
    centres = [np.full(len(group.rows) - 1, group.rows[0]) for group in groups]
    one = np.concatenate([first, *centres]).astype(np.int64)
    other = np.concatenate([second, *(group.rows[1:] for group in groups)]).astype(np.int64)
    apart = (code[one] != code[other]) & (code[one] >= 0) & (code[other] >= 0)
    one, other = one[apart], other[apart]
    pairs = np.unique(np.minimum(one, other) * n + np.maximum(one, other))
    leaks = []
    for start in range(0, len(pairs), _BLOCK_PAIRS):
        some = pairs[start : start + _BLOCK_PAIRS]
        one, other = some // n, some % n
        cosines = np.einsum("nd,nd->n", likeness.units(one), likeness.units(other))
        names = likeness.names(cosines, likeness.close(one, other))
        leaks += [
            Leak(a, b, str(splits[a]), str(splits[b]), cosine, by)
            for a, b, cosine, by in zip(one.tolist(), other.tolist(), cosines.tolist(), names, strict=True)
        ]
    return leaks
