"""A filter in an engine's own conditions, as far as the engine can say the same; the rest is evaluated here.

The engine has two truth values where a filter has three, so that ``!=`` and ``not in`` also ask that the
field be there. A field whose rows have several types, or lists, is never asked of the engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from multimodal_search.errors import SettingsError, nearest
from multimodal_search.filters import And, Compare, Filter, In, Not, Or, Scalar, all_of, normal
from multimodal_search.filters.fields import METADATA
from multimodal_search.index.backends.engine import Condition, Dialect
from multimodal_search.index.backends.payload import Kind, moment

_EXACT = 2**53  # float64, in which engines compare, holds every whole number below
_BOUNDS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_HELD = {"keyword": "text", "text": "text", "bool": "true or false", "empty": "nothing"}


class _NotSayable(Exception):  # noqa: N818  a signal: this part is evaluated here
    pass


class Translator:
    """Filters of ours -> conditions of an engine.

    Args:
        dialect: makes the engine's conditions.
        kinds: the collection's fields.
    """

    def __init__(self, dialect: Dialect, kinds: Mapping[str, Kind]) -> None:
        self._dialect = dialect
        self._kinds = kinds

    def split(self, where: Filter) -> tuple[Condition | None, Filter | None]:
        """(what the engine can decide, what it cannot): a row must pass both.

        Raises:
            SettingsError: a field that no row has, or compared with a value of another type.
        """
        condition = normal(where)
        parts = condition.operands if isinstance(condition, And) else (condition,)
        said: list[Condition] = []
        unsaid: list[Filter] = []
        for part in parts:
            for name in sorted(part.names()):
                self.field(name)
            try:
                said.append(self._translate(part))
            except _NotSayable:
                unsaid.append(part)
        return (self._dialect.every(said) if said else None), all_of(*unsaid)

    def field(self, name: str) -> str:
        """The field that a name in a filter means.

        Raises:
            SettingsError: there is none.
        """
        for one in (name, name.removeprefix(f"{METADATA}.")):
            if one in self._kinds:
                return one
        raise SettingsError(
            f"No row has a field {name!r}.",
            remedy=nearest(name, list(self._kinds)) if self._kinds else "the collection has no metadata",
        )

    def _translate(self, condition: Filter) -> Condition:
        if isinstance(condition, And):
            return self._dialect.every([self._translate(one) for one in condition.operands])
        if isinstance(condition, Or):
            return self._dialect.some([self._translate(one) for one in condition.operands])
        if isinstance(condition, Compare):
            return self._compare(condition)
        if isinstance(condition, In):
            return self._one_of(condition)
        if isinstance(condition, Not) and isinstance(condition.operand, In):
            name = self.field(condition.operand.field)
            return self._present(name, self._one_of(condition.operand))
        raise _NotSayable

    def _compare(self, condition: Compare) -> Condition:
        name = self.field(condition.field)
        if condition.value is None:
            if self._kinds[name] == "stored":
                raise _NotSayable  # an empty list is there, but empty to the engine
            absent = self._dialect.absent(name)
            return absent if condition.operator == "==" else self._dialect.none([absent])
        if condition.operator == "!=":
            return self._present(name, self._equals(name, condition.value, condition))
        if condition.operator == "==":
            return self._equals(name, condition.value, condition)
        return self._order(name, condition)

    def _present(self, name: str, otherwise: Condition) -> Condition:
        """The field is there, and the condition is false."""
        return self._dialect.none([self._dialect.absent(name), otherwise])

    def _equals(self, name: str, value: Scalar, asked: Filter) -> Condition:
        kind = self._kind(name, value, asked)
        if kind == "integer" and float(value).is_integer():
            return self._dialect.equals(name, _exact(value))
        if kind == "integer":
            return self._dialect.points([])
        if kind == "float":
            return self._dialect.between(name, dict.fromkeys(("gte", "lte"), _number(value)))
        if kind == "datetime":
            return self._dialect.during(name, dict.fromkeys(("gte", "lte"), _moment(value)))
        return self._dialect.equals(name, cast("str | bool", value))

    def _order(self, name: str, condition: Compare) -> Condition:
        sign, value = condition.operator, condition.value
        assert value is not None
        kind = self._kind(name, value, condition)
        if kind == "float":
            return self._dialect.between(name, {_BOUNDS[sign]: _number(value)})
        if kind not in ("integer", "datetime"):
            raise _NotSayable  # engines have no order of texts
        if not float(value).is_integer():
            # An engine may cut 2.5 to 2: x < 2.5 is x <= 2, and x >= 2.5 is x > 2
            sign, value = ("<=" if sign in ("<", "<=") else ">"), math.floor(float(value))
        if kind == "datetime":
            return self._dialect.during(name, {_BOUNDS[sign]: _moment(value)})
        return self._dialect.between(name, {_BOUNDS[sign]: float(_exact(value))})

    def _one_of(self, condition: In) -> Condition:
        name = self.field(condition.field)
        if self._kinds[name] == "stored":
            raise _NotSayable
        values = [one for one in condition.values if one is not None]
        parts = [self._equals(name, one, condition) for one in values]
        if values and self._kinds[name] in ("keyword", "text"):
            parts = [self._dialect.one_of(name, [str(one) for one in values])]
        if len(values) < len(condition.values):
            parts.append(self._dialect.absent(name))
        return self._dialect.some(parts)

    def _kind(self, name: str, value: Scalar, asked: Filter) -> Kind:
        """The field's kind.

        Raises:
            SettingsError: no row has a value of this one's type.
        """
        kind = self._kinds[name]
        if kind == "stored":
            raise _NotSayable
        held = _HELD.get(kind, "numbers")
        given = (
            "true or false" if isinstance(value, bool) else "text" if isinstance(value, str) else "numbers"
        )
        if held != given:
            raise SettingsError(
                f"The field {name!r} holds {held}, and is compared with {value!r}.", where=asked
            )
        return kind


def _exact(value: Scalar) -> int:
    whole = int(value)
    if abs(whole) >= _EXACT:
        raise _NotSayable
    return whole


def _number(value: Scalar) -> float:
    if abs(float(value)) >= _EXACT:
        raise _NotSayable  # whole numbers may be meant, which float64 blurs there
    return float(value)


def _moment(value: Scalar) -> str:
    written = moment(int(value)) if float(value).is_integer() else None
    if written is None:
        raise _NotSayable
    return written
