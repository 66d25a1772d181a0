"""Texts and values from metadata records, a CSV and events: to the windows that they are about."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mcap")

from multimodal_search.errors import DataError
from multimodal_search.extraction.mcap_texts import Note, SideTexts, event_text, notes_of_metadata
from multimodal_search.extraction.mcap_windows import Window

SECOND = 10**9
START = 1_700_000_000 * SECOND


def _window(start: float, end: float) -> Window:
    return Window(START + round(start * SECOND), START + round(end * SECOND))


@pytest.mark.parametrize(
    ("start", "end", "applies"),
    [
        (None, None, True),
        (0, 40, True),
        (12, 18, True),  # all of a short stretch
        (0, 12, False),  # 2 s of either
        (0, 20, True),
        (15, None, True),  # an instant
        (30, None, False),
        (9, 9, False),
        (1_700_000_015, None, True),  # since 1970
    ],
)
def test_a_note_is_for_the_windows_that_share_half(
    start: float | None, end: float | None, applies: bool
) -> None:
    assert Note((), start, end).applies(_window(10, 30), START) is applies


def test_metadata_records() -> None:
    notes = notes_of_metadata(
        [
            ("drive", {"text": "A drive", "weather": "rain", "long": "x" * 999}),
            ("scene", {"manoeuvre": "stop", "start_seconds": "10", "end_seconds": "30"}),
            ("odd", {"start_seconds": "soon", "a": "b"}),
            ("rosbag2", {"serialized_metadata": "..."}),
        ]
    )
    assert [note.texts for note in notes] == [("A drive",), (), ()]
    assert notes[0].metadata == {"weather": "rain"}
    assert notes[1].applies(_window(10, 30), START)
    assert not notes[1].applies(_window(30, 50), START)
    assert notes[2].start_seconds is None


def test_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text(
        "file,start_seconds,end_seconds,text,manoeuvre\n"
        'a.mcap,0,20,"Rain, left",turn_left\n'
        "a,20,40,,stop\n"
        "run/b.mcap,,,Whole drive,\n"
        "c.mcap,,,Nobody,\n",
        encoding="utf-8-sig",
    )
    side = SideTexts(path)
    first, second = side.of("/data/run/a.mcap", "run_a")
    assert (first.texts, first.metadata) == (("Rain, left",), {"manoeuvre": "turn_left"})
    assert (second.texts, second.start_seconds) == ((), 20)
    [whole] = side.of("s3://bucket/run/b.mcap", "run_b")
    assert (whole.start_seconds, whole.metadata) == (None, {})
    assert side.unused() == ["c.mcap"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("file,texts\na,b\n", "no column 'text'"),
        ("", "no column 'text'"),
        ("file,start_seconds,text\na,0,x\nb,soon,y\n", "line 3"),
        ("file,start_seconds,text\na,inf,x\n", "line 2"),
    ],
)
def test_a_bad_csv_is_refused_with_its_place(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "texts.csv"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        SideTexts(path)
    assert what in str(caught.value)


def test_a_csv_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        SideTexts(tmp_path / "none.csv")


def test_texts_of_events() -> None:
    assert event_text("cut in") == "cut in"
    assert event_text({"data": " cut in "}) == "cut in"
    assert event_text(SimpleNamespace(level=2, message="brakes", name="node")) == "brakes"
    assert event_text({"data": 3}) is None
    assert event_text([1]) is None
