"""The kinds of index: how each is made, asked and tuned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from multimodal_search.errors import SettingsError
from multimodal_search.index import engine
from multimodal_search.index.best import Pair, complete, ordered
from multimodal_search.index.metric import Metric
from multimodal_search.index.opened import Opened
from multimodal_search.types import FloatArray

Kind = Literal["flat", "hnsw", "ivfflat", "ivfpq", "sq8"]
LOSSY = ("sq8", "ivfpq")
# Neighbours a row in HNSW's graph: with 16-bit vectors of 256 numbers, a quarter of the vectors' bytes
GRAPH_NEIGHBOURS = 16
_HNSW_BUILD = 200
_QUANTIZER_GRAPH_LISTS = 8192


def make(kind: Kind, dim: int, dtype: str, metric: Metric, lists: int) -> Any:
    """An empty index, not yet trained.

    Raises:
        SettingsError: vectors of this length cannot be cut for ``ivfpq``.
    """
    library, number = engine.faiss(), engine.metric_of(metric)
    half = np.dtype(dtype) == np.float16
    if kind == "flat":
        return engine.flat(dim, dtype, metric)
    if kind == "hnsw":
        index = (
            library.IndexHNSWSQ(dim, library.ScalarQuantizer.QT_fp16, GRAPH_NEIGHBOURS, number)
            if half
            else library.IndexHNSWFlat(dim, GRAPH_NEIGHBOURS, number)
        )
        index.hnsw.efConstruction = _HNSW_BUILD
        return index
    quantizer = _quantizer(dim, metric, lists)
    if kind == "ivfflat" and not half:
        index = library.IndexIVFFlat(quantizer, dim, lists, number)
    elif kind == "ivfpq":
        index = library.IndexIVFPQFastScan(quantizer, dim, lists, pieces(dim), 4, number)
        index.by_residual = False
    else:
        scalar = library.ScalarQuantizer
        how = scalar.QT_fp16 if kind == "ivfflat" else scalar.QT_8bit
        index = library.IndexIVFScalarQuantizer(quantizer, dim, lists, how, number, False)
    index.own_fields = True
    quantizer.this.disown()
    return index


def _quantizer(dim: int, metric: Metric, lists: int) -> Any:
    library = engine.faiss()
    if lists < _QUANTIZER_GRAPH_LISTS:
        return library.IndexFlat(dim, engine.metric_of(metric))
    quantizer = library.IndexHNSWFlat(dim, 32, engine.metric_of(metric))
    quantizer.hnsw.efConstruction, quantizer.hnsw.efSearch = 200, 128
    return quantizer


def pieces(dim: int) -> int:
    """Into how many pieces of four bits ``ivfpq`` cuts a vector: two numbers each, where that divides it."""
    found = next((count for count in range(dim // 2, 0, -1) if dim % count == 0), 0)
    if found < max(1, dim // 8):
        raise SettingsError(f"Vectors of length {dim} cannot be cut into equal pieces.", remedy="use sq8")
    return found


def code_bytes(kind: Kind, dim: int, dtype: str) -> float:
    """What a row takes in memory."""
    vector = dim * np.dtype(dtype).itemsize
    each = {
        "flat": vector,
        "hnsw": vector + 4 * 2.2 * GRAPH_NEIGHBOURS + 8,
        "ivfflat": vector + 8,
        "sq8": dim + 8,
    }
    return each[kind] if kind in each else pieces(dim) / 2 + 8


def parameters(kind: str, knobs: Mapping[str, int], selector: Any = None) -> Any:
    """What one search is told."""
    library = engine.faiss()
    extra = {} if selector is None else {"sel": selector}
    if kind == "flat":
        return library.SearchParameters(**extra) if extra else None
    if kind == "hnsw":
        return library.SearchParametersHNSW(efSearch=knobs["ef"], **extra)
    return library.SearchParametersIVF(nprobe=knobs["nprobe"], **extra)


@lru_cache
def _usual(kind: str, knobs: tuple[tuple[str, int], ...]) -> Any:
    """Among all rows; made once, since making it takes a tenth of a search."""
    return parameters(kind, dict(knobs))


def search(opened: Opened, queries: FloatArray, k: int, selector: Any, share: float = 1.0) -> Pair:
    """(n, k) likeness and rows of the main index, best first.

    Args:
        selector: of the rows that may be found; None for all.
        share: which part of the rows these are.
    """
    state = opened.state
    knobs = dict(state.knobs)
    if state.kind == "hnsw":
        knobs["ef"] = int(min(max(knobs["ef"], 2 * k) / share, 10_000))
    asked = (
        _usual(state.kind, tuple(knobs.items()))
        if selector is None
        else parameters(state.kind, knobs, selector)
    )
    if state.kind in LOSSY:
        return reranked(
            opened,
            queries,
            k,
            lambda count: engine.search(opened.main, queries, count, asked),
        )
    return complete(
        lambda count: engine.search(opened.main, queries, count, asked), min(k, state.indexed), state.indexed
    )


def reranked(opened: Opened, queries: FloatArray, k: int, ask: Any) -> Pair:
    """The best of more candidates, compared with the vectors as they are stored."""
    state = opened.state
    count = min(max(state.knobs["rerank"] * k, k + 30), state.indexed)
    _, rows = ask(count)
    likeness = np.full(rows.shape, -np.inf, dtype=np.float32)
    for low in range(0, len(rows), 64):
        some = rows[low : low + 64]
        there = some >= 0
        vectors = opened.stored.gather(np.where(there, some, 0).ravel()).reshape(*some.shape, -1)
        asked = queries[low : low + 64]
        if state.metric == "l2":
            vectors -= asked[:, None]
            compared = -np.einsum("nkd,nkd->nk", vectors, vectors)
        else:
            compared = np.einsum("nkd,nd->nk", vectors, asked)
        likeness[low : low + 64] = np.where(there, compared, -np.inf)
    return ordered(likeness, rows, min(k, state.indexed))
