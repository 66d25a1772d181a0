"""The vectors of an index as they are stored: memory-mapped, in row order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from multimodal_search.errors import BundleError
from multimodal_search.index.metric import Metric, prepared
from multimodal_search.index.state import Files, State, new_file
from multimodal_search.storage import write_atomically
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import BoolArray, FloatArray, IntArray

_NPY: Any = np.lib.format  # numpy's stubs have no types for it
_BLOCK_ROWS = 16_384


class Stored:
    """All rows, (n, dim) float16 or float32; rows that are gone among them.

    Attributes:
        dtype: of what is stored.
    """

    def __init__(self, files: Files, state: State) -> None:
        self.dim = state.dim
        self.dtype = np.dtype(state.dtype)
        self._parts = [_mapped(files, state, one.vectors, one.rows) for one in state.segments if one.rows]
        self._starts = np.cumsum([0, *(len(part) for part in self._parts)], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def raw(self, rows: IntArray) -> FloatArray:
        """(n, dim) a copy of these rows as they are stored."""
        if len(self._parts) == 1:
            return np.take(self._parts[0], rows, axis=0)
        out = np.empty((len(rows), self.dim), dtype=self.dtype)
        places = np.searchsorted(self._starts, rows, side="right") - 1
        for place in np.unique(places):
            mine = places == place
            out[mine] = self._parts[place][rows[mine] - self._starts[place]]
        return out

    def gather(self, rows: IntArray) -> FloatArray:
        """(n, dim) float32 of these rows."""
        return self.raw(rows).astype(np.float32, copy=False)

    def slice(self, start: int, stop: int) -> FloatArray:
        """(stop - start, dim) as stored; a view where the rows were written together."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        if first < len(self._parts) and stop <= self._starts[first + 1]:
            low = int(self._starts[first])
            return self._parts[first][start - low : stop - low]
        return self.raw(np.arange(start, stop, dtype=np.int64))

    def blocks(self, start: int, stop: int, rows: int = _BLOCK_ROWS) -> Iterator[tuple[int, FloatArray]]:
        """(first row, (n, dim) as stored) from row ``start`` to ``stop``."""
        for low in range(start, stop, rows):
            yield low, self.slice(low, min(low + rows, stop))


def _mapped(files: Files, state: State, name: str | None, rows: int) -> FloatArray:
    dtype = np.dtype(state.dtype)
    if name is not None:
        path = files.folder / name
        array: FloatArray = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = array.shape == (rows, state.dim) and array.dtype == dtype
    else:
        # the codes of a flat index are the last thing in its file
        path = files.faiss(state)
        offset = path.stat().st_size - rows * state.dim * dtype.itemsize
        whole = offset > 0
        array = np.memmap(path, dtype, "r", max(0, offset), (rows, state.dim)) if whole else np.empty(0)
    if not whole:
        raise BundleError(
            "A file of the index is not what its state says.",
            where=path,
            remedy="restore the index from its backup, or build it again",
        )
    return array


def write_vectors(path: Path, blocks: Iterable[FloatArray], rows: int, dim: int, dtype: str) -> None:
    """Write an ``.npy`` of (rows, dim), a block at a time.

    Raises:
        OutputError: it cannot be written.
    """
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (rows, dim)}
    with write_atomically(path) as file:
        _NPY.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).tobytes())


def read_prepared(vectors: VectorSet, metric: Metric, unusable: BoolArray) -> Iterator[FloatArray]:
    """Blocks (n, dim) float32 as they are stored; rows without a usable vector become zeros and are marked.

    Args:
        unusable: (rows,) receives which rows these are.
    """
    for start, block in vectors.blocks(_BLOCK_ROWS):
        bad = ~(np.isfinite(block).all(axis=1) & block.any(axis=1))
        unusable[start : start + len(block)] = bad
        if bad.any():
            block = np.where(bad[:, None], np.float32(0), block)
        yield prepared(block, metric)


def read_gone(files: Files, state: State) -> BoolArray | None:
    """(rows,) which are never found; None where none is."""
    if state.gone is None:
        return None
    bits = np.load(files.folder / state.gone, allow_pickle=False)
    return np.unpackbits(bits, count=state.rows, bitorder="little").astype(np.bool_)


def with_masks(files: Files, state: State, gone: BoolArray, lists: IntArray | None) -> State:
    """The state with files of which rows are gone, and (where given) of each indexed row's list.

    Raises:
        OutputError: they cannot be written.
    """
    if lists is not None:
        state = replace(state, lists=new_file("lists", state.generation, ".npy"))
        _save(files.folder / str(state.lists), lists.astype(np.int32))
    if not gone.any():
        return replace(state, gone=None, gone_rows=0)
    state = replace(state, gone=new_file("gone", state.generation, ".npy"), gone_rows=int(gone.sum()))
    _save(files.folder / str(state.gone), np.packbits(gone, bitorder="little"))
    return state


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    with write_atomically(path) as file:
        np.save(file, array, allow_pickle=False)
