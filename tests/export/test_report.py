"""The table that the commands print."""

from __future__ import annotations

import pytest

from multimodal_search.export.report import format_table, write_report
from multimodal_search.types import Failure


@pytest.fixture(scope="module")
def metrics(features, contents):
    return contents(features(scenes=40)).metrics


def test_the_table_fits_a_terminal_and_names_every_direction(metrics):
    lines = format_table(metrics).splitlines()
    assert max(len(line) for line in lines) <= 110
    for name in metrics["directions"]:
        assert any(line.startswith(name) for line in lines)
    header = next(line for line in lines if line.startswith("direction"))
    for column in (
        "R@1",
        "R@5",
        "R@10",
        "medR",
        "MRR",
        "mAP",
        "gallery",
        "chance",
        "[95 %]",
        "best baseline",
    ):
        assert column in header


def test_a_row_holds_the_figures(metrics):
    entry = metrics["directions"]["text->image"]
    row = next(line for line in format_table(metrics).splitlines() if line.startswith("text->image"))
    cells = row.split()
    assert cells[3] == f"{100 * entry['R@10']:.1f}"
    low, high = entry["interval_95"]["R@10"]
    assert cells[4] == f"{100 * low:.0f}-{100 * high:.0f}"
    assert cells[9] == str(entry["gallery"])


def test_few_scenes_are_said_to_be_few(metrics):
    assert "too few to tell" in format_table(metrics)
    assert "too few to tell" not in format_table({**metrics, "verdict": None})


def test_labels_are_below_with_chance(metrics):
    text = format_table(metrics)
    found = metrics["labels"]["timeseries->text"]["manoeuvre"]
    assert f"{found['mAP']:.3f} ({found['chance']:.3f})" in text


def test_nothing_measured_is_said(metrics):
    assert "Nothing was measured" in format_table({**metrics, "directions": {}, "labels": {}})


def test_reasons_cannot_break_the_report(metrics, features):
    failures = [Failure(str(i), None, f"odd | reason\n{i}\x07") for i in range(30)]
    text = write_report(
        data={"kind": "pairs", "root": "x"},
        items=features(scenes=2).items,
        failures=failures,
        metrics=metrics,
        encoders={},
        heads={},
        chosen={},
        notes=(),
        licence="unknown",
        files=(),
    )
    assert "| 1 | odd \\| reason 0 | 0 |" in text
    assert "10 rarer reasons" in text
    assert "\x07" not in text
    assert "## Pictures" not in text
