"""Signals on one clock: irregular, gappy channels of many rates resampled by timestamp, never by index."""

from __future__ import annotations

import numpy as np

from multimodal_search.types import FloatArray, Series

_MAX_GAP_SECONDS = 2.0  # a longer hole stays a hole; nuScenes' slowest source ticks every 0.5 s
_HOLD_SECONDS = 1.0  # how far a channel's first and last values reach


def resample(
    series: Series,
    rate_hz: float,
    *,
    max_gap_seconds: float = _MAX_GAP_SECONDS,
    hold_seconds: float = _HOLD_SECONDS,
) -> Series:
    """The same signals on a regular grid that starts at the first timestamp.

    Each channel is interpolated linearly between its own finite samples. A channel that is sampled much
    faster than ``rate_hz`` is averaged over the grid's cells instead, so that vibration does not alias into
    motion. A grid point stays NaN inside a hole longer than ``max_gap_seconds``, and further than
    ``hold_seconds`` from the channel's ends.

    Args:
        series: (T, C) values at (T,) timestamps in seconds, strictly increasing.
        rate_hz: points a second of the grid.

    Returns:
        (T', C) values, T' = floor(duration * rate_hz) + 1; empty in, empty out.

    Raises:
        ValueError: the rate is not positive.
    """
    if not rate_hz > 0:
        raise ValueError(f"rate_hz must be positive, not {rate_hz}")
    times = np.asarray(series.timestamps_seconds, dtype=np.float64)
    values = np.asarray(series.values, dtype=np.float64)
    if times.size == 0:
        return Series(times, values.reshape(0, len(series.channels)), series.channels)
    count = int(np.floor((times[-1] - times[0]) * rate_hz + 1e-6)) + 1
    grid = times[0] + np.arange(count) / rate_hz
    columns = [
        _channel(times, values[:, index], grid, 1.0 / rate_hz, max_gap_seconds, hold_seconds)
        for index in range(values.shape[1])
    ]
    table = np.stack(columns, axis=1) if columns else np.empty((count, 0))
    return Series(grid, table, series.channels)


def _channel(
    times: FloatArray,
    values: FloatArray,
    grid: FloatArray,
    step_seconds: float,
    max_gap_seconds: float,
    hold_seconds: float,
) -> FloatArray:
    finite = np.isfinite(values)
    if not finite.any():
        return np.full(grid.shape, np.nan)
    known_times, known = times[finite], values[finite]
    if known.size > 2 and np.median(np.diff(known_times)) < 0.75 * step_seconds:
        result = _cell_means(known_times, known, grid, step_seconds)
    else:
        result = np.interp(grid, known_times, known)
    after = np.searchsorted(known_times, grid, side="right")
    previous = known_times[np.maximum(after - 1, 0)]
    following = known_times[np.minimum(after, known_times.size - 1)]
    inside = (after > 0) & (after < known_times.size)
    in_hole = inside & (following - previous > max_gap_seconds) & (grid - previous > 1e-9)
    distance = np.maximum(known_times[0] - grid, grid - known_times[-1])
    result[in_hole | (distance > hold_seconds)] = np.nan
    return result


def _cell_means(times: FloatArray, values: FloatArray, grid: FloatArray, step_seconds: float) -> FloatArray:
    """Mean over each grid cell of the piecewise linear signal, from its running integral."""
    steps = np.diff(times)
    integral = np.concatenate([[0.0], np.cumsum(steps * (values[1:] + values[:-1]) / 2)])

    def integrated(at: FloatArray) -> FloatArray:
        index = np.clip(np.searchsorted(times, at, side="right") - 1, 0, times.size - 2)
        offset = at - times[index]
        slope = (values[index + 1] - values[index]) / steps[index]
        return np.asarray(integral[index] + offset * (values[index] + slope * offset / 2))

    low = np.clip(grid - step_seconds / 2, times[0], times[-1])
    high = np.clip(grid + step_seconds / 2, times[0], times[-1])
    width = high - low
    means = (integrated(high) - integrated(low)) / np.where(width > 0, width, 1.0)
    return np.where(width > 0, means, np.interp(grid, times, values))
