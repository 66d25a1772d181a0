"""Signal statistics against motions whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search import encoders
from multimodal_search.encoders.statistics import feature_names, features
from multimodal_search.types import Series

CHANNELS = ("speed_mps", "yaw_rate_radps")


def named(series: Series, channels: tuple[str, ...] = CHANNELS) -> dict[str, float]:
    found = features(series, channels, 10.0)
    return dict(zip(feature_names(channels), found.tolist(), strict=True))


def drive(speed: np.ndarray, yaw_rate: np.ndarray) -> Series:
    return Series(np.arange(len(speed)) / 10, np.stack([speed, yaw_rate], axis=1), CHANNELS)


def test_a_left_turn_at_constant_speed() -> None:
    found = named(drive(np.full(200, 5.0), np.full(200, np.pi / 2 / 20)))
    assert found["yaw:heading_change_rad"] == pytest.approx(np.pi / 2, abs=0.01)
    assert found["speed:distance_m"] == pytest.approx(100)
    radius = 100 / (np.pi / 2)
    assert found["path:forward_m"] == pytest.approx(radius, abs=1)
    assert found["path:left_m"] == pytest.approx(radius, abs=1)
    assert found["duration_seconds"] == pytest.approx(19.9)


def test_a_hard_stop() -> None:
    speed = np.concatenate([np.full(100, 14.0), np.linspace(14, 0, 20), np.zeros(80)])
    found = named(drive(speed, np.zeros(200)))
    assert found["speed:hardest_braking_mps2"] == pytest.approx(-14 / 1.9, rel=0.02)
    assert found["speed:standstill_share"] == pytest.approx(0.405, abs=0.01)
    assert found["speed:standstill_share_of_last_quarter"] == 1
    assert found["speed_mps:mean_0_of_8"] == pytest.approx(14)
    assert found["speed_mps:mean_7_of_8"] == 0
    assert found["speed_mps:last_minus_first"] == -14


def test_a_lane_change_moves_sideways_and_keeps_its_heading() -> None:
    yaw = np.concatenate([np.zeros(80), np.full(20, 0.05), np.full(20, -0.05), np.zeros(80)])
    found = named(drive(np.full(200, 15.0), yaw))
    assert abs(found["yaw:heading_change_rad"]) < 1e-6
    assert 2 < found["path:most_left_m"] < 5


def test_a_missing_channel_is_flagged_and_zero() -> None:
    series = Series(np.arange(50) / 10, np.ones((50, 1)), ("speed_mps",))
    found = named(series)
    assert found["speed_mps:present"] == 1
    assert all(value == 0 for name, value in found.items() if name.startswith("yaw_rate_radps:"))


def test_the_unit_of_time_is_the_second_and_not_the_sample() -> None:
    encoder = encoders.build("timeseries/statistics", "timeseries", channels=CHANNELS)
    rows = []
    for rate in (10, 50):
        times = np.arange(0, 20, 1 / rate)
        values = np.stack([8 + 3 * np.sin(times / 3), 0.2 * np.cos(times / 2)], axis=1)
        rows.append(encoder.embed([encoder.preprocess(Series(times, values, CHANNELS))])[0])
    np.testing.assert_allclose(rows[0], rows[1], rtol=0.05, atol=0.3)


@settings(max_examples=60)
@given(
    length=st.integers(1, 60),
    columns=st.lists(st.sampled_from(["speed_mps", "yaw_rate_radps", "other"]), min_size=1, unique=True),
    scale=st.sampled_from([0.0, 1e-9, 1.0, 1e6, 1e200]),
    holes=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_features_are_finite_whatever_comes(
    length: int, columns: list[str], scale: float, holes: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(length, len(columns))) * scale
    values[random.random(values.shape) < holes] = np.nan
    series = Series(np.arange(length) / 10, values, tuple(columns))
    for model in ("statistics", "kernels"):
        encoder = encoders.build(f"timeseries/{model}", "timeseries", channels=CHANNELS)
        with np.errstate(all="ignore"):
            row = encoder.embed([series])
        assert row.shape == (1, encoder.card.dim)
        assert np.isfinite(row).all()


def test_names_are_unique() -> None:
    names = feature_names((*CHANNELS, "brake"))
    assert len(set(names)) == len(names)
