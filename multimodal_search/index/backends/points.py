"""A backend over any engine of points: uploads that resume, filters, what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.filters import BoolArray, Filter
from multimodal_search.index.backends.base import (
    Collection,
    Progress,
    Uploaded,
    grown,
    verify_query,
)
from multimodal_search.index.backends.conditions import Translator
from multimodal_search.index.backends.engine import Condition, Engine
from multimodal_search.index.backends.payload import DIGEST, Metadata, digest, evaluable, point_id
from multimodal_search.index.found import Found
from multimodal_search.index.metric import Metric, prepared, prepared_queries
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray, IntArray

_READ_ROWS = 8192
_ASK_ROWS = 1024
_QUERIES = 64
_MANY = 1000  # hits; beyond, it pays to ask how many there are
# Beyond these, what the engine cannot decide would take it minutes: better said than done
EVALUATED_ROWS = 200_000
NAMED_ROWS = 50_000


class PointBackend:
    """Vectors in an engine; see ``Backend``.

    Args:
        engine: which, and where.
        metric: of a collection that is made here.
        rows: the ids that ``allowed`` and ``Found.rows`` number, of a table at hand; only they are found.
    """

    def __init__(
        self, engine: Engine, *, metric: Metric = "cosine", rows: Sequence[str] | None = None
    ) -> None:
        self._engine = engine
        self._metric = metric
        self._rows = rows
        self._numbers: dict[str, int] | None = None
        self._collection = engine.describe()

    def __len__(self) -> int:
        """Rows that are numbered here."""
        return len(self._rows or ())

    @property
    def metric(self) -> Metric:
        """What near means in the collection."""
        return self.collection.metric

    @property
    def usable(self) -> BoolArray:
        """(rows,) which of them may be found: as far as this side knows, all."""
        return np.ones(len(self), dtype=np.bool_)

    @property
    def collection(self) -> Collection:
        if self._collection is None:
            raise DataError(
                "There is no collection here.", where=self._engine.where, remedy="upload vectors first"
            )
        return self._collection

    def verify_fingerprint(self, fingerprint: str | None) -> None:
        """Refuse queries of another encoder than the one that made the vectors.

        Raises:
            EncoderError: the fingerprints differ.
        """
        verify_query(self.collection, fingerprint, self._engine.where)

    def verify_rows(self, vectors: VectorSet, sampled: int = 64) -> None:
        """Refuse to be asked for a table's rows while other ones are there: heads trained again, for example.

        Raises:
            DataError: of the sampled rows, some differ from those here.
        """
        metadata = Metadata(vectors.columns)
        rows = np.unique(np.linspace(0, max(len(vectors) - 1, 0), min(sampled, len(vectors)), dtype=np.int64))
        missing = other = 0
        for row in rows:
            one, vector = vectors.ids[row], vectors.gather(np.array([row]))[0]
            if not (np.isfinite(vector).all() and vector.any()):
                continue
            payload = next(metadata.payloads(int(row), [one]))
            there = self._engine.digests([point_id(one)]).get(point_id(one))
            missing += there is None
            other += there not in (None, digest(vector, payload))
        if missing or other:
            raise DataError(
                f"Of {len(rows)} sampled rows of {vectors.location}, {missing} are not in the collection and "
                f"{other} are there with other content.",
                where=self._engine.where,
                remedy="upload again: multimodal-search index with the same --backend and --url",
            )

    def upload(self, vectors: VectorSet, *, progress: Progress | None = None) -> Uploaded:
        metadata = Metadata(vectors.columns)
        self._collection = self._agreed(vectors, metadata)
        self._engine.create(self._collection)
        sent = present = 0
        for start, block in vectors.blocks(_READ_ROWS):
            usable = np.isfinite(block).all(axis=1) & block.any(axis=1)
            ids = list(vectors.ids[start : start + len(block)])
            payloads = list(metadata.payloads(start, ids))
            rows = np.flatnonzero(usable)
            missing = self._missing(rows, ids, block, payloads)
            for some in _slices(missing, self._engine.batch_rows):
                ready = prepared(block[some], self._collection.metric)
                self._engine.upsert(
                    [point_id(ids[row]) for row in some], ready, [payloads[row] for row in some]
                )
                if progress is not None:
                    progress(start + some[-1] + 1, len(vectors))
            sent += len(missing)
            present += len(rows) - len(missing)
            if progress is not None:
                progress(start + len(block), len(vectors))
        self._engine.settle()
        return Uploaded(sent, present, len(vectors) - sent - present)

    def search(
        self,
        queries: FloatArray,
        k: int = 10,
        *,
        where: Filter | None = None,
        allowed: BoolArray | IntArray | None = None,
        fingerprint: str | None = None,
    ) -> Found:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise SettingsError(f"k must be a whole number of at least 1, not {k!r}.")
        verify_query(self.collection, fingerprint, self._engine.where)
        asked = prepared_queries(np.asarray(queries), self.collection.dim, self.collection.metric)
        condition = None if where is None else self._condition(where)
        chosen = None if allowed is None else self._chosen(allowed)
        if chosen is None:
            hits = self._hits(asked, int(k), condition)
        elif len(chosen) <= NAMED_ROWS:
            named = self._points([point_id(self._ids[row]) for row in chosen.tolist()], "allowed rows")
            parts = [named] if condition is None else [condition, named]
            hits = self._hits(asked, int(k), self._engine.dialect.every(parts)) if len(chosen) else []
        else:
            hits = self._sifted(asked, int(k), condition, chosen)
        found = self._found(hits or [[] for _ in asked], int(k))
        if np.ndim(queries) > 1:
            return found
        full = sum(one is not None for one in found.ids[0])
        return Found(found.ids[0, :full], found.scores[0, :full], found.rows[0, :full])

    def delete(self, ids: Sequence[str]) -> int:
        there = 0
        for some in _slices(list(dict.fromkeys(ids)), _ASK_ROWS):
            points = [point_id(one) for one in some]
            there += len(self._engine.digests(points))
            self._engine.delete(points)
        return there

    def count(self) -> int:
        return self._engine.count() if self._collection is not None else 0

    def close(self) -> None:
        self._engine.close()

    def _agreed(self, vectors: VectorSet, metadata: Metadata) -> Collection:
        if self._collection is None:
            return Collection(vectors.fingerprint, vectors.dim, self._metric, metadata.kinds)
        return grown(self._collection, vectors, metadata.kinds, self._engine.where)

    def _missing(
        self, rows: Iterable[int], ids: Sequence[str], block: FloatArray, payloads: Sequence[dict[str, Any]]
    ) -> list[int]:
        """The rows whose content is not there; their payloads get the digest that says so next time."""
        missing = []
        for some in _slices(list(rows), _ASK_ROWS):
            there = self._engine.digests([point_id(ids[row]) for row in some])
            for row in some:
                mine = digest(block[row], payloads[row])
                if there.get(point_id(ids[row])) != mine:
                    payloads[row][DIGEST] = mine
                    missing.append(int(row))
        return missing

    def _condition(self, where: Filter) -> Condition:
        said, unsaid = Translator(self._engine.dialect, self.collection.fields).split(where)
        if unsaid is None:
            return said
        decided = self._evaluated(unsaid, said)
        return decided if said is None else self._engine.dialect.every([said, decided])

    def _hits(
        self, queries: FloatArray, k: int, condition: Condition | None
    ) -> list[list[tuple[str, float]]]:
        there = self._engine.count(condition) if k > _MANY else k
        hits: list[list[tuple[str, float]]] = []
        for start in range(0, len(queries) if there else 0, _QUERIES):
            hits += self._engine.nearest(queries[start : start + _QUERIES], min(k, there), condition)
        return hits

    def _sifted(
        self, queries: FloatArray, k: int, condition: Condition | None, chosen: IntArray
    ) -> list[list[tuple[str, float]]]:
        """Other rows are dropped from more hits than were asked for: few more, where most are allowed."""
        kept = {self._ids[row] for row in chosen.tolist()}
        wanted = 2 * k * len(self._ids) // len(chosen)
        while True:
            hits = self._hits(queries, wanted, condition)
            sifted = [[hit for hit in some if hit[0] in kept][:k] for some in hits]
            complete = all(
                len(few) == k or len(some) < wanted for few, some in zip(sifted, hits, strict=True)
            )
            if complete or wanted > len(self._ids):
                return sifted
            wanted *= 4

    def _evaluated(self, where: Filter, within: Condition | None) -> Condition:
        """The rows for which a condition is true that the engine cannot decide."""
        candidates = self._engine.count(within)
        if candidates > EVALUATED_ROWS:
            raise SettingsError(
                f"The engine cannot decide '{where}' by itself, and {candidates} rows are too many to fetch.",
                where=self._engine.where,
                remedy=f"add conditions (==, in, numbers) that leave at most {EVALUATED_ROWS} rows",
            )
        translator = Translator(self._engine.dialect, self.collection.fields)
        fields = {one: translator.field(one) for one in where.names()}
        points, rows = [], []
        for point, payload in self._engine.scroll(within, sorted(set(fields.values()))):
            points.append(point)
            rows.append(payload)
        kinds = {one: (name, self.collection.fields[name]) for one, name in fields.items()}
        keep = where.mask(evaluable(rows, kinds))[: len(rows)]
        return self._points([point for point, good in zip(points, keep.tolist(), strict=True) if good], where)

    def _chosen(self, allowed: BoolArray | IntArray) -> IntArray | None:
        """Row numbers; None where all are allowed."""
        chosen = np.asarray(allowed)
        if chosen.dtype != np.bool_:
            return chosen.astype(np.int64)
        return None if chosen.all() else np.flatnonzero(chosen)

    @property
    def _ids(self) -> Sequence[str]:
        if self._rows is None:
            raise SettingsError(
                "Rows can only be allowed by number where the table is known.",
                remedy="filter with where instead",
            )
        return self._rows

    def _points(self, points: Sequence[str], asked: object) -> Condition:
        if len(points) > NAMED_ROWS:
            raise SettingsError(
                f"{len(points)} rows are too many to name to the engine.",
                where=asked,
                remedy=f"narrow the filter to at most {NAMED_ROWS} rows",
            )
        return self._engine.dialect.points(points)

    def _found(self, hits: Sequence[Sequence[tuple[str, float]]], k: int) -> Found:
        """(queries, k) arrays; equal scores in the order of the rows, where that is known."""
        ids = np.full((len(hits), k), None, dtype=object)
        scores = np.full((len(hits), k), np.nan, dtype=np.float32)
        rows = np.full((len(hits), k), -1, dtype=np.int64)
        sign = 1 if self.collection.metric == "l2" else -1
        for query, some in enumerate(hits):
            numbered = [(np.float32(score), self._row(one), one) for one, score in some]
            if self._rows is not None:  # the collection may hold rows of other tables, too
                numbered = [hit for hit in numbered if hit[1] >= 0]
            for place, (score, row, one) in enumerate(
                sorted(numbered, key=lambda hit: (sign * hit[0], hit[1]))
            ):
                ids[query, place], scores[query, place], rows[query, place] = one, score, row
        return Found(ids, scores, rows)

    def _row(self, row_id: str) -> int:
        if self._rows is None:
            return -1
        if self._numbers is None:
            self._numbers = {one: row for row, one in enumerate(self._rows)}
        return self._numbers.get(row_id, -1)


def _slices(rows: Sequence[Any], size: int) -> Iterable[Any]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
