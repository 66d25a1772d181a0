"""Motion from poses, against paths whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.sources.poses import MOTION_CHANNELS, motion, yaw


def test_yaw_of_quaternions() -> None:
    angles = np.linspace(-3, 3, 13)
    zeros = np.zeros_like(angles)
    turns = np.stack([np.cos(angles / 2), zeros, zeros, np.sin(angles / 2)], axis=1)
    np.testing.assert_allclose(yaw(turns), angles, atol=1e-12)
    np.testing.assert_allclose(yaw(-turns), angles, atol=1e-12)  # the same rotation


@settings(max_examples=60)
@given(
    speed=st.floats(-20, 40),
    heading=st.floats(-3.1, 3.1),
    steps=st.lists(st.floats(0.01, 0.6), min_size=2, max_size=40),
    seed=st.integers(0, 99),
)
def test_a_straight_drive_of_constant_speed_in_any_order(
    speed: float, heading: float, steps: list[float], seed: int
) -> None:
    times = np.cumsum(steps)
    positions = speed * times[:, None] * [[np.cos(heading), np.sin(heading)]]
    order = np.random.default_rng(seed).permutation(times.size)
    series = motion(times[order], positions[order], np.full(times.size, heading))
    assert series.channels == MOTION_CHANNELS
    np.testing.assert_allclose(series.timestamps_seconds, times)
    np.testing.assert_allclose(series.values[:, 0], speed, atol=1e-6)
    np.testing.assert_allclose(series.values[:, 1:], 0, atol=1e-5)


@pytest.mark.parametrize("rate_hz", [2, 20, 50])
def test_a_circle_turns_at_a_constant_rate_through_pi(rate_hz: int) -> None:
    rate, radius = -0.4, 20.0
    times = np.arange(0, 20, 1 / rate_hz)
    heading = rate * times
    positions = radius / rate * np.stack([np.sin(heading), -np.cos(heading)], axis=1) * rate
    wrapped = (heading + np.pi) % (2 * np.pi) - np.pi
    velocity_sign = np.sign(rate)
    series = motion(times, velocity_sign * positions, wrapped)
    np.testing.assert_allclose(series.values[:, 2], rate, atol=1e-9)
    inner = slice(2, -2)
    np.testing.assert_allclose(series.values[inner, 0], radius * abs(rate), rtol=0.02)


def test_braking_shows_as_negative_acceleration() -> None:
    times = np.arange(0, 5, 0.05)
    distance = 10 * times - times**2
    series = motion(times, np.stack([distance, np.zeros_like(times)], axis=1), np.zeros_like(times))
    np.testing.assert_allclose(series.values[10:-10, 0], 10 - 2 * times[10:-10], atol=1e-6)
    np.testing.assert_allclose(series.values[20:-20, 1], -2, atol=1e-6)


def test_a_centimetre_of_noise_is_no_hard_braking() -> None:
    times = np.arange(0, 20, 0.05)
    rng = np.random.default_rng(0)
    positions = np.stack([10 * times, np.zeros_like(times)], axis=1) + rng.normal(0, 0.01, (times.size, 2))
    series = motion(times, positions, np.zeros_like(times))
    assert np.abs(series.values[:, 0] - 10).max() < 0.2
    assert np.abs(series.values[:, 1]).max() < 0.6


def test_poses_that_are_not_finite_or_too_few() -> None:
    assert motion(np.empty(0), np.empty((0, 2)), np.empty(0)).values.shape == (0, 3)
    assert motion(np.zeros(3), np.zeros((3, 2)), np.zeros(3)).values.shape == (0, 3)
    times = np.arange(5.0)
    positions = np.stack([times, times * 0], axis=1)
    positions[2] = np.nan
    series = motion(times, positions, np.zeros(5))
    assert len(series.timestamps_seconds) == 4
    np.testing.assert_allclose(series.values[:, 0], 1)
