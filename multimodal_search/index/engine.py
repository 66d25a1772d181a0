"""Faiss: the one place that makes, reads and asks its indexes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import BundleError, OutputError, require
from multimodal_search.index.metric import Metric
from multimodal_search.storage import write_atomically
from multimodal_search.types import BoolArray, FloatArray, IntArray


@cache
def faiss() -> Any:
    """The module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    return require("faiss", extra="index")


def metric_of(metric: Metric) -> Any:
    """Faiss' number of a metric; the cosine is the inner product of vectors of length one."""
    return faiss().METRIC_L2 if metric == "l2" else faiss().METRIC_INNER_PRODUCT


def flat(dim: int, dtype: str, metric: Metric) -> Any:
    """An empty exact index that stores ``dtype``."""
    library = faiss()
    if np.dtype(dtype) == np.float32:
        return library.IndexFlat(dim, metric_of(metric))
    return library.IndexScalarQuantizer(dim, library.ScalarQuantizer.QT_fp16, metric_of(metric))


def flat_over(rows: FloatArray, metric: Metric) -> Any:
    """An exact index in memory over stored rows."""
    index = flat(rows.shape[1], str(rows.dtype), metric)
    add_stored(index, rows)
    return index


def add_stored(index: Any, rows: FloatArray) -> None:
    """Add rows to an exact index as they are stored, without a conversion."""
    if len(rows):
        index.add_sa_codes(np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1))


def only(rows: BoolArray) -> Any:
    """A selector of these rows."""
    library = faiss()
    bits = np.packbits(rows, bitorder="little")
    selector = library.IDSelectorBitmap(bits)
    selector.bits = bits  # Faiss keeps the address only
    return selector


def search(index: Any, queries: FloatArray, k: int, parameters: Any) -> tuple[FloatArray, IntArray]:
    """(n, k) likeness (higher is nearer) and rows, best first; -1 and -inf where there are no more."""
    with _FewestThreads(len(queries)):
        found, rows = index.search(queries, k, params=parameters)
    if index.metric_type == faiss().METRIC_L2:
        np.negative(found, out=found)
    found[rows < 0] = -np.inf
    return found, rows


class _FewestThreads:
    """One thread for one query: Faiss shares out queries, and would wait for threads that have nothing to do.

    On a busy machine that is milliseconds. The number is the calling thread's own.
    """

    def __init__(self, queries: int) -> None:
        self._library = faiss()
        self._before = self._library.omp_get_max_threads() if queries == 1 else 1

    def __enter__(self) -> None:
        if self._before > 1:
            self._library.omp_set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        if self._before > 1:
            self._library.omp_set_num_threads(self._before)


def read(path: Path, *, mapped: bool = True) -> Any:
    """An index, memory-mapped where this Faiss can (such a one takes no more rows).

    Raises:
        BundleError: it is no Faiss file.
    """
    library = faiss()
    try:
        return library.read_index(str(path), getattr(library, "IO_FLAG_MMAP_IFC", 0) if mapped else 0)
    except RuntimeError as error:
        if not path.exists():
            raise FileNotFoundError(path) from error
        reason = str(error).splitlines()[0][-200:]
        raise BundleError(
            f"The index file cannot be read ({reason}).",
            where=path,
            remedy="restore it from its backup, or build it again",
        ) from error


def write(index: Any, path: Path) -> None:
    """Write an index whole or not at all, without a second copy in memory.

    Raises:
        OutputError: the disk is full or the folder not writable.
    """
    library = faiss()
    with write_atomically(path) as file:
        try:
            library.write_index(index, library.PyCallbackIOWriter(file.write))
        except RuntimeError as error:
            raise OutputError(
                "The index could not be written.", where=path, remedy="is the disk full?"
            ) from error


def search_lists(
    index: Any, queries: FloatArray, k: int, lists: IntArray, near: FloatArray, parameters: Any
) -> tuple[FloatArray, IntArray]:
    """As ``search``, in these lists of an IVF index only.

    Args:
        lists: (n, p) int64; -1 for none.
        near: (n, p) float32, the likeness of the lists' centres to the queries.
    """
    pointer = faiss().swig_ptr
    negative = index.metric_type == faiss().METRIC_L2
    coarse = np.ascontiguousarray(-near if negative else near, dtype=np.float32)
    queries, lists = np.ascontiguousarray(queries), np.ascontiguousarray(lists, dtype=np.int64)
    found = np.empty((len(queries), k), dtype=np.float32)
    rows = np.empty((len(queries), k), dtype=np.int64)
    with _FewestThreads(len(queries)):
        index.search_preassigned_c(
            len(queries), pointer(queries), k, pointer(lists), pointer(coarse),
            pointer(found), pointer(rows), False, parameters,
        )  # fmt: skip
    if negative:
        np.negative(found, out=found)
    found[rows < 0] = -np.inf
    return found, rows


def add_to_lists(index: Any, vectors: FloatArray, rows: IntArray, lists: IntArray) -> None:
    """Add rows to the lists of an IVF index that were found for them."""
    pointer = faiss().swig_ptr
    if hasattr(index, "bbs"):  # Faiss' packed lists look for theirs themselves
        index.add_with_ids(vectors, rows)
    else:
        index.add_core(len(rows), pointer(vectors), pointer(rows), pointer(lists))
