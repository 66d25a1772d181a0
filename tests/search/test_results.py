"""Hits as files and as a table: everything in them, and no column torn by wide letters."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq
import pytest

from multimodal_search.errors import SettingsError
from multimodal_search.filters.caret import display_width
from multimodal_search.search import Hit, table, write_hits
from multimodal_search.search.terminal import cut, when

HITS = [
    Hit(
        id="scene-0061/1532402927647951",
        scene_id="scene-0061",
        score=0.51234,
        text="雨の夜、右折する。\nTurn right, at night, in the rain, behind a bus",
        image_path="a/b.jpg",
        metadata={"speed_max": 12.5, "wet": True},
        location="tokyo",
        timestamp_us=1532402927647951,
        start_us=1532402926000000,
        end_us=1532402929500000,
        frames=("scene-0061/1", "scene-0061/1532402927647951"),
    ),
    Hit(id="場面/2", scene_id="場面", score=-0.1, text="", image_path=None),
]


def test_files_hold_what_is_known(tmp_path):
    rows = list(csv.DictReader(write_hits(tmp_path / "h.csv", HITS).open(encoding="utf-8", newline="")))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert rows[0]["text"] == HITS[0].text
    assert json.loads(rows[0]["metadata"]) == HITS[0].metadata
    assert json.loads(rows[0]["frames"]) == list(HITS[0].frames)
    assert (rows[1]["start_us"], rows[1]["image_path"]) == ("", "")
    found = json.loads(write_hits(tmp_path / "h.json", HITS).read_text(encoding="utf-8"))
    assert found[0] == {"rank": 1, **HITS[0].to_json()}
    kept = pq.read_table(write_hits(tmp_path / "h.parquet", HITS)).to_pylist()
    assert kept[0]["frames"] == list(HITS[0].frames)
    assert kept[1]["end_us"] is None
    assert pq.read_table(write_hits(tmp_path / "none.parquet", [])).num_rows == 0
    assert len(write_hits(tmp_path / "none.csv", []).read_text().splitlines()) == 1


def test_another_format_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="unknown format"):
        write_hits(tmp_path / "h.xlsx", HITS)


@pytest.mark.parametrize("width", [160, 120, 81, 80, 60, 40])
def test_the_table_fits_the_terminal_and_its_columns_stand_below_each_other(width):
    lines = table(HITS, width).splitlines()
    # ids are never cut, all else is
    assert max(map(display_width, lines)) <= max(width, 70)
    rows = [line for line in lines if "scene-0061/1532402927647951" in line or "場面/2" in line]
    assert len(rows) == 2
    assert all(display_width(row.split(".")[0]) == display_width(rows[0].split(".")[0]) for row in rows)
    assert "雨の夜" in "\n".join(lines)
    assert "2018-07-24 03:28:46 +3.5 s" in rows[0]


def test_no_hits_and_no_times():
    assert table([], 80) == "nothing found"
    assert "time" not in table(HITS[1:], 80).splitlines()[0]
    assert when(Hit("a", "a", 1.0, "", None, start_us=12_500_000, end_us=12_500_000)) == "12.5 s"


def test_text_is_cut_by_columns_not_letters():
    assert cut("雨の夜", 6) == "雨の夜"
    assert display_width(cut("雨の夜です", 6)) <= 6
    assert cut("abcdef", 4) == "abc…"


def test_a_text_cannot_move_the_terminals_cursor():
    hit = Hit("a\x1b[2Jb", "s", 1.0, "red\x1b[31m", None)
    assert "\x1b" not in table([hit], 80)
