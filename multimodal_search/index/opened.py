"""Everything of an index that a search reads, opened together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from multimodal_search.errors import BundleError
from multimodal_search.index import engine
from multimodal_search.index.names import Names
from multimodal_search.index.state import Files, State
from multimodal_search.index.stored import Stored, read_gone
from multimodal_search.types import BoolArray, FloatArray, IntArray

_TRIES = 5


@dataclass(frozen=True)
class Opened:
    """One state's files, mapped.

    Attributes:
        main: Faiss' index of the first ``state.indexed`` rows.
        tail: Faiss' exact index, in memory, of the rows after those; None where there are none.
        gone: (rows,) which rows are never found; None where none is gone.
        lists: (indexed,) the list of each row, for IVF kinds.
    """

    files: Files
    state: State
    names: Names
    stored: Stored
    main: Any
    tail: Any
    gone: BoolArray | None
    lists: IntArray | None

    @cached_property
    def centroids(self) -> FloatArray:
        """(lists, dim) float32."""
        centroids: FloatArray = self.main.quantizer.reconstruct_n(0, self.main.nlist)
        return centroids

    @cached_property
    def by_list(self) -> tuple[IntArray, IntArray, IntArray]:
        """Rows in the order of their lists, where each list begins in it, and which lists these are."""
        assert self.lists is not None
        order = np.argsort(self.lists, kind="stable")
        holding, firsts = np.unique(self.lists[order], return_index=True)
        known = holding < self.main.nlist  # the last number is that of rows in no list
        order = order[: int(np.count_nonzero(self.lists < self.main.nlist))]
        return order, firsts[known], holding[known].astype(np.int64)

    @cached_property
    def found_ever(self) -> BoolArray:
        """(rows,) which rows can be found."""
        return np.ones(self.state.rows, np.bool_) if self.gone is None else ~self.gone

    @cached_property
    def live(self) -> Any:
        """Faiss' selector of the main index' rows that can be found; None where all can."""
        if self.gone is None or not self.gone[: self.state.indexed].any():
            return None
        return engine.only(self.found_ever[: self.state.indexed])

    @cached_property
    def live_tail(self) -> Any:
        """The same of the tail."""
        if self.gone is None or not self.gone[self.state.indexed :].any():
            return None
        return engine.only(self.found_ever[self.state.indexed :])


def open_files(files: Files) -> Opened:
    """Open what holds now.

    Raises:
        BundleError: there is no index, or a file of it is missing or damaged.
    """
    missing = ""
    for _ in range(_TRIES):
        state = files.read()
        try:
            opened = open_state(files, state)
        except FileNotFoundError as error:
            missing = str(error.filename or error)
        else:
            # a writer may have put another Faiss file in place meanwhile
            if files.read().index_file == state.index_file:
                return opened
    raise BundleError(
        "A file of the index is missing.", where=missing, remedy="restore the index from its backup"
    )


def open_state(files: Files, state: State) -> Opened:
    """Open a state that need not hold yet."""
    main = engine.read(files.faiss(state))
    stored = Stored(files, state)
    names = Names([files.folder / one.names for one in state.segments])
    if len(names) != state.rows or main.d != state.dim:
        raise BundleError(
            "The files of the index do not belong together.",
            where=files.public,
            remedy="restore the index from its backup, or build it again",
        )
    return Opened(
        files,
        state,
        names,
        stored,
        main,
        _tail(stored, state),
        read_gone(files, state),
        None if state.lists is None else np.load(files.folder / state.lists, mmap_mode="r"),
    )


def _tail(stored: Stored, state: State) -> Any:
    if state.indexed == state.rows:
        return None
    tail = engine.flat(state.dim, state.dtype, state.metric)
    for _, block in stored.blocks(state.indexed, state.rows):
        engine.add_stored(tail, block)
    return tail
