"""The parts of a condition on metadata: frozen, comparable, printable as the text that parses to them.

Truth has three values, as in SQL: a row that lacks the field, or has a value of another type in it, is
unknown to every condition on that field and to its negation; only what is true is found. ``== null`` asks for
absence.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from multimodal_search.filters.fields import Fields, Scalar, flatten
from multimodal_search.types import BoolArray

Operator = Literal["==", "!=", "<", "<=", ">", ">="]

KEYWORDS = frozenset({"and", "or", "not", "in", "contains", "true", "false", "null", "none"})
PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")
_OPPOSITE: dict[Operator, Operator] = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Filter(ABC):
    """A condition on a row's fields. ``str`` gives text that ``parse`` reads back."""

    __slots__ = ()

    def mask(self, columns: pa.Table | Fields) -> BoolArray:
        """(rows,) which rows are true.

        Args:
            columns: one row a vector. Metadata held as JSON in a column ``metadata`` is read once a table.

        Raises:
            SettingsError: a field that no row has, or a value of a type that no row has there.
        """
        fields = columns if isinstance(columns, Fields) else flatten(columns)
        if not len(fields):
            return np.zeros(0, dtype=np.bool_)
        found = pc.fill_null(self.evaluate(fields), False)
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)

    @abstractmethod
    def evaluate(self, fields: Fields) -> pa.BooleanArray:
        """(rows,) true, false, or null where it is unknown."""

    @abstractmethod
    def negated(self) -> Filter:
        """The opposite, with every ``not`` moved down to ``in`` and ``contains``; unknown stays unknown."""

    @abstractmethod
    def names(self) -> frozenset[str]:
        """The fields that are asked for."""


@dataclass(frozen=True, slots=True)
class Compare(Filter):
    """``field operator value``; null only with ``==`` (the field is absent) and ``!=`` (it is there)."""

    field: str
    operator: Operator
    value: Scalar | None

    def evaluate(self, fields: Fields) -> pa.BooleanArray:
        column = fields.column(self.field, where=self)
        if self.value is None:
            return column.absent() if self.operator == "==" else pc.invert(column.absent())
        return column.compare(self.operator, self.value, where=self)

    def negated(self) -> Compare:
        return Compare(self.field, _OPPOSITE[self.operator], self.value)

    def names(self) -> frozenset[str]:
        return frozenset({self.field})

    def __str__(self) -> str:
        return f"{shown_name(self.field)} {self.operator} {shown_value(self.value)}"


@dataclass(frozen=True, slots=True)
class In(Filter):
    """The field equals one of the values; null among them: or it is absent."""

    field: str
    values: tuple[Scalar | None, ...]

    def evaluate(self, fields: Fields) -> pa.BooleanArray:
        column = fields.column(self.field, where=self)
        scalars = [one for one in self.values if one is not None]
        if len(scalars) == len(self.values):
            return column.one_of(scalars, where=self)
        absent = column.absent()
        return pc.or_kleene(column.one_of(scalars, where=self), absent) if scalars else absent

    def negated(self) -> Filter:
        return Not(self)

    def names(self) -> frozenset[str]:
        return frozenset({self.field})

    def __str__(self) -> str:
        return f"{shown_name(self.field)} in [{', '.join(map(shown_value, self.values))}]"


@dataclass(frozen=True, slots=True)
class Contains(Filter):
    """The field is a text with this text in it, case as written, or a list with this value in it."""

    field: str
    value: Scalar

    def evaluate(self, fields: Fields) -> pa.BooleanArray:
        return fields.column(self.field, where=self).contains(self.value, where=self)

    def negated(self) -> Filter:
        return Not(self)

    def names(self) -> frozenset[str]:
        return frozenset({self.field})

    def __str__(self) -> str:
        return f"{shown_name(self.field)} contains {shown_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """The operand is false."""

    operand: Filter

    def evaluate(self, fields: Fields) -> pa.BooleanArray:
        return pc.invert(self.operand.evaluate(fields))

    def negated(self) -> Filter:
        return normal(self.operand)

    def names(self) -> frozenset[str]:
        return self.operand.names()

    def __str__(self) -> str:
        return f"not {_inner(self.operand)}"


@dataclass(frozen=True, slots=True)
class And(Filter):
    """Every operand is true; two or more of them."""

    operands: tuple[Filter, ...]

    def evaluate(self, fields: Fields) -> pa.BooleanArray:
        found = self.operands[0].evaluate(fields)
        for one in self.operands[1:]:
            found = pc.and_kleene(found, one.evaluate(fields))
        return found

    def negated(self) -> Filter:
        return Or(tuple(one.negated() for one in self.operands))

    def names(self) -> frozenset[str]:
        return frozenset().union(*(one.names() for one in self.operands))

    def __str__(self) -> str:
        return " and ".join(map(_inner, self.operands))


@dataclass(frozen=True, slots=True)
class Or(Filter):
    """One operand or more is true; two or more of them."""

    operands: tuple[Filter, ...]

    def evaluate(self, fields: Fields) -> pa.BooleanArray:
        found = self.operands[0].evaluate(fields)
        for one in self.operands[1:]:
            found = pc.or_kleene(found, one.evaluate(fields))
        return found

    def negated(self) -> Filter:
        return And(tuple(one.negated() for one in self.operands))

    def names(self) -> frozenset[str]:
        return frozenset().union(*(one.names() for one in self.operands))

    def __str__(self) -> str:
        return " or ".join(map(_inner, self.operands))


def normal(condition: Filter) -> Filter:
    """The same condition with ``not`` only right before ``in`` and ``contains``: for other engines."""
    if isinstance(condition, Not):
        return condition.operand.negated()
    if isinstance(condition, And | Or):
        return type(condition)(tuple(map(normal, condition.operands)))
    return condition


def all_of(*conditions: Filter | None) -> Filter | None:
    """Their conjunction; None where there is none."""
    given = [one for one in conditions if one is not None]
    return And(tuple(given)) if len(given) > 1 else given[0] if given else None


def shown_name(name: str) -> str:
    """As it is, or in backticks where it is no plain word."""
    if PLAIN_NAME.fullmatch(name) and name.lower() not in KEYWORDS:
        return name
    return "`" + name.replace("`", "``") + "`"


def shown_value(value: Scalar | None) -> str:
    """A value as ``parse`` reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "'" + "".join(_ESCAPES.get(letter, letter) for letter in value) + "'"
    return repr(value)


def _inner(condition: Filter) -> str:
    return f"({condition})" if isinstance(condition, And | Or) else str(condition)
