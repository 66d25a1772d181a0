"""The best few of each row of scores, without sorting or partitioning the row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from multimodal_search.types import FloatArray, IntArray

_GROUPS = 64


def group_bound(scores: FloatArray, k: int) -> FloatArray:
    """(rows,) a lower bound of each row's k-th best score, that few others exceed.

    The k-th best of the maxima of groups of columns: each maximum is a score, so at least k reach it.
    Finding maxima takes one fast pass, where a partition of the whole row is a hundred times slower.
    """
    rows, columns = scores.shape
    if columns < k:
        return np.full(rows, -np.inf, dtype=np.float32)
    groups = max(_GROUPS, 4 * k)
    width = columns // groups
    if width < 2:
        return np.asarray(np.partition(scores, columns - k, axis=1)[:, columns - k])
    whole = groups * width
    maxima = scores[:, :whole].reshape(rows, groups, width).max(axis=2)
    return np.asarray(np.partition(maxima, groups - k, axis=1)[:, groups - k])


def best_columns(scores: FloatArray, k: int, names: IntArray) -> tuple[npt.NDArray[np.int32], FloatArray]:
    """(rows, k) the names of each row's best columns and their scores, best first, ties by name; -1-padded.

    Scores of -inf are no candidates.

    Args:
        scores: (rows, columns).
        names: (columns,) below 2^31.
    """
    rows, columns = scores.shape
    bound = np.maximum(group_bound(scores, min(k, columns)), np.finfo(np.float32).min)
    hits = np.flatnonzero(scores >= bound[:, None])
    row, column = hits // columns, hits % columns
    found = scores.ravel()[hits]
    named = names[column]
    order = np.lexsort((named, -found, row))
    row, named, found = row[order], named[order], found[order]
    starts = np.searchsorted(row, np.arange(rows))
    place = np.arange(len(row)) - starts[row]
    kept = place < k
    best = np.full((rows, k), -1, dtype=np.int32)
    values = np.full((rows, k), -np.inf, dtype=np.float32)
    best[row[kept], place[kept]] = named[kept]
    values[row[kept], place[kept]] = found[kept]
    return best, values
