"""The best of what was found: nearest first, and of equally near rows the first ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from multimodal_search.types import FloatArray, IntArray

# (queries, k) likeness, higher is nearer, and rows; -inf and -1 where there are no more
Pair = tuple[FloatArray, IntArray]


def complete(ask: Callable[[int], Pair], k: int, rows: int) -> Pair:
    """The best ``k`` of what ``ask(count)`` gives, so that of equally near rows the first ones stay."""
    count = min(k + 1, rows)
    while True:
        likeness, found = ask(count)
        last = likeness[:, k - 1]
        tied = count > k and bool(((likeness[:, count - 1] == last) & np.isfinite(last)).any())
        if not tied or count >= rows:
            return ordered(likeness, found, k)
        count = min(4 * count, rows)


def ordered(likeness: FloatArray, rows: IntArray, k: int) -> Pair:
    """(n, k) best first; equal likeness in row order."""
    if likeness.shape[1] > 1 and (likeness[:, 1:] < likeness[:, :-1]).all():
        return likeness[:, :k], rows[:, :k]
    order = np.lexsort((rows, -likeness), axis=1)[:, :k]
    return np.take_along_axis(likeness, order, 1), np.take_along_axis(rows, order, 1)


def merged(parts: Sequence[Pair], k: int) -> Pair:
    if len(parts) == 1:
        return parts[0]
    likeness = np.concatenate([one for one, _ in parts], axis=1)
    return ordered(likeness, np.concatenate([rows for _, rows in parts], axis=1), k)


def padded(found: Pair, k: int) -> Pair:
    likeness, rows = found
    missing = k - likeness.shape[1]
    if missing <= 0:
        return found
    wide = ((0, 0), (0, missing))
    return np.pad(likeness, wide, constant_values=-np.inf), np.pad(rows, wide, constant_values=-1)
