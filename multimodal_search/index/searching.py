"""The nearest rows: the main index, the rows appended since, exact comparison inside small choices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from multimodal_search.errors import SettingsError
from multimodal_search.index import engine, kinds, probing
from multimodal_search.index.best import Pair, complete, merged, padded
from multimodal_search.index.opened import Opened
from multimodal_search.types import BoolArray, FloatArray, IntArray

# Up to so many rows are gathered and compared one by one: some milliseconds
EXACT_ROWS = 20_000
_GATHER_ROWS = 200_000


def search(opened: Opened, queries: FloatArray, k: int, allowed: BoolArray | IntArray | None) -> Pair:
    """(n, k) likeness and rows, best first, equal ones in row order; -inf and -1 where there are no more.

    Args:
        queries: as ``prepared_queries`` gives them.

    Raises:
        SettingsError: ``allowed`` does not fit.
    """
    state = opened.state
    wanted = min(k, state.rows)
    if not wanted or not len(queries):
        return padded((np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)), k)
    if allowed is not None:
        found = _inside(opened, queries, wanted, _mask(allowed, state.rows, opened.gone))
        return padded(found, k)
    parts = []
    if state.indexed:
        parts.append(kinds.search(opened, queries, wanted, opened.live))
    if opened.tail is not None:
        parts.append(_tail(opened, queries, wanted, opened.live_tail))
    return padded(merged(parts, wanted), k)


def _inside(opened: Opened, queries: FloatArray, k: int, mask: BoolArray) -> Pair:
    state = opened.state
    count = int(np.count_nonzero(mask))
    exact = state.kind == "flat"
    if count <= (min(_GATHER_ROWS, state.rows // 8) if exact else EXACT_ROWS):
        return _gathered(opened, queries, k, np.flatnonzero(mask))
    parts = []
    main = mask[: state.indexed]
    if main.any():
        if state.lists is not None:
            parts.append(probing.search(opened, queries, k, main))
        elif not exact and count < state.rows // 3:
            # a graph's way leads past rows that are not allowed: it widens as far as it can be told to
            parts.append(_scan(opened, queries, k, main))
        else:
            parts.append(kinds.search(opened, queries, k, _selector(main), share=count / state.rows))
    if opened.tail is not None and mask[state.indexed :].any():
        parts.append(_tail(opened, queries, k, engine.only(mask[state.indexed :])))
    return merged(parts, k)


def _selector(mask: BoolArray) -> Any:
    """Of one stretch where the rows lie together, which costs nothing a row; of bits otherwise."""
    first = int(np.argmax(mask))
    stop = len(mask) - int(np.argmax(mask[::-1]))
    if stop - first == np.count_nonzero(mask):
        return None if stop - first == len(mask) else engine.faiss().IDSelectorRange(first, stop, True)
    return engine.only(mask)


def _gathered(opened: Opened, queries: FloatArray, k: int, rows: IntArray) -> Pair:
    if not len(rows):
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    index = engine.flat_over(opened.stored.raw(rows), opened.state.metric)
    likeness, found = complete(
        lambda count: engine.search(index, queries, count, None), min(k, len(rows)), len(rows)
    )
    return likeness, np.where(found < 0, -1, rows[found])


def _scan(opened: Opened, queries: FloatArray, k: int, mask: BoolArray) -> Pair:
    """All allowed rows, a stretch at a time."""
    rows = np.flatnonzero(mask)
    return merged(
        [
            _gathered(opened, queries, k, rows[low : low + _GATHER_ROWS])
            for low in range(0, len(rows), _GATHER_ROWS)
        ],
        k,
    )


def _tail(opened: Opened, queries: FloatArray, k: int, selector: Any) -> Pair:
    library = engine.faiss()
    parameters = None if selector is None else library.SearchParameters(sel=selector)
    size = opened.tail.ntotal
    likeness, rows = complete(
        lambda count: engine.search(opened.tail, queries, count, parameters), min(k, size), size
    )
    return likeness, np.where(rows < 0, -1, rows + opened.state.indexed)


def _mask(allowed: BoolArray | IntArray, rows: int, gone: BoolArray | None) -> BoolArray:
    given: npt.NDArray[Any] = np.asarray(allowed)
    if given.ndim != 1:
        raise SettingsError(f"allowed must be a mask or row numbers, not an array of {given.shape}.")
    if given.dtype == np.bool_:
        if len(given) != rows:
            raise SettingsError(f"A mask of {len(given)} rows; the index has {rows}.")
        mask: BoolArray = given
    elif not len(given):
        mask = np.zeros(rows, np.bool_)
    elif given.dtype.kind in "iu":
        if given.min() < 0 or given.max() >= rows:
            raise SettingsError(f"allowed names rows outside 0 .. {rows - 1}.")
        mask = np.zeros(rows, np.bool_)
        mask[given] = True
    else:
        raise SettingsError(f"allowed must be a mask or row numbers, not {given.dtype}.")
    return mask if gone is None else np.logical_and(mask, ~gone)
