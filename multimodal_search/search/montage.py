"""Hits on one sheet: picture, rank and score, words, and the signal as a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from multimodal_search.embedding.images import decode
from multimodal_search.errors import ProjectError, SettingsError, SkipInput
from multimodal_search.search.hits import Hit
from multimodal_search.search.searcher import Searcher
from multimodal_search.storage import is_s3, read_bytes, write_atomically
from multimodal_search.types import Series

_WIDTH_PX, _PICTURE_PX, _SIGNAL_PX, _LINE_PX, _GAP_PX = 320, 180, 36, 17, 10
_TEXT_LINES = 2
_INK, _PALE, _PAPER, _ACCENT = "#1d2430", "#667085", "#ffffff", "#2563eb"
# one that knows Japanese, where the system has one
_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSansCJKjp-Regular.otf", "ipagp.ttf", "DejaVuSans.ttf", "Arial.ttf")


@dataclass(frozen=True, slots=True)
class Cell:
    """One hit as it is drawn.

    Attributes:
        picture: RGB; None where the hit has none, or it cannot be read.
        series: its first channel is drawn; None where there is no signal.
    """

    title: str
    text: str
    picture: Image.Image | None = None
    series: Series | None = None


def cells_of(searcher: Searcher, hits: Sequence[Hit]) -> list[Cell]:
    """The hits as they are drawn; a picture or a signal that cannot be read is left out."""
    return [
        Cell(f"{place}.  {hit.score:.3f}  {hit.id}", hit.text, _picture(searcher, hit), searcher.series(hit))
        for place, hit in enumerate(hits, start=1)
    ]


def _picture(searcher: Searcher, hit: Hit) -> Image.Image | None:
    file = searcher.image_file(hit)
    if file is None:
        return None
    try:
        return decode(read_bytes(file) if is_s3(file) else file)
    except (SkipInput, ProjectError, OSError):
        return None


def write_montage(cells: Sequence[Cell], path: str | Path, *, columns: int = 4) -> None:
    """Draw the hits, best first, and write a PNG (or what the suffix says), whole or not at all.

    Raises:
        SettingsError: the suffix names no picture format.
        OutputError: it cannot be written.
    """
    path = Path(path)
    formats = Image.registered_extensions()
    if path.suffix.lower() not in formats:
        raise SettingsError(f"{path.name!r} names no picture format.", remedy="end it in .png or .jpg")
    sheet = draw_montage(cells, columns=columns)
    with write_atomically(path) as file:
        sheet.save(file, format=formats[path.suffix.lower()])


def draw_montage(cells: Sequence[Cell], *, columns: int = 4) -> Image.Image:
    """RGB, ``columns`` hits wide."""
    with_signal = any(one.series is not None for one in cells)
    signal = _SIGNAL_PX + _GAP_PX if with_signal else 0
    height = _PICTURE_PX + signal + (_TEXT_LINES + 1) * _LINE_PX + 2 * _GAP_PX
    columns = max(1, min(columns, len(cells)))
    rows = math.ceil(len(cells) / columns)
    sheet = Image.new(
        "RGB", (columns * (_WIDTH_PX + _GAP_PX) + _GAP_PX, max(1, rows) * height + _GAP_PX), _PAPER
    )
    for place, cell in enumerate(cells):
        left = _GAP_PX + (place % columns) * (_WIDTH_PX + _GAP_PX)
        top = _GAP_PX + (place // columns) * height
        _draw_cell(sheet, cell, left, top, with_signal=with_signal)
    return sheet


def _draw_cell(sheet: Image.Image, cell: Cell, left: int, top: int, *, with_signal: bool) -> None:
    draw = ImageDraw.Draw(sheet)
    frame = (left, top, left + _WIDTH_PX - 1, top + _PICTURE_PX - 1)
    if cell.picture is None:
        draw.rectangle(frame, fill="#eef1f5")
        draw.text((left + 12, top + _PICTURE_PX // 2 - 8), "no picture", fill=_PALE, font=_font())
    else:
        sheet.paste(ImageOps.fit(cell.picture.convert("RGB"), (_WIDTH_PX, _PICTURE_PX)), (left, top))
    below = top + _PICTURE_PX + 4
    if with_signal:
        if cell.series is not None:
            _draw_signal(draw, cell.series, left, below)
        below += _SIGNAL_PX + _GAP_PX
    draw.text((left, below), _fitted(cell.title), fill=_INK, font=_font())
    for number, line in enumerate(_wrapped(cell.text)):
        draw.text((left, below + (number + 1) * _LINE_PX), line, fill=_PALE, font=_font())


def _draw_signal(draw: ImageDraw.ImageDraw, series: Series, left: int, top: int) -> None:
    """The first channel that has values, scaled to its own range; gaps stay gaps."""
    known = np.isfinite(series.values)
    channels = np.flatnonzero(known.any(axis=0))
    times = series.timestamps_seconds
    if not len(channels) or len(times) < 2:
        return
    values, has = series.values[:, channels[0]], known[:, channels[0]]
    low, high = float(values[has].min()), float(values[has].max())
    span = (high - low) or 1.0
    duration = float(times[-1] - times[0]) or 1.0
    points = [
        (
            left + (time - times[0]) / duration * (_WIDTH_PX - 1),
            top + 12 + (_SIGNAL_PX - 12) * (high - value) / span,
        )
        for time, value in zip(times, values, strict=True)
    ]
    for here, there, both in zip(points, points[1:], has[:-1] & has[1:], strict=False):
        if both:
            draw.line([here, there], fill=_ACCENT, width=2)
    name = f"{series.channels[channels[0]]} {low:.3g} to {high:.3g}"
    draw.text((left + 2, top - 2), name, fill=_PALE, font=_font(10))


def _wrapped(text: str) -> list[str]:
    """At most two lines; the rest is an ellipsis. Text without spaces (Japanese) breaks anywhere."""
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < _TEXT_LINES:
        last = len(lines) == _TEXT_LINES - 1
        if _fits(rest):
            lines.append(rest)
            break
        if last:
            lines.append(_fitted(rest))
            break
        length = max(1, _longest(rest))
        space = rest.rfind(" ", 0, length + 1)
        cut = space if space > length // 2 else length
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return lines


def _fitted(text: str) -> str:
    return text if _fits(text) else text[: max(1, _longest(text) - 1)].rstrip() + "…"


def _fits(text: str) -> bool:
    return _font().getlength(text) <= _WIDTH_PX


def _longest(text: str) -> int:
    """How many characters fit on a line."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits(text[:middle]) else (low, middle - 1)
    return low


@lru_cache(maxsize=4)
def _font(size: int = 13) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
