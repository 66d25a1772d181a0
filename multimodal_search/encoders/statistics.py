"""What a person would note of a signal: levels, extremes, changes, and the course over time, in SI units.

Nothing is normalised by window, so that "fast" and "slow" stay apart; statistics with a linear head are the
baseline that a learned temporal encoder has to beat. Numbers only, no torch.
"""

from __future__ import annotations

import numpy as np

from multimodal_search.types import FloatArray, Series

VERSION = 1  # raised with any change of the features below, as it is part of the fingerprint
STANDSTILL_MPS = 0.3
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_MEAN_SEGMENTS = 8
_SPREAD_SEGMENTS = 4
_CHANNEL_NAMES = (
    "present",
    "mean",
    "sd",
    "min",
    "max",
    "last_minus_first",
    *(f"quantile_{round(100 * q)}" for q in _QUANTILES),
    "mean_absolute_change_per_second",
    "integral",
    "integral_max",
    "integral_min",
    *(f"mean_{index}_of_{_MEAN_SEGMENTS}" for index in range(_MEAN_SEGMENTS)),
    *(f"sd_{index}_of_{_SPREAD_SEGMENTS}" for index in range(_SPREAD_SEGMENTS)),
)
_SPEED_NAMES = (
    "standstill_share",
    "standstill_share_of_last_quarter",
    "distance_m",
    "first_mps",
    "last_mps",
    "hardest_braking_mps2",
    "hardest_acceleration_mps2",
)
_YAW_NAMES = ("heading_change_rad", "turning_rad", "left_most_heading_rad", "right_most_heading_rad")
_PATH_NAMES = ("forward_m", "left_m", "most_left_m", "most_right_m")


def feature_names(channels: tuple[str, ...]) -> tuple[str, ...]:
    """A name for each feature, in order; their number is the encoder's dimension."""
    names = ["duration_seconds"]
    for channel in channels:
        names += [f"{channel}:{one}" for one in _CHANNEL_NAMES]
    speed, yaw = _named(channels, "speed"), _named(channels, "yaw_rate")
    names += [f"speed:{one}" for one in _SPEED_NAMES] if speed is not None else []
    names += [f"yaw:{one}" for one in _YAW_NAMES] if yaw is not None else []
    names += [f"path:{one}" for one in _PATH_NAMES] if speed is not None and yaw is not None else []
    return tuple(names)


def features(series: Series, channels: tuple[str, ...], rate_hz: float) -> FloatArray:
    """Features of one signal on a regular grid, (features,) float64, always finite.

    A channel that the signal does not have gives zeros and ``present`` = 0.

    Args:
        series: (T, C) values, T >= 1, on a grid of ``rate_hz``; NaN where unknown.
        channels: the channels wanted, in order; the signal may have others, or fewer.
    """
    columns = {channel: series.values[:, index] for index, channel in enumerate(series.channels)}
    count = len(series.timestamps_seconds)
    missing = np.full(count, np.nan)
    wanted = [columns.get(channel, missing) for channel in channels]
    parts = [np.array([(count - 1) / rate_hz])]
    parts += [_channel_features(column, rate_hz) for column in wanted]
    speed, yaw = _named(channels, "speed"), _named(channels, "yaw_rate")
    if speed is not None:
        parts.append(_speed_features(_filled(wanted[speed]), rate_hz))
    if yaw is not None:
        parts.append(_yaw_features(_filled(wanted[yaw]), rate_hz))
    if speed is not None and yaw is not None:
        parts.append(_path_features(_filled(wanted[speed]), _filled(wanted[yaw]), rate_hz))
    joined: FloatArray = np.nan_to_num(np.concatenate(parts), nan=0.0, posinf=0.0, neginf=0.0)
    return joined


def _named(channels: tuple[str, ...], start: str) -> int | None:
    """Index of the first channel of that name in SI units: ``speed_mps``, ``yaw_rate_radps``."""
    return next((index for index, channel in enumerate(channels) if channel.startswith(start)), None)


def _filled(column: FloatArray) -> FloatArray:
    """Unknown values bridged linearly; all zero where nothing is known."""
    known = np.isfinite(column)
    if bool(known.all()):
        return column
    if not known.any():
        return np.zeros_like(column)
    index = np.arange(column.size)
    return np.asarray(np.interp(index, index[known], column[known]))


def _segment_means(column: FloatArray, count: int) -> FloatArray:
    """Means over equal stretches of time, by fractional borders, so that any length has ``count`` of them."""
    integral = np.concatenate([[0.0], np.cumsum(column)])
    borders = np.linspace(0, column.size, count + 1)
    sums = np.diff(np.interp(borders, np.arange(integral.size), integral))
    return np.asarray(sums * count / column.size)


def _channel_features(column: FloatArray, rate_hz: float) -> FloatArray:
    known = column[np.isfinite(column)]
    if known.size == 0:
        return np.zeros(len(_CHANNEL_NAMES))
    filled = _filled(column)
    integral = np.cumsum(filled) / rate_hz
    spread = _segment_means(filled**2, _SPREAD_SEGMENTS) - _segment_means(filled, _SPREAD_SEGMENTS) ** 2
    change = np.abs(np.diff(filled)).mean() * rate_hz if filled.size > 1 else 0.0
    levels = [1.0, known.mean(), known.std(), known.min(), known.max(), known[-1] - known[0]]
    course = [change, integral[-1], integral.max(), integral.min()]
    return np.concatenate(
        [
            levels,
            np.quantile(known, _QUANTILES),
            course,
            _segment_means(filled, _MEAN_SEGMENTS),
            np.sqrt(np.maximum(spread, 0)),
        ]
    )


def _speed_features(speed: FloatArray, rate_hz: float) -> FloatArray:
    still = np.abs(speed) < STANDSTILL_MPS
    half_second = max(1, round(rate_hz / 2))
    if speed.size > half_second:
        slopes = (speed[half_second:] - speed[:-half_second]) * rate_hz / half_second
    else:
        slopes = np.zeros(1)
    last_quarter = still[-max(1, still.size // 4) :]
    return np.array(
        [
            still.mean(),
            last_quarter.mean(),
            speed.sum() / rate_hz,
            speed[0],
            speed[-1],
            slopes.min(),
            slopes.max(),
        ]
    )


def _yaw_features(yaw_rate: FloatArray, rate_hz: float) -> FloatArray:
    heading = np.cumsum(yaw_rate) / rate_hz
    return np.array([heading[-1], np.abs(yaw_rate).sum() / rate_hz, heading.max(), heading.min()])


def _path_features(speed: FloatArray, yaw_rate: FloatArray, rate_hz: float) -> FloatArray:
    """Dead reckoning from the first heading: a lane change moves sideways and keeps its heading."""
    heading = np.cumsum(yaw_rate) / rate_hz
    forward = np.cumsum(speed * np.cos(heading)) / rate_hz
    left = np.cumsum(speed * np.sin(heading)) / rate_hz
    return np.array([forward[-1], left[-1], left.max(), left.min()])
