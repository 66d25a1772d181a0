"""Conditions on rows: the same rows as a slow loop finds, whatever the types."""

from __future__ import annotations

import datetime
import gc
import json
import operator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.filters import And, Compare, Contains, Filter, In, Not, Or, flatten, normal, parse
from multimodal_search.filters.fields import _KEPT

SIGNS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def slow(condition: Filter, row: dict[str, Any]) -> bool | None:
    """Three-valued truth, a row at a time."""
    match condition:
        case Compare(name, sign, None):
            return (row.get(name) is None) == (sign == "==")
        case Compare(name, sign, value):
            mine = row.get(name)
            return None if kind(mine) != kind(value) else SIGNS[sign](mine, value)
        case In(name, values):
            mine = row.get(name)
            if mine is None:
                return True if None in values else None
            alike = [one for one in values if kind(one) == kind(mine)]
            return mine in alike if alike else False if None in values and len(values) == 1 else None
        case Contains(name, value):
            mine = row.get(name)
            if isinstance(mine, str):
                return value in mine if isinstance(value, str) else None
            return any(kind(one) == kind(value) and one == value for one in mine) if mine else None
        case Not(inner):
            found = slow(inner, row)
            return None if found is None else not found
        case And(operands):
            each = [slow(one, row) for one in operands]
            return False if False in each else None if None in each else True
        case Or(operands):
            each = [slow(one, row) for one in operands]
            return True if True in each else None if None in each else False
    raise AssertionError


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({"metadata": pa.array([json.dumps(row) for row in rows], pa.string())})


NUMBERS = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**60, 2**60 + 1, -(2**53) - 1]), st.sampled_from([0.5, -1.0, 2.5])
)
TEXTS = st.sampled_from(["", "a", "ab", "雨", "雨の夜"])
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "whole": st.one_of(st.none(), st.integers(-3, 3), st.sampled_from([2**60, 2**60 + 1])),
            "text": st.one_of(st.none(), TEXTS),
            "flag": st.booleans(),
        },
    ),
    min_size=1,
    max_size=12,
).map(lambda rows: [{"whole": 1, "text": "a", "flag": True}, *rows])
LEAVES = st.one_of(
    st.builds(Compare, st.just("whole"), st.sampled_from(list(SIGNS)), NUMBERS),
    st.builds(Compare, st.just("text"), st.sampled_from(list(SIGNS)), TEXTS),
    st.builds(Compare, st.just("flag"), st.sampled_from(["==", "!="]), st.one_of(st.none(), st.booleans())),
    st.builds(In, st.just("whole"), st.lists(NUMBERS, min_size=1, max_size=3).map(tuple)),
    st.builds(In, st.just("text"), st.lists(TEXTS, min_size=1, max_size=3).map(tuple)),
    st.builds(Contains, st.just("text"), TEXTS),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(FILTERS, ROWS)
def test_the_same_rows_as_a_slow_loop(condition: Filter, rows: list[dict[str, Any]]) -> None:
    expected = [slow(condition, row) is True for row in rows]
    assert condition.mask(table(rows)).tolist() == expected
    assert normal(condition).mask(table(rows)).tolist() == expected
    assert parse(str(condition)).mask(table(rows)).tolist() == expected


def found(text: str, rows: list[dict[str, Any]]) -> list[int]:
    return np.flatnonzero(parse(text).mask(table(rows))).tolist()


def test_a_row_that_lacks_a_field_is_not_found_by_it_nor_by_its_opposite() -> None:
    rows = [{"speed": 12}, {"speed": 3}, {"other": 1}, {"speed": None}]
    assert found("speed > 10", rows) == [0]
    assert found("not speed > 10", rows) == [1]
    assert found("speed != 12", rows) == [1]
    assert found("speed not in [12]", rows) == [1]
    assert found("speed == null", rows) == [2, 3]
    assert found("speed != null", rows) == [0, 1]
    assert found("speed in [3, null]", rows) == [1, 2, 3]
    assert found("speed > 10 or other == 1", rows) == [0, 2]


def test_values_of_several_types_in_one_field() -> None:
    rows = [{"x": 1}, {"x": "1"}, {"x": True}, {"x": [1, "a"]}, {"x": 1.5}, {}]
    assert found("x == 1", rows) == [0]
    assert found("x == '1'", rows) == [1]
    assert found("x == true", rows) == [2]
    assert found("x contains 'a'", rows) == [3]
    assert found("x contains 1", rows) == [3]
    assert found("x in [1, '1']", rows) == [0, 1]
    assert found("x == null", rows) == [5]


def test_columns_and_keys_of_the_metadata_are_asked_alike() -> None:
    columns = pa.table(
        {
            "location": ["tokyo", None, "osaka"],
            "tags": pa.array([["rain", "night"], [], None]),
            "place": pa.array([{"lat": 1.5}, None, {"lat": 3.0}]),
            "day": pa.array([datetime.datetime(2020, 1, 2), None, datetime.datetime(2021, 1, 1)]),
            "score": [1.0, float("nan"), 3.0],
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
            "metadata": ['{"location": "below", "speed_max": 3}', None, '{"speed_max": 12.5}'],
        }
    )

    def rows(text: str) -> list[int]:
        return np.flatnonzero(parse(text).mask(columns)).tolist()

    assert rows("location == 'tokyo'") == [0]
    assert rows("metadata.location == 'below'") == [0]
    assert rows("speed_max > 10") == [2]
    assert rows("tags contains 'night'") == [0]
    assert rows("not tags contains 'night'") == [1]
    assert rows("place.lat >= 3") == [2]
    assert rows("day > 1600000000000000") == [2]
    assert rows("score != 1") == [2]
    assert rows("score == null") == [1]
    assert rows("kind in ['a']") == [0, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spead_max > 3", ["'spead_max'", "'speed_max'", "spead_max > 3"]),
        ("speed_max > 'fast'", ["numbers", "the text 'fast'", "speed_max == 3"]),
        ("location == 3", ["text", "the number 3", "location == 'tokyo'"]),
        ("wet == 1", ["true or false", "wet == true"]),
        ("speed_max contains 'x'", ["contains", "numbers"]),
        ("location contains 3", ["contains", "text"]),
        ("tags == 'rain'", ["lists", "tags contains 'rain'"]),
        ("location in ['tokyo', 3]", ["the number 3"]),
    ],
)
def test_a_field_or_a_type_that_is_not_there_is_said(text: str, words: list[str]) -> None:
    rows = [{"location": "tokyo", "speed_max": 3, "wet": True, "tags": ["rain"]}]
    with pytest.raises(SettingsError) as caught:
        found(text, rows)
    for word in words:
        assert word in str(caught.value)


