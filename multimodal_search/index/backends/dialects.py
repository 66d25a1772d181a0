"""How Qdrant's client and Qdrant Edge write conditions: the same ones, in types of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType

from multimodal_search.index.backends.engine import Condition, json_path


class QdrantDialect:
    """Conditions in the types of ``qdrant_client.models``."""

    def __init__(self, models: ModuleType) -> None:
        self._models = models

    def equals(self, field: str, value: str | int | bool) -> Condition:
        match = self._models.MatchValue(value=value)
        return self._models.FieldCondition(key=json_path(field), match=match)

    def one_of(self, field: str, values: Sequence[str] | Sequence[int]) -> Condition:
        match = self._models.MatchAny(any=list(values))
        return self._models.FieldCondition(key=json_path(field), match=match)

    def between(self, field: str, bounds: Mapping[str, float]) -> Condition:
        return self._models.FieldCondition(key=json_path(field), range=self._models.Range(**bounds))

    def during(self, field: str, bounds: Mapping[str, str]) -> Condition:
        return self._models.FieldCondition(key=json_path(field), range=self._models.DatetimeRange(**bounds))

    def absent(self, field: str) -> Condition:
        return self._models.IsEmptyCondition(is_empty=self._models.PayloadField(key=json_path(field)))

    def points(self, ids: Iterable[str]) -> Condition:
        return self._models.HasIdCondition(has_id=list(ids))

    def every(self, conditions: Sequence[Condition]) -> Condition:
        return self._models.Filter(must=list(conditions))

    def some(self, conditions: Sequence[Condition]) -> Condition:
        return self._models.Filter(should=list(conditions))

    def none(self, conditions: Sequence[Condition]) -> Condition:
        return self._models.Filter(must_not=list(conditions))


class EdgeDialect:
    """Conditions in the types of ``qdrant_edge``."""

    def __init__(self, edge: ModuleType) -> None:
        self._edge = edge

    def equals(self, field: str, value: str | int | bool) -> Condition:
        match = self._edge.MatchValue(_Truth(value) if isinstance(value, bool) else value)
        return self._edge.FieldCondition(json_path(field), match=match)

    def one_of(self, field: str, values: Sequence[str] | Sequence[int]) -> Condition:
        return self._edge.FieldCondition(json_path(field), match=self._edge.MatchAny(list(values)))

    def between(self, field: str, bounds: Mapping[str, float]) -> Condition:
        return self._edge.FieldCondition(json_path(field), range=self._edge.RangeFloat(**bounds))

    def during(self, field: str, bounds: Mapping[str, str]) -> Condition:
        return self._edge.FieldCondition(json_path(field), range=self._edge.RangeDateTime(**bounds))

    def absent(self, field: str) -> Condition:
        return self._edge.IsEmptyCondition(json_path(field))

    def points(self, ids: Iterable[str]) -> Condition:
        return self._edge.HasIdCondition(set(ids))

    def every(self, conditions: Sequence[Condition]) -> Condition:
        return self._edge.Filter(must=list(conditions))

    def some(self, conditions: Sequence[Condition]) -> Condition:
        return self._edge.Filter(should=list(conditions))

    def none(self, conditions: Sequence[Condition]) -> Condition:
        return self._edge.Filter(must_not=list(conditions))


class _Truth:
    """A truth value that qdrant-edge-py 0.9 keeps: it reads Python's True, an int too, as the number 1.

    It takes what is no int and says it is NumPy's ``bool_`` for a truth value. Should another version not, a
    test of the contract fails.
    """

    def __init__(self, value: bool) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return self._value


_Truth.__module__, _Truth.__name__ = "numpy", "bool_"
