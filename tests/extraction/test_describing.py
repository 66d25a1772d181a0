"""Sentences for scenes that nobody described: what they say, and that they say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from multimodal_search.cli import main
from multimodal_search.extraction.describing import GENERATED, describe
from multimodal_search.extraction.manoeuvres import Manoeuvre, manoeuvres
from multimodal_search.extraction.weather import daytime, weather_words
from multimodal_search.types import Series

from .conftest import release


def test_the_sentence_of_the_brief() -> None:
    found = [Manoeuvre("stop", 4.0, 9.0, 0.0), Manoeuvre("turn_left", 12.0, 16.0, 12 / 3.6)]
    made = describe(found, conditions=["night"], ahead=[(3.6, "bus"), (4.5, "bus"), (15.0, "car")])
    assert made == "night; stop behind a bus; turns left at 12 km/h"


@pytest.mark.parametrize(
    ("name", "speed_mps", "said"),
    [
        ("straight", 10.0, "drives straight on at 36 km/h"),
        ("u_turn", -2.0, "U-turn at 7 km/h"),
        ("standing", 0.0, "standing still"),
        ("hard_braking", 9.0, "brakes hard for a pedestrian"),
        ("stop_and_go", 1.0, "stop and go at 4 km/h"),
        ("lane_change_right", 20.0, "changes lanes to the right at 72 km/h"),
    ],
)
def test_each_manoeuvre_has_its_words(name: str, speed_mps: float, said: str) -> None:
    ahead = [(1.0, "pedestrian")] if name == "hard_braking" else []
    assert describe([Manoeuvre(name, 0.0, 5.0, speed_mps)], ahead=ahead) == said


def test_objects_are_counted_in_words() -> None:
    objects = {"car": 12, "bus": 2, "pedestrian": 1, "trafficcone": 3, "debris": 1}
    assert describe([], objects=objects) == "12 cars, 3 traffic cones, 2 buses, 1 piece of debris"
    assert describe([]) is None
    assert describe([], conditions=["night", "rain", "night"]) == "night rain"


def test_a_sentence_from_a_real_signal() -> None:
    times = np.arange(0, 20, 0.1)
    speed = np.clip(8 - 2 * (times - 5).clip(0), 0, 8)
    signal = Series(times, np.column_stack([speed, np.zeros_like(speed)]), ("speed_mps", "yaw_rate_radps"))
    assert describe(manoeuvres(signal), ahead=[(12.0, "truck")]) == "stop behind a truck"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Rain, parked cars", ["rain"]),
        ("Night, after rain, many peds", ["after rain"]),
        ("Train crossing, brainy driver", []),
        ("Heavy fog and snowfall", ["snow", "fog"]),
        ("夜、雨", ["rain"]),
        ("", []),
    ],
)
def test_weather_that_a_text_names(text: str, words: list[str]) -> None:
    assert weather_words(text) == words


@pytest.mark.parametrize(
    ("text", "hour", "said"),
    [
        ("Night, big street", 15, "night"),
        ("夜の交差点", None, "night"),
        ("Knight rider", 12, "noon"),
        ("Parked cars", None, None),
        *[
            ("", hour, said)
            for hour, said in ((0, "night"), (6, "morning"), (16, "afternoon"), (18, "evening"))
        ],
        ("", 23, "night"),
    ],
)
def test_time_of_day_by_words_then_by_the_clock(text: str, hour: int | None, said: str | None) -> None:
    assert daytime(text, hour) == said


def test_only_scenes_without_words_are_described_and_marked(
    write_release: Callable[..., Path], tmp_path: Path
) -> None:
    content = release()
    content["scene"][1]["description"] = ""
    del content["scene"][2]["description"]  # the test split has none
    root, out = write_release(content), tmp_path / "out"
    assert main(["extract", "--dataroot", str(root), "--output-dir", str(out), "--describe"]) == 0
    first, second, third = json.loads((out / "scenes_metadata.json").read_text())
    assert first["description"] == "Turn left, rain"
    assert "description_source" not in first["metadata"]
    for one in (second, third):
        assert one["metadata"]["description_source"] == GENERATED
        assert "km/h" in one["description"]
        assert "1 bus" in one["description"]
    assert main(["extract", "--dataroot", str(root), "--output-dir", str(tmp_path / "plain")]) == 0
    assert json.loads((tmp_path / "plain" / "scenes_metadata.json").read_text())[1]["description"] == ""
