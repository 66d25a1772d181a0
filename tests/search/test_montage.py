"""A sheet of hits: every hit has its cell, whatever it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_search.errors import OutputError, SettingsError
from multimodal_search.search.montage import Cell, draw_montage, write_montage
from multimodal_search.types import Series

TIMES = np.linspace(0, 20, 200)
SPEED = np.stack([10 + 3 * np.sin(TIMES)], axis=1)


def cell(number: int, **changes: Any) -> Cell:
    whole: dict[str, Any] = {
        "title": f"{number}. 0.{90 - number}  scene-{number:04d}",
        "text": "A car turns left at a wet junction behind a bus, at night, in heavy rain, slowly.",
        "picture": Image.new("RGB", (1600, 900), (40 * number % 255, 90, 160)),
        "series": Series(TIMES, SPEED, ("speed_mps",)),
    }
    return Cell(**{**whole, **changes})


def test_the_sheet_grows_with_the_hits() -> None:
    one, five = draw_montage([cell(1)]), draw_montage([cell(n) for n in range(5)])
    assert one.width < five.width
    assert five.height > 1.9 * one.height - 20
    assert draw_montage([]).height > 0


def test_pictures_signals_and_words_are_drawn() -> None:
    plain = np.asarray(draw_montage([cell(1, picture=None, series=None, text="")]))
    full = np.asarray(draw_montage([cell(1)]))
    assert full.shape[0] > plain.shape[0]
    picture = full[10:190, 10:330]
    assert (picture == (40, 90, 160)).all()
    signal = full[194:234, 10:330].astype(int)
    assert ((signal[..., 2] - signal[..., 0]) > 100).sum() > 200


@pytest.mark.parametrize(
    "odd",
    [
        {"text": "雨の夜、交差点を左折するバスの後ろで停止している車両が見える、路面は濡れている" * 3},
        {"text": "W" * 500},
        {"title": "x" * 300},
        {"series": Series(TIMES[:1], SPEED[:1], ("speed",))},
        {"series": Series(TIMES, np.full((200, 1), np.nan), ("speed",))},
        {"series": Series(TIMES, np.where(np.arange(200)[:, None] % 50 < 25, np.nan, 1.0), ("speed",))},
        {"picture": Image.new("L", (3, 400))},
    ],
)
def test_odd_hits_are_drawn_too(odd: dict[str, object]) -> None:
    sheet = draw_montage([cell(1, **odd), cell(2)])
    assert sheet.width > 600


def test_it_is_written_whole_and_mistakes_are_said(tmp_path: Path) -> None:
    write_montage([cell(n) for n in range(3)], tmp_path / "hits.png")
    assert Image.open(tmp_path / "hits.png").size[0] > 900
    with pytest.raises(SettingsError, match="no picture format"):
        write_montage([cell(1)], tmp_path / "hits.csv")
    with pytest.raises(OutputError):
        write_montage([cell(1)], tmp_path / "absent" / "hits.png")
