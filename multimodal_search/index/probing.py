"""A choice of rows inside the lists of an IVF index.

The nearest lists of all rows may hold few allowed ones, or none. So only lists that hold an allowed row are
looked at, nearest first, until as many allowed rows were compared as a search without a choice compares rows:
that keeps the recall, wherever the allowed rows lie, and costs no more comparisons.
"""

from __future__ import annotations

import numpy as np

from multimodal_search.index import engine, kinds
from multimodal_search.index.best import Pair, complete
from multimodal_search.index.metric import likeness_matrix
from multimodal_search.index.opened import Opened
from multimodal_search.types import BoolArray, FloatArray, IntArray

# More than without a choice: its nearest rows may lie far from the query, where lists are hard to rank
_MARGIN = 4.0
_BATCH = 256


def search(opened: Opened, queries: FloatArray, k: int, mask: BoolArray) -> tuple[FloatArray, IntArray]:
    """(n, k) likeness and rows of the main index' allowed rows, best first.

    Args:
        mask: (indexed,) which rows are allowed.
    """
    assert opened.lists is not None
    state = opened.state
    counts = _counts(opened, mask)
    wanted = max(_MARGIN * state.knobs["nprobe"] * state.indexed / opened.main.nlist, 20.0 * k)
    selector = engine.only(mask)
    found = [
        _batch(opened, queries[low : low + _BATCH], k, counts, wanted, selector)
        for low in range(0, len(queries), _BATCH)
    ]
    return np.concatenate([one for one, _ in found]), np.concatenate([rows for _, rows in found])


def _counts(opened: Opened, mask: BoolArray) -> IntArray:
    """(lists,) how many allowed rows each holds."""
    order, firsts, holding = opened.by_list
    counts = np.zeros(opened.main.nlist, dtype=np.int64)
    if len(holding):
        # several times quicker than picking the lists of allowed rows
        allowed = mask.take(order).view(np.int8)
        counts[holding] = np.add.reduceat(allowed, firsts, dtype=np.int64)
    return counts


def _batch(
    opened: Opened, queries: FloatArray, k: int, counts: IntArray, wanted: float, selector: object
) -> Pair:
    lists, near = _nearest_lists(opened, queries, counts, wanted)
    asked = kinds.parameters(opened.state.kind, {"nprobe": lists.shape[1]}, selector)

    def ask(count: int) -> tuple[FloatArray, IntArray]:
        return engine.search_lists(opened.main, queries, count, lists, near, asked)

    if opened.state.kind in kinds.LOSSY:
        return kinds.reranked(opened, queries, k, ask)
    return complete(ask, min(k, opened.state.indexed), opened.state.indexed)


def _nearest_lists(
    opened: Opened, queries: FloatArray, counts: IntArray, wanted: float
) -> tuple[IntArray, FloatArray]:
    """(n, p) lists and their likeness, nearest first, -1 where a query needs fewer than the others."""
    holding = np.flatnonzero(counts)
    near = likeness_matrix(opened.centroids[holding], queries, opened.state.metric)
    order = np.argsort(-near, axis=1)
    seen = np.cumsum(counts[holding][order], axis=1)
    needed = np.maximum((seen < wanted).sum(axis=1) + 1, opened.state.knobs["nprobe"])
    most = int(min(needed.max(), len(holding)))
    order = order[:, :most]
    beyond = np.arange(most) >= needed[:, None]
    lists = np.where(beyond, -1, holding[order])
    return np.ascontiguousarray(lists), np.take_along_axis(near, order, 1)
