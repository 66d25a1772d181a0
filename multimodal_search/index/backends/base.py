"""What every engine of vectors can do here, whether it is a file, a folder, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from multimodal_search.errors import DataError, EncoderError
from multimodal_search.filters import BoolArray, Filter
from multimodal_search.index.backends.payload import Kind
from multimodal_search.index.found import Found
from multimodal_search.index.metric import Metric
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray, IntArray

Progress = Callable[[int, int], None]
"""Called with (rows seen, rows there are) after every batch."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What a collection says of itself; written into it when it is made.

    Attributes:
        fingerprint: of the encoder whose vectors it holds; None where nobody knows.
        dim: length of a vector.
        metric: what near means.
        fields: metadata, and how each field is indexed.
    """

    fingerprint: str | None
    dim: int
    metric: Metric
    fields: dict[str, Kind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload did: rows sent, rows there already, and rows that cannot be found (zero, not finite)."""

    sent: int
    present: int
    unusable: int


class Backend(Protocol):
    """Vectors with ids and metadata, somewhere."""

    @property
    def collection(self) -> Collection:
        """What is there.

        Raises:
            DataError: nothing is there yet.
        """

    def upload(self, vectors: VectorSet, *, progress: Progress | None = None) -> Uploaded:
        """Put rows there; those that are there already, unchanged, are not sent again.

        Whatever returned is kept, even through kill -9: the same call goes on from there.

        Raises:
            EncoderError: the collection holds vectors of another encoder.
            DataError: another dimension or type of field; the engine cannot be reached.
        """

    def search(
        self,
        queries: FloatArray,
        k: int = 10,
        *,
        where: Filter | None = None,
        allowed: BoolArray | IntArray | None = None,
        fingerprint: str | None = None,
    ) -> Found:
        """The nearest rows, best first.

        Args:
            queries: (n, dim) or (dim,).
            k: at most this many a query.
            where: only rows of which this is true.
            allowed: only these rows of the vectors the backend was opened with.
            fingerprint: of the encoder that made the queries, if known.

        Raises:
            EncoderError: the queries are of another encoder.
            DataError: a query of another length, not finite, or zero; the engine cannot be reached.
            SettingsError: a filter on a field that is not there.
        """

    def delete(self, ids: Sequence[str]) -> int:
        """Remove rows by id.

        Returns:
            How many of them were there.
        """

    def count(self) -> int:
        """Rows that can be found."""

    def close(self) -> None:
        """Let go of files and connections."""


class Searchable(Protocol):
    """What a search over a table at hand asks: a local index, or a backend that knows its rows."""

    @property
    def metric(self) -> str:
        """``cosine``, ``l2`` or ``ip``."""

    @property
    def usable(self) -> BoolArray:
        """(rows,) which can be found."""

    def __len__(self) -> int:
        """How many rows are numbered."""

    def search(
        self, queries: FloatArray, k: int = 10, *, allowed: BoolArray | IntArray | None = None
    ) -> Found:
        """The nearest of the rows that are allowed, best first."""


def verify_query(collection: Collection, fingerprint: str | None, where: object) -> None:
    """Refuse queries that another encoder made.

    Raises:
        EncoderError: both fingerprints are known, and differ.
    """
    if None not in (fingerprint, collection.fingerprint) and fingerprint != collection.fingerprint:
        raise EncoderError(
            f"The query is of another encoder ({_short(fingerprint)}) than the collection "
            f"({_short(collection.fingerprint)}).",
            where=where,
            remedy="ask with the bundle or the encoder that made the collection",
        )


def grown(collection: Collection, vectors: VectorSet, fields: dict[str, Kind], where: object) -> Collection:
    """The collection once these rows are in it, too.

    Raises:
        EncoderError: the fingerprints differ; unknown differs from known.
        DataError: another dimension, or a field of another type.
    """
    if vectors.fingerprint != collection.fingerprint:
        raise EncoderError(
            f"The collection holds vectors of another encoder ({_short(collection.fingerprint)}) "
            f"than these ({_short(vectors.fingerprint)}).",
            where=where,
            remedy="choose another collection, or delete that one",
        )
    if vectors.dim != collection.dim:
        raise DataError(
            f"Vectors of {vectors.dim} numbers into a collection of {collection.dim}.",
            where=where,
            remedy="choose another collection",
        )
    together = {**fields, **collection.fields}
    for name, kind in fields.items():
        there = together[name]
        if there == "empty" or {there, kind} == {"keyword", "text"}:
            together[name] = kind if there == "empty" else "text"
        elif kind not in (there, "empty"):
            raise DataError(
                f"The field {name!r} is {kind} here and {there} in the collection.",
                where=where,
                remedy="make the field of one type, or choose another collection",
            )
    return replace(collection, fields=together)


def _short(fingerprint: str | None) -> str:
    return "unknown" if fingerprint is None else fingerprint[:12]
