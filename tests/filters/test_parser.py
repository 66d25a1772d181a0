"""Conditions as text: what is understood, what is printed back, and how a mistake is shown."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.errors import SettingsError
from multimodal_search.filters import And, Compare, Contains, Filter, In, Not, Or, normal, parse

NAMES = st.one_of(
    st.sampled_from(
        ["location", "speed_max", "地名", "a.b", "not", "in", "x y", "`", "1st", "'", "metadata.a"]
    ),
    st.text(min_size=1, max_size=8),
)
SCALARS = st.one_of(
    st.text(max_size=8),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
ORDERED = SCALARS.filter(lambda value: not isinstance(value, bool))
LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, NAMES, st.sampled_from(["==", "!="]), st.one_of(st.none(), SCALARS)),
    st.builds(Compare, NAMES, st.sampled_from(["<", "<=", ">", ">="]), ORDERED),
    st.builds(In, NAMES, st.lists(st.one_of(st.none(), SCALARS), min_size=1, max_size=3).map(tuple)),
    st.builds(Contains, NAMES, SCALARS),
)


def combined(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))


FILTERS = st.recursive(LEAVES, combined, max_leaves=8)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("speed_max > 10", Compare("speed_max", ">", 10)),
        ("speed_max>=-1.5e1", Compare("speed_max", ">=", -15.0)),
        ("location == 'singapore-onenorth'", Compare("location", "==", "singapore-onenorth")),
        ('"a name" != "a \\"text\\""', Compare("a name", "!=", 'a "text"')),
        ("`odd``name` == true", Compare("odd`name", "==", True)),
        ("天気 == '雨'", Compare("天気", "==", "雨")),
        ("a == NULL", Compare("a", "==", None)),
        ("a in [1, 'x', null,]", In("a", (1, "x", None))),
        ("a not in ['x']", Not(In("a", ("x",)))),
        ("text contains 'rain'", Contains("text", "rain")),
        ("text not contains 'rain'", Not(Contains("text", "rain"))),
        ("a==1 and b==2 or c==3", Or((And((parse("a==1"), parse("b==2"))), parse("c==3")))),
        ("a==1 AND (b==2 Or c==3)", And((parse("a==1"), Or((parse("b==2"), parse("c==3")))))),
        ("not not a == 1", Not(Not(parse("a==1")))),
        ("not a == 1 and b == 2", And((Not(parse("a==1")), parse("b==2")))),
        ("notes == 'x' and index < 3", And((Compare("notes", "==", "x"), Compare("index", "<", 3)))),
        ("\n a\t==\n1 ", Compare("a", "==", 1)),
        ("a == 99999999999999999999", Compare("a", "==", 1e20)),
    ],
)
def test_what_is_understood(text: str, meaning: Filter) -> None:
    assert parse(text) == meaning


@given(FILTERS)
def test_what_is_printed_is_read_back(condition: Filter) -> None:
    assert parse(str(condition)) == condition


@given(FILTERS)
def test_the_normal_form_has_not_only_before_membership(condition: Filter) -> None:
    def check(one: Filter) -> None:
        if isinstance(one, Not):
            assert isinstance(one.operand, In | Contains)
        elif isinstance(one, And | Or):
            for each in one.operands:
                check(each)

    check(normal(condition))


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SettingsError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("speed_max > ", 12, ["Expected a value", "the end"]),
        ("speed_max = 3", 10, ["'='", "write =="]),
        ("location == tokyo", 12, ["'tokyo'"]),
        ("location == 'tokyo", 12, ["no closing quote"]),
        ("10 < speed_max", 0, ["the name of a field"]),
        ("a == 1 b == 2", 7, ["'and', 'or' or the end", "not b"]),
        ("a == 1 && b == 2", 7, ["write: and"]),
        ("(a == 1", 7, ["')'"]),
        ("a in 'x'", 5, ["'['", "contains"]),
        ("a in []", 6, ["a value"]),
        ("a > null", 4, ["a number or a text"]),
        ("a > true", 4, ["a number or a text"]),
        ("a contains null", 11, ["a text or a number"]),
        ("a not == 1", 6, ["'in' or 'contains'"]),
        ("a", 1, ["contains"]),
        ("my-field == 1", 2, ["backticks"]),
        ("2nd == 1", 0, ["backticks"]),
        ("a == 1e999", 5, ["1e308"]),
        ("a == __import__('os')", 5, ["a value"]),
        ("天気 = '雨'", 3, ["write =="]),
    ],
)
def test_a_mistake_is_shown_where_it_is(text: str, at: int, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    message = str(caught.value)
    for word in words:
        assert word in message
    shown, caret = next(
        (line, below)
        for line, below in zip(message.split("\n"), message.split("\n")[1:], strict=False)
        if below.strip() == "^"
    )
    from multimodal_search.filters.caret import display_width

    assert len(caret) - 1 == display_width(shown[: 4 + at])


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_filter_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="empty"):
        parse(text)


def test_a_filter_of_any_depth_is_answered() -> None:
    assert parse("(" * 90 + "a == 1" + ")" * 90) == Compare("a", "==", 1)
    for text in ("(" * 5000 + "a == 1" + ")" * 5000, "not " * 5000 + "a == 1"):
        with pytest.raises(SettingsError, match="simpler"):
            parse(text)


def test_a_long_filter_is_shown_around_its_mistake() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(" and ".join(f"field_{number} == {number}" for number in range(200)) + " and")
    assert max(map(len, str(caught.value).split("\n"))) < 160
