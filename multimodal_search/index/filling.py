"""A Faiss index, trained on a sample of stored rows and filled with all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_search.index import engine, kinds
from multimodal_search.index.choice import Choice, training_rows
from multimodal_search.index.metric import Metric
from multimodal_search.index.stored import Stored
from multimodal_search.types import BoolArray, IntArray

_ITERATIONS = 10
_BLOCK_ROWS = 65_536


def filled(stored: Stored, gone: BoolArray, choice: Choice, metric: Metric, seed: int) -> tuple[Any, Any]:
    """A Faiss index of all stored rows that are not gone, and the list of each row (None without lists).

    Args:
        gone: (rows,); these have the number of lists as their list.
    """
    index = kinds.make(choice.kind, stored.dim, str(stored.dtype), metric, choice.lists)
    if choice.kind == "hnsw":
        if not index.is_trained:
            index.train(stored.gather(np.arange(min(256, len(stored)))))
        append(index, stored, gone, None, 0)
        return index, None
    usable = np.flatnonzero(~gone)
    generator = np.random.default_rng(seed)
    count = training_rows(len(usable), choice.lists)
    sample = stored.gather(np.sort(generator.choice(usable, count, replace=False)))
    index.cp.niter, index.cp.seed, index.cp.spherical = _ITERATIONS, seed + 1, metric == "cosine"
    index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = len(sample), 1
    plain = engine.faiss().IndexFlat(stored.dim, engine.metric_of(metric))
    index.clustering_index = plain
    index.train(sample)
    index.clustering_index = None
    lists = np.full(len(stored), choice.lists, dtype=np.int64)
    append(index, stored, gone, lists, 0)
    return index, lists


def append(index: Any, stored: Stored, gone: BoolArray, lists: IntArray | None, start: int) -> None:
    """Put the stored rows from ``start`` on into a trained index.

    Args:
        lists: (rows,) receives the list of each; None where the kind has no lists.
    """
    for first, block in stored.blocks(start, len(stored), _BLOCK_ROWS):
        vectors = block.astype(np.float32)
        if lists is None:  # a graph numbers its rows by itself
            index.add(vectors)
            continue
        _, nearest = index.quantizer.search(vectors, 1)
        lists[first : first + len(block)] = np.where(
            gone[first : first + len(block)], index.nlist, nearest[:, 0]
        )
    if lists is not None:
        _fill(index, stored, lists, start)


def _fill(index: Any, stored: Stored, lists: IntArray, start: int) -> None:
    """List by list: one that grows a little with every block takes up to twice its memory."""
    rows = np.flatnonzero(lists[start:] < index.nlist) + start
    rows = rows[np.argsort(lists[rows], kind="stable")]
    ordered = lists[rows]
    low = 0
    while low < len(rows):
        last = ordered[min(low + _BLOCK_ROWS, len(rows)) - 1]
        high = int(np.searchsorted(ordered, last, side="right"))
        for some in range(low, high, _BLOCK_ROWS):
            part = rows[some : min(some + _BLOCK_ROWS, high)]
            engine.add_to_lists(index, stored.gather(part), part, lists[part])
        low = high
