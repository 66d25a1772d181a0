"""The signal obeys physics, and shows which manoeuvre was driven."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multimodal_search.sources.sample import signals, world
from multimodal_search.sources.sample.manoeuvres import LANE_WIDTH_M

SCENES = world.make_scenes(120, 4)


def of(manoeuvre: str) -> list[world.SampleScene]:
    return [scene for scene in SCENES if scene.manoeuvre == manoeuvre]


def test_twenty_seconds_at_ten_hertz_in_si_units() -> None:
    series = signals.make_series(SCENES[0])
    assert series.channels == (
        "speed_mps",
        "acceleration_mps2",
        "yaw_rate_radps",
        "steering_rad",
        "brake",
        "throttle",
    )
    assert series.values.shape == (200, 6)
    np.testing.assert_allclose(np.diff(series.timestamps_seconds), 0.1)
    assert series.timestamps_seconds[0] == 0


def test_the_same_scene_gives_the_same_signal() -> None:
    again = world.make_scene(8, 4)
    np.testing.assert_array_equal(signals.make_series(SCENES[8]).values, signals.make_series(again).values)


@settings(max_examples=60)
@given(index=st.integers(0, 5000), seed=st.integers(0, 1000))
@example(20, 534)
def test_any_drive_obeys_physics(index: int, seed: int) -> None:
    series = signals.make_series(world.make_scene(index, seed))
    assert np.isfinite(series.values).all()
    speed, acceleration, yaw_rate, steering, brake, throttle = series.values.T
    assert speed.min() >= 0
    assert speed.max() < 50
    integrated = speed[0] + np.concatenate([[0], np.cumsum(acceleration[:-1])]) * 0.1
    assert np.abs(speed - integrated).max() < 1.2  # the sensor's noise adds up over 20 s
    road_wheel = steering / signals.STEERING_RATIO
    expected = speed * np.tan(road_wheel) / signals.WHEELBASE_M
    assert np.abs(yaw_rate - expected).max() < 0.04
    assert np.abs(speed * yaw_rate).max() < 6.0  # m/s2 sideways: below what tyres hold
    for pedal in (brake, throttle):
        assert pedal.min() >= 0
        assert pedal.max() <= 1
    assert not ((brake > 0) & (throttle > 0)).any()
    moving = speed > 0.5
    assert (acceleration[moving & (brake > 0.03)] < 0).all()
    holding = (0.12 + 0.0006 * speed**2) / 3.2  # a third of the pedal against the air of 140 km/h
    assert (acceleration[moving & (throttle > holding + 0.2)] > 0).all()


@pytest.mark.parametrize(
    ("manoeuvre", "turned"), [("turn_left", np.pi / 2), ("turn_right", -np.pi / 2), ("straight", 0.0)]
)
def test_turns_turn_by_a_quarter_and_left_is_positive(manoeuvre: str, turned: float) -> None:
    for scene in of(manoeuvre):
        drive = signals.make_drive(scene)
        own = drive.heading[-1] - drive.road_curvature * drive.travelled[-1]
        assert own == pytest.approx(turned, abs=0.35)


def test_a_u_turn_goes_across_the_oncoming_side() -> None:
    for scene in of("u_turn"):
        heading = signals.make_drive(scene).heading[-1]
        assert heading == pytest.approx(-np.pi if scene.keeps_left else np.pi, abs=0.4)


@pytest.mark.parametrize(("manoeuvre", "sign"), [("lane_change_left", 1), ("lane_change_right", -1)])
def test_a_lane_change_moves_by_a_lane(manoeuvre: str, sign: int) -> None:
    for scene in of(manoeuvre):
        drive = signals.make_drive(scene)
        assert drive.lateral[-1] == pytest.approx(sign * LANE_WIDTH_M, abs=0.2)


def test_overtaking_goes_out_comes_back_and_is_fast() -> None:
    for scene in of("overtake"):
        drive = signals.make_drive(scene)
        out = drive.lateral * (-1 if scene.keeps_left else 1)
        assert out.max() == pytest.approx(LANE_WIDTH_M, abs=0.2)
        assert abs(out[-1]) < 0.3
        assert drive.speed.max() > drive.speed[0] + 1.5


def test_stopping_ends_at_a_standstill_with_the_brake_held() -> None:
    for scene in of("stop"):
        series = signals.make_series(scene)
        assert series.values[0, 0] > 2
        assert series.values[-20:, 0].max() == pytest.approx(0, abs=0.01)
        assert series.values[-20:, 4].min() > 0.1


def test_hard_braking_is_harder_than_stopping() -> None:
    hardest = [signals.make_drive(scene).acceleration.min() for scene in of("hard_braking")]
    usual = [signals.make_drive(scene).acceleration.min() for scene in of("stop")]
    assert max(hardest) < -3.5
    assert min(usual) > -3.0


def test_a_jam_is_slow() -> None:
    for scene in of("congestion"):
        assert signals.make_drive(scene).speed.max() < 5


def test_timing_and_vigour_vary() -> None:
    drives = [signals.make_drive(scene) for scene in of("turn_left")]
    assert np.std([drive.moment_seconds for drive in drives]) > 0.3
    assert np.std([drive.speed.min() for drive in drives]) > 0.2
