"""Samples as they came -> a table on one clock; closed forms as the reference."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap")

from multimodal_search.extraction.mcap_map import Signal
from multimodal_search.extraction.mcap_signals import SampleBuffer
from multimodal_search.types import FloatArray

SECOND = 10**9
START = 1_700_000_000 * SECOND


def _table(
    samples: list[tuple[float, Any]], signal: Signal, rows: int = 100, rate_hz: float = 10.0
) -> tuple[FloatArray, Counter[str]]:
    problems: Counter[str] = Counter()
    buffer = SampleBuffer([signal], problems)
    for seconds, message in samples:
        buffer.add("/t", START + round(seconds * SECOND), message)
    return buffer.table([signal.name], START, rows, rate_hz)[:, 0], problems


def _signal(*paths: str, **more: Any) -> Signal:
    return Signal("x", "", "/t", tuple((path,) for path in paths), **more)


def test_irregular_samples_are_put_on_the_grid_by_time() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 9.9, 60))
    values, problems = _table([(t, {"v": 3 * t + 1}) for t in times], _signal("v"))
    grid = np.arange(100) / 10
    inside = (grid >= times[0]) & (grid <= times[-1])
    np.testing.assert_allclose(values[inside], 3 * grid[inside] + 1, atol=1e-6)
    assert not problems


def test_a_gap_is_nan_and_nothing_is_invented() -> None:
    samples = [(t / 10, {"v": 1.0}) for t in range(100) if not 30 <= t < 70]
    values, _ = _table(samples, _signal("v"))
    assert np.isnan(values[30:69]).all()
    assert np.isfinite(values[:30]).all()
    assert np.isfinite(values[71:]).all()


def test_duplicate_stamps_nan_and_disorder_are_no_harm() -> None:
    samples = [(t / 10, {"v": float(t)}) for t in range(100)]
    samples += [(5.0, {"v": 50.0}), (5.05, {"v": float("nan")}), (6.0, {"v": None}), (6.05, {"v": 10**400})]
    np.random.default_rng(1).shuffle(samples)  # type: ignore[arg-type]
    values, _ = _table(samples, _signal("v"))
    np.testing.assert_allclose(values, np.arange(100.0), atol=1e-9)


def test_a_message_without_its_field_is_counted() -> None:
    values, problems = _table(
        [(0, {"v": 1}), (0.1, {"w": 1}), (0.2, {"v": "fast"}), (0.3, {"v": 1})], _signal("v")
    )
    assert sum(problems.values()) == 2
    np.testing.assert_allclose(values[:4], 1.0)


def test_units_and_derivatives() -> None:
    samples = [(t / 10, {"v": 36.0 * t / 10}) for t in range(100)]
    values, _ = _table(samples, _signal("v", scale=1 / 3.6, offset=2.0))
    np.testing.assert_allclose(values, 10 * np.arange(100) / 10 + 2, atol=1e-9)
    values, _ = _table(samples, _signal("v", scale=1 / 3.6, derivative=True))
    np.testing.assert_allclose(values, 10.0, atol=1e-6)


def test_speed_of_a_path_on_earth_and_in_metres() -> None:
    path = [(t / 10, {"x": 3.0 * t / 10, "y": 4.0 * t / 10}) for t in range(100)]
    values, _ = _table(path, _signal("x", "y", compute="path_speed"))
    np.testing.assert_allclose(values, 5.0, atol=1e-6)
    metre = 1 / 111_194.93  # degrees, on a sphere of the mean radius
    north = [(t / 10, {"lat": 60 + 3 * metre * t / 10, "lon": 10 + 8 * metre * t / 10}) for t in range(100)]
    values, _ = _table(north, _signal("lat", "lon", compute="ground_speed"))
    np.testing.assert_allclose(values, 5.0, rtol=1e-3)  # 8 m of longitude are 4 m at 60 degrees


def test_yaw_rate_of_a_quaternion_across_the_turn_of_pi() -> None:
    def at(seconds: float) -> dict[str, float]:
        yaw = 3.0 + 0.2 * seconds
        return {"x": 0, "y": 0, "z": np.sin(yaw / 2), "w": np.cos(yaw / 2)}

    values, _ = _table(
        [(t / 10, at(t / 10)) for t in range(100)], _signal("x", "y", "z", "w", compute="yaw_rate")
    )
    np.testing.assert_allclose(values, 0.2, atol=1e-3)


def test_norm() -> None:
    values, _ = _table(
        [(t / 10, {"x": 3.0, "y": -4.0}) for t in range(100)], _signal("x", "y", compute="norm")
    )
    np.testing.assert_allclose(values, 5.0)


def test_what_is_forgotten_is_gone_and_the_rest_stays() -> None:
    buffer = SampleBuffer([_signal("v")], Counter())
    for t in range(100):
        buffer.add("/t", START + t * SECOND // 10, {"v": t})
    buffer.forget_before(START + 5 * SECOND)
    table = buffer.table(["x", "absent"], START, 100, 10.0)
    assert np.isnan(table[:39, 0]).all()  # a second before its first sample a channel is held
    np.testing.assert_allclose(table[50:, 0], np.arange(50, 100))
    assert np.isnan(table[:, 1]).all()
