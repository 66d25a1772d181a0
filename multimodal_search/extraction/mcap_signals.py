"""Samples as they came, irregular and of many rates -> a window's table on one clock, gaps as NaN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from multimodal_search.extraction import mcap_fields as fields
from multimodal_search.extraction.mcap_map import Signal
from multimodal_search.signals import resample
from multimodal_search.sources.series import in_time_order
from multimodal_search.types import FloatArray, IntArray, Series

_EARTH_M = 6_371_008.8  # mean radius (IUGG)


class SampleBuffer:
    """The samples of the windows that are open, and no others.

    Args:
        signals: of this recording.
        problems: counts messages that lack a field.
    """

    def __init__(self, signals: Sequence[Signal], problems: Counter[str]) -> None:
        self._of_topic: dict[str, list[Signal]] = {}
        for signal in signals:
            self._of_topic.setdefault(signal.topic, []).append(signal)
        self._times: dict[str, list[int]] = {signal.name: [] for signal in signals}
        self._rows: dict[str, list[tuple[float, ...]]] = {signal.name: [] for signal in signals}
        self._signals = {signal.name: signal for signal in signals}
        self._problems = problems

    @property
    def topics(self) -> set[str]:
        """Where the signals come from."""
        return set(self._of_topic)

    def add(self, topic: str, time_ns: int, message: Any) -> None:
        """Take the signals of a message."""
        for signal in self._of_topic[topic]:
            try:
                row = tuple(fields.number_at(message, path) for path in signal.paths)
            except (LookupError, TypeError):
                self._problems[f"{topic}: a message without the number {signal.name} asks for"] += 1
                continue
            self._times[signal.name].append(time_ns)
            self._rows[signal.name].append(row)

    def forget_before(self, time_ns: int) -> None:
        """Drop what no window needs any more."""
        for name, times in self._times.items():
            if times and times[0] < time_ns:
                keep = [index for index, one in enumerate(times) if one >= time_ns]
                rows = self._rows[name]
                self._times[name] = [times[index] for index in keep]
                self._rows[name] = [rows[index] for index in keep]

    def table(self, channels: Sequence[str], start_ns: int, rows: int, rate_hz: float) -> FloatArray:
        """(rows, channels) float64 from ``start_ns`` on; NaN in gaps and where a channel is absent."""
        columns = []
        length_ns = round(rows / rate_hz * 1e9)
        for name in channels:
            signal = self._signals.get(name)
            if signal is None:
                columns.append(np.full(rows, np.nan))
                continue
            times = np.array(self._times[name], dtype=np.int64) - start_ns
            inside = (times >= 0) & (times < length_ns)
            values = np.array(self._rows[name], dtype=np.float64).reshape(len(times), len(signal.paths))
            columns.append(_column(signal, times[inside], values[inside], rows, rate_hz))
        return np.stack(columns, axis=1) if columns else np.empty((rows, 0))


def _column(signal: Signal, times_ns: IntArray, values: FloatArray, rows: int, rate_hz: float) -> FloatArray:
    """(rows,) one channel; ``times_ns`` since the grid's first point."""
    ends = np.array([0.0, (rows - 1) / rate_hz])  # without a value: they make the grid that of the window
    times, table = in_time_order(
        np.concatenate([times_ns / 1e9, ends]), np.vstack([values, np.full((2, values.shape[1]), np.nan)])
    )
    names = tuple(str(index) for index in range(values.shape[1]))
    grid = resample(Series(times, table, names), rate_hz).values[:rows]
    computed = grid[:, 0] if signal.compute is None else _COMPUTE[signal.compute](grid, rate_hz)
    result = computed * signal.scale + signal.offset
    return change(result, rate_hz) if signal.derivative else result


def change(values: FloatArray, rate_hz: float) -> FloatArray:
    """(T,) per second, by central differences; NaN beside gaps."""
    if values.size < 2:
        return np.full(values.shape, np.nan)
    return np.asarray(np.gradient(values, 1.0 / rate_hz))


def _path_speed(grid: FloatArray, rate_hz: float) -> FloatArray:
    return _norm(np.stack([change(column, rate_hz) for column in grid.T], axis=1), rate_hz)


def _ground_speed(grid: FloatArray, rate_hz: float) -> FloatArray:
    latitude, longitude = np.radians(grid[:, 0]), np.unwrap(np.radians(grid[:, 1]))
    north = change(latitude, rate_hz) * _EARTH_M
    east = change(longitude, rate_hz) * np.cos(latitude) * _EARTH_M
    return np.asarray(np.hypot(north, east))


def _yaw_rate(grid: FloatArray, rate_hz: float) -> FloatArray:
    x, y, z, w = grid.T
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    known = np.isfinite(yaw)
    yaw[known] = np.unwrap(yaw[known])
    return change(yaw, rate_hz)


def _norm(grid: FloatArray, rate_hz: float) -> FloatArray:
    return np.asarray(np.sqrt((grid**2).sum(axis=1)))


_COMPUTE: Mapping[str, Callable[[FloatArray, float], FloatArray]] = {
    "path_speed": _path_speed,
    "ground_speed": _ground_speed,
    "yaw_rate": _yaw_rate,
    "norm": _norm,
}
