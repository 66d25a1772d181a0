"""Manoeuvres named by rules: right on the sample world, whose manoeuvres are known, and on odd signals."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal_search.extraction.manoeuvres import NAMES, manoeuvres, primary
from multimodal_search.sources.sample.signals import make_series
from multimodal_search.sources.sample.world import make_scenes
from multimodal_search.types import FloatArray, Series

CALLED = {"congestion": {"stop_and_go"}, "overtake": {"lane_change_left", "lane_change_right"}}


def signal(speed: FloatArray, yaw_rate: FloatArray | float = 0.0) -> Series:
    values = np.column_stack([speed, np.broadcast_to(yaw_rate, speed.shape)])
    return Series(np.arange(speed.size) / 10, values, ("speed_mps", "yaw_rate_radps"))


def test_the_sample_worlds_manoeuvres_are_named() -> None:
    scenes = make_scenes(200, seed=3)
    right: dict[str, list[bool]] = {}
    for scene in scenes:
        name = primary(manoeuvres(make_series(scene)))
        right.setdefault(scene.manoeuvre, []).append(name in CALLED.get(scene.manoeuvre, {scene.manoeuvre}))
    shares = {name: float(np.mean(hits)) for name, hits in right.items()}
    assert min(shares.values()) >= 0.7, shares
    assert np.mean([hit for hits in right.values() for hit in hits]) >= 0.93, shares


def test_a_turn_has_a_side_a_time_and_a_speed() -> None:
    yaw_rate = np.zeros(200)
    yaw_rate[80:120] = 0.4
    for side, name in ((1, "turn_left"), (-1, "turn_right")):
        (one,) = manoeuvres(signal(np.full(200, 5.0), side * yaw_rate))
        assert one.name == name
        assert one.start_seconds == pytest.approx(8.0, abs=0.5)
        assert one.end_seconds == pytest.approx(12.0, abs=0.5)
        assert one.speed_mps == pytest.approx(5.0)


def test_a_slow_bend_of_a_motorway_is_no_turn() -> None:
    assert primary(manoeuvres(signal(np.full(200, 28.0), 0.05))) == "straight"


def test_stop_and_start_in_one_scene() -> None:
    times = np.arange(200) / 10
    speed = np.interp(times, [0, 5, 9, 13, 18, 20], [8, 8, 0, 0, 8, 8])
    assert [one.name for one in manoeuvres(signal(speed))] == ["stop", "start"]


@pytest.mark.parametrize("name", ["standing", "straight"])
def test_nothing_happens(name: str) -> None:
    speed = np.full(200, 0.02 if name == "standing" else 10.0)
    assert [one.name for one in manoeuvres(signal(speed))] == [name]
    assert name in NAMES


def test_gaps_are_bridged() -> None:
    speed = np.full(200, 10.0)
    speed[30:70] = np.nan
    assert primary(manoeuvres(signal(speed))) == "straight"


@pytest.mark.parametrize(
    "series",
    [
        Series(np.empty(0), np.empty((0, 1)), ("speed_mps",)),
        Series(np.arange(2.0), np.ones((2, 1)), ("speed_mps",)),
        Series(np.arange(50) / 10, np.full((50, 1), np.nan), ("speed_mps",)),
        Series(np.arange(50) / 10, np.ones((50, 1)), ("pressure_pa",)),
    ],
)
def test_signals_that_say_nothing(series: Series) -> None:
    assert manoeuvres(series) == []
    assert primary([]) is None


def test_a_signal_without_yaw_rate_still_has_stops() -> None:
    times = np.arange(200) / 10
    speed = np.interp(times, [0, 5, 9, 20], [8, 8, 0, 0])
    assert primary(manoeuvres(Series(times, speed[:, None], ("speed_mps",)))) == "stop"
