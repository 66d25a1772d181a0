"""The local index as a backend: a thin adapter, so that one contract holds for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from multimodal_search.errors import DataError
from multimodal_search.filters import BoolArray, Filter
from multimodal_search.index.backends.base import Collection, Progress, Uploaded, grown, verify_query
from multimodal_search.index.backends.payload import Metadata
from multimodal_search.index.build import build
from multimodal_search.index.found import Found
from multimodal_search.index.index import Index
from multimodal_search.index.metric import Metric
from multimodal_search.index.state import Files
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray, IntArray


class IndexBackend:
    """A Faiss index with its files; see ``Backend``. Rows that are there stay, changed or not.

    Args:
        path: the Faiss file, there already or not.
        kind: of an index that is built here.
        metric: of an index that is built here.
    """

    def __init__(self, path: Path, *, kind: str = "auto", metric: Metric = "cosine") -> None:
        self._path = path
        self._kind = kind
        self._metric = metric
        self._index = Index.open(path) if Files(path).is_there() else None

    @property
    def index(self) -> Index:
        """The index itself.

        Raises:
            DataError: nothing is there yet.
        """
        if self._index is None:
            raise DataError("There is no index here.", where=self._path, remedy="upload vectors first")
        return self._index

    @property
    def collection(self) -> Collection:
        index = self.index
        kinds = Metadata(index.columns.drop_columns(["id"])).kinds
        return Collection(index.fingerprint, index.dim, cast(Metric, index.metric), kinds)

    def upload(self, vectors: VectorSet, *, progress: Progress | None = None) -> Uploaded:
        unusable = int(np.count_nonzero(~vectors.usable()))
        if self._index is None:
            self._index = build(vectors, self._path, kind=self._kind, metric=self._metric)
            present = 0
        else:
            grown(self.collection, vectors, Metadata(vectors.columns).kinds, self._path)
            known = self._index.rows_of(list(vectors.ids)) >= 0
            present = int(np.count_nonzero(known & vectors.usable()))
            if not known.all():
                self._index.append(vectors.select(np.flatnonzero(~known)))
        if progress is not None:
            progress(len(vectors), len(vectors))
        return Uploaded(len(vectors) - unusable - present, present, unusable)

    def search(
        self,
        queries: FloatArray,
        k: int = 10,
        *,
        where: Filter | None = None,
        allowed: BoolArray | IntArray | None = None,
        fingerprint: str | None = None,
    ) -> Found:
        verify_query(self.collection, fingerprint, self._path)
        if where is None:
            return self.index.search(queries, k, allowed=allowed)
        mask = where.mask(self.index.columns)
        if allowed is not None:
            chosen = np.zeros(len(self.index), dtype=np.bool_)
            chosen[allowed] = True
            mask &= chosen
        return self.index.search(queries, k, allowed=mask)

    def delete(self, ids: Sequence[str]) -> int:
        unique = list(dict.fromkeys(ids))
        there = [
            one for one, row in zip(unique, self.index.rows_of(unique).tolist(), strict=True) if row >= 0
        ]
        if there:
            self.index.delete(there)
        return len(there)

    def count(self) -> int:
        return 0 if self._index is None else int(np.count_nonzero(self._index.usable))

    def close(self) -> None:
        """Its files are mapped, not held."""
        self._index = None
