"""A place in a text, shown to a person: a caret below it, also where letters are two columns wide."""

from __future__ import annotations

import unicodedata

_AROUND = 60


def display_width(text: str) -> int:
    """How many columns of a terminal a text takes: wide East Asian letters two, combining marks none."""
    return sum(letter_width(letter) for letter in text)


def letter_width(letter: str) -> int:
    """0, 1 or 2."""
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def pointed(text: str, position: int) -> str:
    """The text on one line and a caret below the position; a long text is cut on both sides of it."""
    # one letter for one, so that the position stays true
    line = "".join(" " if letter in "\n\r\t" or not letter.isprintable() else letter for letter in text)
    start, end = max(0, position - _AROUND), position + _AROUND
    before = ("..." if start else "") + line[start:position]
    after = line[position:end] + ("..." if end < len(line) else "")
    return f"\n    {before}{after}\n    {' ' * display_width(before)}^"
