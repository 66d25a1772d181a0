"""What differs between engines that hold points with payloads: few calls, and how they write a condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from multimodal_search.index.backends.base import Collection
from multimodal_search.index.backends.payload import Kind
from multimodal_search.types import FloatArray

Condition = Any
"""A condition in an engine's own types."""


class Dialect(Protocol):
    """Makes conditions of one engine."""

    def equals(self, field: str, value: str | int | bool) -> Condition:
        """The field has this value."""

    def one_of(self, field: str, values: Sequence[str] | Sequence[int]) -> Condition:
        """The field has one of these values."""

    def between(self, field: str, bounds: Mapping[str, float]) -> Condition:
        """The field is a number within ``gt``, ``gte``, ``lt``, ``lte``."""

    def during(self, field: str, bounds: Mapping[str, str]) -> Condition:
        """The field is a moment within bounds in ISO 8601."""

    def absent(self, field: str) -> Condition:
        """The row has no such field, or null in it."""

    def points(self, ids: Iterable[str]) -> Condition:
        """The row is one of these points."""

    def every(self, conditions: Sequence[Condition]) -> Condition:
        """All are true."""

    def some(self, conditions: Sequence[Condition]) -> Condition:
        """One or more are true."""

    def none(self, conditions: Sequence[Condition]) -> Condition:
        """None is true."""


class Engine(Protocol):
    """Points with a vector and a payload each. Errors are ``ProjectError``."""

    batch_rows: int
    where: str

    @property
    def dialect(self) -> Dialect:
        """How it writes conditions."""

    def describe(self) -> Collection | None:
        """What the collection says of itself; None where there is none."""

    def create(self, collection: Collection) -> None:
        """Make the collection, or give the one there more fields; may be called again after a kill."""

    def digests(self, ids: Sequence[str]) -> dict[str, str]:
        """Point id -> digest, of those of these points that are there."""

    def upsert(self, ids: Sequence[str], vectors: FloatArray, payloads: Sequence[dict[str, Any]]) -> None:
        """Write points; they are kept for good once this returned."""

    def settle(self) -> None:
        """After an upload: build what makes search fast."""

    def nearest(
        self, queries: FloatArray, k: int, condition: Condition | None
    ) -> list[list[tuple[str, float]]]:
        """(row id, the engine's score) of the k best, for each query, best first."""

    def scroll(
        self, condition: Condition | None, fields: Sequence[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """(point id, those fields) of every row for which the condition is true."""

    def count(self, condition: Condition | None = None) -> int:
        """Rows for which the condition is true."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove points; those that are not there do not matter."""

    def close(self) -> None:
        """Let go of files and connections."""


def to_json(collection: Collection) -> dict[str, Any]:
    """As an engine stores it."""
    return {
        "fingerprint": collection.fingerprint,
        "dim": collection.dim,
        "metric": collection.metric,
        "fields": dict(collection.fields),
    }


def from_json(described: Mapping[str, Any]) -> Collection:
    """As ``to_json`` wrote it."""
    fields: dict[str, Kind] = dict(described["fields"])
    return Collection(described["fingerprint"], int(described["dim"]), described["metric"], fields)


def json_path(name: str) -> str:
    """A field's name as Qdrant addresses it: quoted where a dot or a bracket would mean a part of it."""
    return (
        name
        if name and all(one.isascii() and (one.isalnum() or one in "_-") for one in name)
        else f'"{name}"'
    )