def test_no_rows_and_no_metadata() -> None:
    assert parse("anything == 1").mask(pa.table({})).tolist() == []
    with pytest.raises(SettingsError, match="no metadata"):
        parse("a == 1").mask(pa.table({"metadata": [None, None]}))


def test_broken_metadata_names_its_row() -> None:
    with pytest.raises(DataError, match="row 1"):
        parse("a == 1").mask(pa.table({"metadata": ['{"a": 1}', '{"a": ']}))
    two_in_one = pa.table({"metadata": ['{"a": 1}, {"a": 2}', '{"a": 1}']})
    with pytest.raises(DataError, match="row 0"):
        parse("a == 1").mask(two_in_one)


def test_json_is_read_once_a_table_and_forgotten_with_it() -> None:
    columns = table([{"a": 1}])
    assert flatten(columns) is flatten(columns)
    place = id(columns)
    assert place in _KEPT
    del columns
    gc.collect()
    assert place not in _KEPT


def test_many_rows_in_chunks_with_keys_that_come_and_go() -> None:
    rows = [
        {"n": i, **({"late": i + 0.5} if i > 150_000 else {"early": [i]} if i < 10 else {})}
        for i in range(160_000)
    ]
    assert found("n >= 159999", rows) == [159_999]
    assert found("late > 159998", rows) == [159_998, 159_999]
    assert found("early contains 3", rows) == [3]
    assert len(found("late == null", rows)) == 150_001


def test_numbers_beyond_64_bits() -> None:
    rows = [{"x": 10**30}, {"x": 10**400}, {"x": 1}]
    assert found("x > 5", rows) == [0, 1]
