"""Speed, acceleration and yaw rate from where the car was: the signal that every drive has."""

from __future__ import annotations

import numpy as np

from multimodal_search.sources.series import in_time_order
from multimodal_search.types import FloatArray, Series

MOTION_CHANNELS = ("speed_mps", "acceleration_mps2", "yaw_rate_radps")
_SPAN_SECONDS = 0.5  # shorter differences turn a centimetre of localisation noise into m/s2


def yaw(rotations: FloatArray) -> FloatArray:
    """(T,) heading in radians, counter-clockwise from x, of (T, 4) unit quaternions (w, x, y, z)."""
    w, x, y, z = np.moveaxis(np.asarray(rotations, dtype=np.float64), -1, 0)
    return np.asarray(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def motion(
    timestamps_seconds: FloatArray,
    positions_m: FloatArray,
    yaw_rad: FloatArray,
    *,
    span_seconds: float = _SPAN_SECONDS,
) -> Series:
    """Longitudinal speed (negative in reverse), its change, and the turning rate.

    Central differences over ``span_seconds`` (or two sampling intervals, where those are longer), by time and
    not by index; the heading is unwrapped first, so that passing through pi is no spin.

    Args:
        timestamps_seconds: (T,) in any order.
        positions_m: (T, 2) or more; the first two are the ground plane.
        yaw_rad: (T,) heading.

    Returns:
        Series with (T', 3) values, T' <= T distinct times; fewer than two of them give no row.
    """
    rows = np.column_stack(
        [np.asarray(positions_m, dtype=np.float64)[:, :2], np.cos(yaw_rad), np.sin(yaw_rad)]
    )
    usable = np.isfinite(rows).all(axis=1)
    times, rows = in_time_order(np.asarray(timestamps_seconds, dtype=np.float64)[usable], rows[usable])
    if times.size < 2:
        return Series(np.empty(0), np.empty((0, 3)), MOTION_CHANNELS)
    heading = np.unwrap(np.arctan2(rows[:, 3], rows[:, 2]))
    reach = max(span_seconds / 2, float(np.median(np.diff(times))))
    velocity = np.column_stack([_slope(times, rows[:, axis], reach) for axis in (0, 1)])
    speed = velocity[:, 0] * np.cos(heading) + velocity[:, 1] * np.sin(heading)
    table = np.column_stack([speed, _slope(times, speed, reach), _slope(times, heading, reach)])
    return Series(times, table, MOTION_CHANNELS)


def _slope(times: FloatArray, values: FloatArray, reach_seconds: float) -> FloatArray:
    """(T,) derivative by differences over up to ``reach_seconds`` to either side."""
    early = np.maximum(times - reach_seconds, times[0])
    late = np.minimum(times + reach_seconds, times[-1])
    slope = (np.interp(late, times, values) - np.interp(early, times, values)) / (late - early)
    # near an end the difference belongs to its span's middle, not to the point itself
    return np.asarray(np.interp(times, (early + late) / 2, slope))
