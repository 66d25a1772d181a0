"""Text -> condition: a hand-written lexer and recursive descent, so that every mistake has a place.

The language (lark and pyparsing were considered: forty lines of grammar do not earn a dependency, and their
messages speak of tokens)::

    any       := all ("or" all)*
    all       := negation ("and" negation)*
    negation  := "not" negation | "(" any ")" | test
    test      := name ("==" | "!=" | "<" | "<=" | ">" | ">=") value
               | name ["not"] "in" "[" value ("," value)* "]"
               | name ["not"] "contains" value
    name      := a word, `in backticks`, or "in quotes"
    value     := 'text' | "text" | number | true | false | null
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

from multimodal_search.errors import SettingsError
from multimodal_search.filters.ast import And, Compare, Contains, Filter, In, Not, Operator, Or
from multimodal_search.filters.caret import pointed
from multimodal_search.filters.column import Scalar

_MAX_DEPTH = 100
_ORDER = ("<", "<=", ">", ">=")
_SIGNS = ("==", "!=", *_ORDER)
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<name>`(?:[^`]|``)+`)
    |(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
    |(?P<word>[^\W\d][\w.]*)""",
    re.X | re.S,
)
_ESCAPE = re.compile(r"\\(.)", re.S)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}
_HINTS = {
    "=": "write == to compare",
    "&": "write: and",
    "|": "write: or",
    "!": "write: not, or !=",
    "'": "the text has no closing quote",
    '"': "the text has no closing quote",
    "`": "the name has no closing backtick",
    "-": "a name with other letters than a-z, 0-9, _ and . goes in backticks: `my-field`",
}
Sort = Literal["text", "name", "number", "sign", "word", "end"]


@dataclass(frozen=True, slots=True)
class _Token:
    sort: Sort
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        return self.sort == "word" and self.text.lower() in words


def parse(text: str) -> Filter:
    """Read a condition. Nothing in it is ever run as code.

    Raises:
        SettingsError: it cannot be read; the message shows the place and what was expected there.
    """
    if not text.strip():
        raise SettingsError(
            "The filter is empty.", remedy="for example: location == 'tokyo' and speed_max > 10"
        )
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._place = 0
        self._depth = 0

    def whole(self) -> Filter:
        found = self._any()
        if self._now.sort != "end":
            self._fail("'and', 'or' or the end")
        return found

    @property
    def _now(self) -> _Token:
        return self._tokens[self._place]

    def _next(self) -> _Token:
        token = self._now
        self._place += 1
        return token

    def _any(self) -> Filter:
        parts = [self._all()]
        while self._now.is_word("or"):
            self._next()
            parts.append(self._all())
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def _all(self) -> Filter:
        parts = [self._negation()]
        while self._now.is_word("and"):
            self._next()
            parts.append(self._negation())
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _negation(self) -> Filter:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail("a simpler filter", f"at most {_MAX_DEPTH} parentheses and 'not' inside each other")
        found = self._negation_inside()
        self._depth -= 1
        return found

    def _negation_inside(self) -> Filter:
        if self._now.is_word("not"):
            self._next()
            return Not(self._negation())
        if self._now.sort == "sign" and self._now.text == "(":
            self._next()
            found = self._any()
            self._expect(")", "'and', 'or' or ')'")
            return found
        return self._test()

    def _test(self) -> Filter:
        name = self._name()
        token = self._now
        if token.sort == "sign" and token.text in _SIGNS:
            return self._compare(name)
        negated = token.is_word("not")
        if negated:
            self._next()
        if self._now.is_word("in"):
            self._next()
            found: Filter = In(name, self._list(name))
        elif self._now.is_word("contains"):
            self._next()
            found = Contains(name, self._scalar("a text or a number"))
        else:
            self._fail("'in' or 'contains'" if negated else "==, !=, <, <=, >, >=, in or contains")
        return Not(found) if negated else found

    def _compare(self, name: str) -> Compare:
        sign = cast(Operator, self._next().text)
        position = self._place
        value = self._value()
        if sign in _ORDER and (value is None or isinstance(value, bool)):
            self._place = position
            self._fail("a number or a text", "null, true and false go with == and !=")
        return Compare(name, sign, value)

    def _name(self) -> str:
        token = self._now
        if token.sort == "name":
            return self._next().text[1:-1].replace("``", "`")
        if token.sort == "text":
            return _unescaped(self._next().text)
        if token.sort == "word" and not token.is_word("and", "or", "in", "contains"):
            return self._next().text
        return self._fail("the name of a field", "the field comes first: speed_max > 10")

    def _list(self, name: str) -> tuple[Scalar | None, ...]:
        hint = f"a list: {name} in ['a', 'b']; to look inside a text or a list: {name} contains 'a'"
        self._expect("[", "'['", hint)
        values = [self._value()]
        while self._now.sort == "sign" and self._now.text == ",":
            self._next()
            if self._now.sort == "sign" and self._now.text == "]":
                break
            values.append(self._value())
        self._expect("]", "',' or ']'")
        return tuple(values)

    def _scalar(self, expected: str) -> Scalar:
        if self._now.is_word("null", "none"):
            self._fail(expected)
        value = self._value()
        assert value is not None
        return value

    def _value(self) -> Scalar | None:
        token = self._now
        if token.sort == "text":
            return _unescaped(self._next().text)
        if token.sort == "number":
            return self._number()
        constants = {"true": True, "false": False, "null": None, "none": None}
        if token.sort == "word" and token.text.lower() in constants:
            return constants[self._next().text.lower()]
        if token.sort == "word":
            self._fail("a value", f"text goes in quotes: '{token.text}'")
        return self._fail("a value: 'text', a number, true, false or null")

    def _number(self) -> int | float:
        text = self._now.text
        if re.fullmatch(r"[-+]?\d+", text) and len(text) <= 20 and -(2**63) <= int(text) < 2**63:
            self._next()
            return int(text)
        if not math.isfinite(float(text)):
            self._fail("a number within 1e308")
        self._next()
        return float(text)

    def _expect(self, sign: str, expected: str, hint: str | None = None) -> None:
        if self._now.sort != "sign" or self._now.text != sign:
            self._fail(expected, hint)
        self._next()

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while position < len(self._text):
            match = _TOKEN.match(self._text, position)
            if match is None:
                self._refuse(f"{self._text[position]!r} cannot stand here.", position, self._hint(position))
            if match.lastgroup != "space":
                tokens.append(_Token(cast(Sort, match.lastgroup), match[0], position))
            position = match.end()
        return [*tokens, _Token("end", "", len(self._text))]

    def _hint(self, position: int) -> str | None:
        if self._text[position].isdigit():
            return "a name that begins with a digit goes in backticks"
        return _HINTS.get(self._text[position])

    def _fail(self, expected: str, hint: str | None = None) -> NoReturn:
        token = self._now
        found = "the end" if token.sort == "end" else token.text
        self._refuse(f"Expected {expected}, not {found}.", token.position, hint)

    def _refuse(self, what: str, position: int, hint: str | None) -> NoReturn:
        raise SettingsError(
            f"The filter cannot be read. {what}", where=pointed(self._text, position), remedy=hint
        )


def _unescaped(quoted: str) -> str:
    return _ESCAPE.sub(lambda match: _LETTERS.get(match[1], match[1]), quoted[1:-1])
