"""What colours a map's points: kinds or an amount; colours that any colour vision tells apart."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib import font_manager

from multimodal_search.types import FloatArray, IntArray

# Okabe and Ito (2008), told apart with any colour vision, and two more for ten kinds
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7",
    "#56B4E9", "#B8A900", "#4D4D4D", "#882255", "#999933",
)  # fmt: skip
INK, FAINT = "#333333", "#888888"
MARKERS = "osD^vP*Xhp"
DEFAULT_FONT = "DejaVu Sans"
UNKNOWN, OTHERS, NOISE = "unknown", "others", "noise"
_GREY = (UNKNOWN, OTHERS, NOISE)
_MOST_KINDS = 20
_CJK_FONTS = (
    "Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "IPAGothic", "TakaoGothic", "VL Gothic",
    "Hiragino Sans", "Yu Gothic", "Meiryo", "MS Gothic", "WenQuanYi Zen Hei", "Arial Unicode MS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Colouring:
    """How the points of a map are told apart.

    Attributes:
        title: the field's name; empty for one colour.
        kinds: names of the kinds, the most frequent first; empty where ``amounts`` are shown.
        codes: (n,) which kind each point is.
        amounts: (n,) float64, NaN where unknown; None where kinds are shown.
    """

    title: str
    kinds: tuple[str, ...]
    codes: IntArray
    amounts: FloatArray | None = None


def colouring(title: str, values: Sequence[Any] | None, count: int) -> Colouring:
    """Kinds of up to twenty names (the rest are ``others``), or an amount where there are many numbers."""
    if values is None:
        return Colouring("", ("rows",), np.zeros(count, dtype=np.int64))
    known = [one for one in values if one is not None and one != ""]
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in known)
    if known and numbers and len(set(known)) > _MOST_KINDS:
        amounts = np.array([np.nan if one is None or one == "" else float(one) for one in values])
        return Colouring(title, (), np.zeros(count, dtype=np.int64), amounts)
    names = [UNKNOWN if one is None or one == "" else str(one) for one in values]
    ranked = [name for name, _ in Counter(names).most_common() if name != UNKNOWN]
    kinds = ranked if len(ranked) <= _MOST_KINDS else [*ranked[: _MOST_KINDS - 1], OTHERS]
    # grey ones last, so that the others have the first colours
    kinds = [one for one in kinds if one not in _GREY] + [one for one in (NOISE, OTHERS) if one in kinds]
    if UNKNOWN in names:
        kinds = [*kinds, UNKNOWN]
    place = {name: number for number, name in enumerate(kinds)}
    rest = place.get(OTHERS, 0)
    return Colouring(title, tuple(kinds), np.array([place.get(one, rest) for one in names], dtype=np.int64))


def colour_of(kinds: Sequence[str], number: int) -> str:
    """Of the kind of this number; grey for what is unknown, the rest, and noise."""
    return FAINT if kinds[number] in _GREY else PALETTE[number % len(PALETTE)]


@cache
def _letters(families: tuple[str, ...]) -> frozenset[int]:
    charmaps = [font_manager.get_font(font_manager.findfont(one)).get_charmap() for one in families]
    return frozenset(code for charmap in charmaps for code in charmap)


@cache
def fonts() -> list[str]:
    """The plot's font, and after it the first of this machine that has Japanese and Chinese letters."""
    there = {one.name for one in font_manager.fontManager.ttflist}
    return [DEFAULT_FONT, *[one for one in _CJK_FONTS if one in there][:1]]


def drawable(text: str, families: Sequence[str] = (DEFAULT_FONT,)) -> str:
    """The text where one of the fonts has its letters; otherwise their code points, never empty boxes."""
    known = _letters(tuple(families))
    plain = unicodedata.normalize("NFC", " ".join(text.split())).replace("$", "\\$")
    short = plain if len(plain) <= 40 else plain[:39] + "…"
    return "".join(c if ord(c) in known else f"U+{ord(c):04X} " for c in short).strip()
