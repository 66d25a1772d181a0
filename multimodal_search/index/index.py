"""An index that is open: search, append, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from multimodal_search.errors import EncoderError, SettingsError
from multimodal_search.index import changes, searching
from multimodal_search.index.found import Found
from multimodal_search.index.metric import prepared_queries, scores
from multimodal_search.index.opened import Opened, open_files
from multimodal_search.index.state import Files
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import BoolArray, FloatArray, IntArray


class Index:
    """Vectors with ids and metadata that can be asked for their nearest.

    Rows keep their numbers for the index's life: those that were deleted, or had no usable vector, are never
    found but stay counted in ``len`` and in ``columns``.

    Attributes:
        path: the Faiss file.
    """

    def __init__(self, path: Path, opened: Opened) -> None:
        self.path = path
        self._opened = opened

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """As ``multimodal_search.index.load``."""
        files = Files(path)
        return cls(files.public, open_files(files))

    def __len__(self) -> int:
        return self._opened.state.rows

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._opened.state.dim

    @property
    def metric(self) -> str:
        """``cosine``, ``l2`` or ``ip``."""
        return self._opened.state.metric

    @property
    def fingerprint(self) -> str | None:
        """Of the encoder (or the bundle) whose vectors these are; None if unknown."""
        return self._opened.state.fingerprint

    @property
    def info(self) -> Mapping[str, Any]:
        """``kind``, ``why``, ``recall``, ``milliseconds``, ``bytes``, and what else was measured."""
        state = self._opened.state
        return {
            **state.info,
            "kind": state.kind,
            "metric": state.metric,
            "rows": state.rows,
            "gone": state.gone_rows,
            "dim": state.dim,
            "dtype": state.dtype,
            "fingerprint": state.fingerprint,
            **state.knobs,
        }

    @property
    def columns(self) -> pa.Table:
        """``id`` and the metadata columns of all rows, memory-mapped."""
        return self._opened.names.table

    @property
    def usable(self) -> BoolArray:
        """(rows,) which can be found: not deleted, and with a vector that is finite and not zero."""
        gone = self._opened.gone
        return np.ones(len(self), np.bool_) if gone is None else ~gone

    def ids_of(self, rows: IntArray) -> list[str | None]:
        """The ids of rows; None where a row is -1."""
        return self._opened.names.of(np.asarray(rows, dtype=np.int64))

    def rows_of(self, ids: Sequence[str]) -> IntArray:
        """(n,) the row of each id, -1 where there is none or it was deleted."""
        return self._opened.names.rows_of(ids, self._opened.gone)

    def vectors(self, rows: IntArray) -> FloatArray:
        """(n, dim) float32 as they are stored: of length one with the cosine."""
        return self._opened.stored.gather(np.asarray(rows, dtype=np.int64))

    @property
    def left_out(self) -> list[str]:
        """Ids of rows whose vectors are zero, or hold NaN or infinity: they have no neighbours."""
        opened = self._opened
        return changes.left_out(opened.names, opened.stored, opened.gone)

    def append(self, vectors: VectorSet, *, skip_known: bool = False) -> int:
        """Add rows after those that are there, and see them; returns how many, when they are on the disk.

        Args:
            skip_known: leave out rows whose ids are there, instead of refusing them all.

        Raises:
            DataError: another dimension; ids that are there or come twice.
            EncoderError: the vectors are of another encoder.
            OutputError: the disk is full, or another run writes here.
        """
        count = changes.append(self._opened.files, vectors, skip_known=skip_known)
        self._opened = open_files(self._opened.files)
        return count

    def delete(self, ids: Sequence[str]) -> int:
        """Let rows never be found again; returns how many, when that is on the disk.

        Raises:
            DataError: an id that is not there; nothing is deleted then.
            OutputError: the disk is full, or another run writes here.
        """
        count = changes.delete(self._opened.files, ids)
        self._opened = open_files(self._opened.files)
        return count

    def search(
        self, queries: FloatArray, k: int = 10, *, allowed: BoolArray | IntArray | None = None
    ) -> Found:
        """The ``k`` nearest rows of each query.

        Args:
            queries: (dim,) or (n, dim).
            k: at most this many; all that there are where it is more than there are.
            allowed: only these rows: a mask (rows,) or row numbers. A small choice is compared exactly, in a
                large one the search widens until it has seen as many rows as it would without a choice.

        Raises:
            DataError: a query of another length, or NaN, or zeros with the cosine.
            SettingsError: ``k`` under 1, or ``allowed`` that does not fit.
        """
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise SettingsError(f"k must be a whole number of at least 1, not {k!r}.")
        opened = self._opened
        ready = prepared_queries(queries, opened.state.dim, opened.state.metric)
        likenesses, rows = searching.search(opened, ready, int(k), allowed)
        found = scores(likenesses, opened.state.metric)
        if np.ndim(queries) == 1:
            one, near = rows[0], found[0]
            if one[-1] < 0:  # fewer than k, and nothing after them
                one, near = one[one >= 0], near[one >= 0]
            return Found(np.array(opened.names.of(one), dtype=object), near, one)
        ids = np.array(opened.names.of(rows.ravel()), dtype=object).reshape(rows.shape)
        return Found(ids, np.where(rows >= 0, found, np.nan), rows)

    def verify_fingerprint(self, fingerprint: str) -> None:
        """Refuse queries of another encoder than the one that made the vectors.

        Raises:
            EncoderError: the fingerprints differ.
        """
        known = self._opened.state.fingerprint
        if known is not None and known != fingerprint:
            raise EncoderError(
                f"The query's encoder ({fingerprint[:12]}) is not that of the index ({known[:12]}).",
                where=self.path,
                remedy="encode queries with the encoder of the index, or build an index of its vectors",
            )
