"""Resampling by timestamp."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.signals import resample
from multimodal_search.types import Series


def series(times: object, *columns: object) -> Series:
    values = np.stack([np.asarray(one, dtype=np.float64) for one in columns], axis=1)
    names = tuple(f"channel_{index}" for index in range(len(columns)))
    return Series(np.asarray(times, dtype=np.float64), values, names)


def test_a_series_already_on_the_grid_comes_back_unchanged() -> None:
    times = np.arange(50) / 10
    given_series = series(times, np.sin(times), times**2)
    result = resample(given_series, 10)
    np.testing.assert_allclose(result.timestamps_seconds, times, atol=1e-9)
    np.testing.assert_allclose(result.values, given_series.values, atol=1e-9)
    assert result.channels == given_series.channels


def test_time_decides_and_not_the_row_number() -> None:
    times = np.array([0.0, 0.1, 0.15, 0.9, 1.0, 2.0])
    result = resample(series(times, 3 * times), 10)
    np.testing.assert_allclose(result.values[:, 0], 3 * result.timestamps_seconds, atol=1e-9)
    assert len(result.timestamps_seconds) == 21


def test_fast_channels_are_averaged_so_that_vibration_does_not_alias() -> None:
    times = np.arange(0, 10, 0.01)
    vibration = np.where(np.arange(times.size) % 2 == 0, 1.0, -1.0)
    result = resample(series(times, 5 + vibration), 10)
    assert np.abs(result.values[1:-1] - 5).max() < 0.2


def test_a_short_gap_is_bridged_and_a_long_one_stays_a_hole() -> None:
    times = np.arange(0, 10, 0.1)
    short, long = np.ones(times.size), np.ones(times.size)
    short[20:30] = np.nan
    long[20:60] = np.nan
    result = resample(series(times, short, long), 10)
    assert np.isfinite(result.values[:, 0]).all()
    assert np.isnan(result.values[25:55, 1]).all()
    assert np.isfinite(result.values[:20, 1]).all()


def test_a_channel_without_any_value_stays_nan() -> None:
    result = resample(series([0.0, 1.0], [1.0, 2.0], [np.nan, np.nan]), 2)
    assert np.isnan(result.values[:, 1]).all()
    np.testing.assert_allclose(result.values[:, 0], [1, 1.5, 2])


def test_empty_and_single_sample() -> None:
    empty = resample(Series(np.empty(0), np.empty((0, 2)), ("a", "b")), 10)
    assert empty.values.shape == (0, 2)
    assert resample(series([5.0], [7.0]), 10).values.tolist() == [[7.0]]


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        resample(series([0.0], [1.0]), 0)


@settings(max_examples=60)
@given(
    steps=st.lists(st.floats(0.004, 0.6), min_size=1, max_size=40),
    rate=st.floats(1, 30),
    seed=st.integers(0, 1000),
)
def test_values_stay_within_the_range_of_the_input(steps: list[float], rate: float, seed: int) -> None:
    times = np.cumsum([0.0, *steps])
    column = np.random.default_rng(seed).normal(size=times.size)
    result = resample(series(times, column), rate)
    assert np.isfinite(result.values).all()
    assert result.values.min() >= column.min() - 1e-6
    assert result.values.max() <= column.max() + 1e-6
