"""Hits as a table for a terminal: as wide as it is, also where letters are two columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from multimodal_search.filters.caret import display_width, letter_width
from multimodal_search.search.hits import Hit

_LEAST_TEXT = 24
_FIRST_REAL_US = 10**14  # March 1973: smaller times count from a recording's start
_HEADER = ("#", "score", "moment", "time", "text")


def table(hits: Sequence[Hit], width: int) -> str:
    """A header and a line a hit; where the texts have no room beside, each stands below its hit.

    Args:
        width: columns of the terminal. Ids are never cut.
    """
    if not hits:
        return "nothing found"
    cells = [
        (str(rank), f"{hit.score:.3f}", _one_line(hit.id), when(hit))
        for rank, hit in enumerate(hits, start=1)
    ]
    widths = [max(display_width(row[column]) for row in (_HEADER, *cells)) for column in range(4)]
    if not any(cell[3] for cell in cells):
        widths[3] = 0
    room = width - sum(one + 2 for one in widths if one)
    beside = room >= _LEAST_TEXT
    header = _HEADER if widths[3] else (*_HEADER[:3], "", _HEADER[4])
    lines = [_line(header, widths) + (header[4] if beside else "")]
    for cell, hit in zip(cells, hits, strict=True):
        words = _one_line(hit.text)
        line = _line(cell, widths)
        if beside:
            lines.append(line + cut(words, room))
        else:
            lines.append(line)
            lines += [f"{'':{widths[0] + 2}}{cut(words, width - widths[0] - 2)}"] if words else []
    return "\n".join(line.rstrip() for line in lines)


def when(hit: Hit) -> str:
    """The moment's start and length, for people; empty where its time is unknown."""
    if hit.start_us is None or hit.end_us is None:
        return ""
    seconds = (hit.end_us - hit.start_us) / 1e6
    length = f" +{seconds:.1f} s" if hit.end_us > hit.start_us else ""
    if hit.start_us < _FIRST_REAL_US:
        return f"{hit.start_us / 1e6:.1f} s{length}"
    start = datetime.fromtimestamp(hit.start_us // 1_000_000, UTC)
    return f"{start:%Y-%m-%d %H:%M:%S}{length}"


def cut(text: str, width: int) -> str:
    """The text, in at most so many columns."""
    if display_width(text) <= width:
        return text
    kept, used = [], 0
    for letter in text:
        used += letter_width(letter)
        if used > width - 1:
            break
        kept.append(letter)
    return "".join(kept) + "…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    right = (True, True, False, False)
    out = ""
    for cell, width, to_right in zip(cells[:4], widths, right, strict=True):
        if width:
            space = " " * (width - display_width(cell))
            out += (space + cell if to_right else cell + space) + "  "
    return out


def _one_line(text: str) -> str:
    """Without line breaks and without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
