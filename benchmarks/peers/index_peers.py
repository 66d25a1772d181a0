"""Plain Faiss IVF and hnswlib over the same vectors, at the recall of ours; ours beside them in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.types import FloatArray, IntArray

K = 10


def faiss_ivf(source: Path, folder: Path, lists: int) -> Any:
    """``IVF<lists>,Flat`` as ``index_factory`` makes it, trained on 40 vectors a list; kept in the folder."""
    import faiss

    path = folder / f"{source.stem}.plain-ivf.faiss"
    if not path.exists():
        started = time.perf_counter()
        vectors = np.ascontiguousarray(np.load(source), dtype=np.float32)
        plain = faiss.index_factory(vectors.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        sample = np.random.default_rng(0).choice(len(vectors), min(len(vectors), 40 * lists), replace=False)
        plain.train(vectors[sample])
        plain.add(vectors)
        faiss.write_index(plain, str(path))
        print(f"  plain Faiss IVF built in {time.perf_counter() - started:.0f} s", flush=True)
    return faiss.read_index(str(path))


def hnsw(source: Path, folder: Path) -> Any:
    """hnswlib with M 16 and ef_construction 200, its documentation's example; kept in the folder."""
    import hnswlib

    path = folder / f"{source.stem}.hnswlib"
    vectors = np.load(source, mmap_mode="r")
    graph = hnswlib.Index("ip", vectors.shape[1])
    if path.exists():
        graph.load_index(str(path), max_elements=len(vectors))
        return graph
    started = time.perf_counter()
    graph.init_index(len(vectors), M=16, ef_construction=200)
    for low in range(0, len(vectors), 50_000):
        graph.add_items(vectors[low : low + 50_000], num_threads=2)
    graph.save_index(str(path))
    print(f"  hnswlib built in {time.perf_counter() - started:.0f} s", flush=True)
    return graph


def at_recall(
    ask: Callable[[FloatArray, int], IntArray],
    measure: Callable[[IntArray], float],
    queries: FloatArray,
    least: float,
) -> tuple[int, float]:
    """The smallest knob whose recall is at least ``least``, and that recall."""
    low, high = 1, 2
    while measure(ask(queries, high)) < least and high < 4096:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if measure(ask(queries, middle)) >= least:
            high = middle
        else:
            low = middle + 1
    return high, measure(ask(queries, high))
