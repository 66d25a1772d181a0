"""One field of all rows, split by type, and the questions a condition may put to it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from multimodal_search.errors import SettingsError
from multimodal_search.types import IntArray

Scalar = str | int | float | bool
Kind = Literal["number", "text", "true or false"]

_COMPARE: dict[str, Callable[..., Any]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_PLAIN: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class Elements(NamedTuple):
    """The members of lists.

    Attributes:
        rows: (members,) the row each belongs to, ascending.
        values: the members as a field of their own.
        present: (rows,) which rows hold a list.
    """

    rows: IntArray
    values: Column
    present: pa.BooleanArray


@dataclass(frozen=True, slots=True)
class Column:
    """One field of all rows.

    Attributes:
        name: of the field.
        rows: how many.
        kinds: the values of each type that there is: (rows,) int64, float64, string or bool, null where a row
            has another type, or nothing.
        lists: the members of lists; None where no row has one.
    """

    name: str
    rows: int
    kinds: Mapping[Kind, pa.Array]
    lists: Elements | None = None

    def absent(self) -> pa.BooleanArray:
        """(rows,) which rows lack the field; never null."""
        there = np.zeros(self.rows, dtype=np.bool_)
        for array in self._present():
            there |= np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)
        return pa.array(~there)

    def compare(self, sign: str, value: Scalar, *, where: object) -> pa.BooleanArray:
        """(rows,) the value against one; null where a row has none of its type.

        Raises:
            SettingsError: no row has this type.
        """
        array = self._of(value, where)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _COMPARE[sign](array, pa.scalar(value))
        if pa.types.is_integer(array.type):
            return _compare_whole(array, sign, value)
        return _COMPARE[sign](array, pa.scalar(float(value)))

    def one_of(self, values: Sequence[Scalar], *, where: object) -> pa.BooleanArray:
        """(rows,) whether the value is one of these; null where a row has none of their types.

        Raises:
            SettingsError: no row has the type of one of them.
        """
        by_kind: dict[Kind, list[Scalar]] = {}
        for one in values:
            by_kind.setdefault(kind_of(one), []).append(one)
        found = pa.nulls(self.rows, pa.bool_())
        for some in by_kind.values():
            array = self._of(some[0], where)
            members = _members(some, array.type)
            equal = pc.if_else(pc.is_valid(array), pc.is_in(array, members), pa.scalar(None, pa.bool_()))
            found = pc.coalesce(found, equal)
        return found

    def contains(self, value: Scalar, *, where: object) -> pa.BooleanArray:
        """(rows,) whether the text holds this text, or the list this member; null for other rows.

        Raises:
            SettingsError: no row has a text or a list of such members.
        """
        found = pa.nulls(self.rows, pa.bool_())
        text = self.kinds.get("text")
        if text is not None and isinstance(value, str):
            found = pc.coalesce(found, pc.match_substring(text, value))
        elif self.lists is None:
            held = self._held()
            raise SettingsError(
                f"The field {self.name!r} holds {held}; 'contains' asks whether a text holds a text, or a "
                "list a member.",
                where=where,
                remedy="compare numbers with ==, <, >; put text in quotes" if text is None else None,
            )
        if self.lists is not None:
            equal = self.lists.values.compare("==", value, where=where)
            hits = np.zeros(self.rows, dtype=np.bool_)
            hits[self.lists.rows[pc.fill_null(equal, False).to_numpy(zero_copy_only=False)]] = True
            inside = pc.if_else(self.lists.present, pa.array(hits), pa.scalar(None, pa.bool_()))
            found = pc.coalesce(found, inside)
        return found

    def _present(self) -> list[pa.BooleanArray]:
        return [pc.is_valid(one) for one in self.kinds.values()] + (
            [] if self.lists is None else [self.lists.present]
        )

    def _of(self, value: Scalar, where: object) -> pa.Array:
        kind = kind_of(value)
        if kind not in self.kinds:
            remedy = f"for example {self.example()}"
            if self.lists is not None and not self.kinds:
                remedy = f"ask with: {self.name} contains {value!r}"
            raise SettingsError(
                f"The field {self.name!r} holds {self._held()}, and is compared with {_said(value)}.",
                where=where,
                remedy=remedy,
            )
        return self.kinds[kind]

    def _held(self) -> str:
        words: dict[Kind, str] = {"number": "numbers", "text": "text", "true or false": "true or false"}
        names = [words[kind] for kind in self.kinds] + ([] if self.lists is None else ["lists"])
        return " and ".join(names) or "nothing"

    def example(self) -> str:
        """One of the values, as it is written in a condition."""
        for array in (one for one in self.kinds.values() if one.null_count < len(one)):
            first = array[int(np.argmax(pc.is_valid(array).to_numpy(zero_copy_only=False)))].as_py()
            return f"{self.name} == {str(first).lower() if isinstance(first, bool) else repr(first)}"
        return f"{self.name} != null"


def kind_of(value: Scalar) -> Kind:
    """What a value is compared with."""
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "number"


def _said(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"the text {value!r}" if isinstance(value, str) else f"the number {value!r}"


def _compare_whole(array: pa.Array, sign: str, value: int | float) -> pa.BooleanArray:
    """Whole numbers against any number, exactly: float64 would blur those beyond 2^53."""
    if isinstance(value, float) and not value.is_integer():
        if sign in ("==", "!="):
            return _constant(array, sign == "!=")
        # x < 2.5 is x <= 2, and x >= 2.5 is x > 2
        sign, value = {"<": "<=", "<=": "<=", ">": ">", ">=": ">"}[sign], math.floor(value)
    whole = int(value)
    if not _INT64_MIN <= whole <= _INT64_MAX:
        return _constant(array, _PLAIN[sign](0, whole))
    return _COMPARE[sign](array, pa.scalar(whole, pa.int64()))


def _members(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_integer(kind):
        whole = [int(one) for one in values if one == int(one)]
        return pa.array([one for one in whole if _INT64_MIN <= one <= _INT64_MAX], pa.int64())
    return pa.array([float(one) for one in values] if pa.types.is_floating(kind) else values, kind)


def _constant(array: pa.Array, value: bool) -> pa.BooleanArray:
    return pc.if_else(pc.is_valid(array), pa.scalar(value), pa.scalar(None, pa.bool_()))
