"""What the car did, named from its speed and turning rate by rules; no model, no map.

The thresholds are everyday ones (a hard braking is 3.5 m/s2 and more, a turn at a crossing 35 degrees and
more within a few seconds) and were checked on the sample world, whose manoeuvres are known:
``tests/extraction/test_manoeuvres.py`` holds the share that is named right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multimodal_search.types import BoolArray, FloatArray, Series

# The first of these that a signal shows is its manoeuvre.
NAMES = (
    "u_turn", "hard_braking", "stop_and_go", "turn_left", "turn_right", "lane_change_left",
    "lane_change_right", "stop", "start", "standing", "straight",
)  # fmt: skip
_STANDING_MPS = 0.3
_MOVING_MPS = 2.0
_CRAWLING_MPS = 6.0
_HARD_BRAKING_MPS2 = -3.5
_HARD_BRAKING_SECONDS = 0.4
_TURNING_RADPS = 0.08
_TURN_RAD, _U_TURN_RAD = 0.6, 2.3
_TURN_GAP_SECONDS = 1.0
_CHANGE_SECONDS = (3.0, 4.0, 5.0, 6.5)
_CHANGE_M = (2.2, 5.0)
_CHANGE_HEADING_RAD = (0.02, 0.35)
_CHANGE_BACK_RAD = 0.03


@dataclass(frozen=True, slots=True)
class Manoeuvre:
    """One thing that the car did.

    Attributes:
        name: one of ``NAMES``.
        start_seconds: since the signal's start.
        end_seconds: since the signal's start.
        speed_mps: the mean over it.
    """

    name: str
    start_seconds: float
    end_seconds: float
    speed_mps: float


def manoeuvres(series: Series) -> list[Manoeuvre]:
    """What the car did, in order of time; ``straight`` where nothing else was seen.

    Args:
        series: has ``speed_mps`` (m/s) and, for turns, ``yaw_rate_radps`` (rad/s, left positive) on a regular
            grid; NaN is bridged.

    Returns:
        Nothing where the speed is not known.
    """
    times = series.timestamps_seconds - (
        series.timestamps_seconds[:1] if len(series.timestamps_seconds) else 0
    )
    speed = _channel(series, "speed_mps")
    if speed is None or times.size < 3:
        return []
    yaw_rate = _channel(series, "yaw_rate_radps")
    step = float(np.median(np.diff(times)))
    smooth_speed = _smoothed(speed, round(0.5 / step))
    found = _stops(times, smooth_speed) + _braking(times, smooth_speed, step)
    if yaw_rate is not None:
        turns = _turns(times, smooth_speed, yaw_rate, step)
        found += turns + _lane_changes(times, speed, yaw_rate, step, turns)
    if not found:
        found = [Manoeuvre("straight", 0.0, float(times[-1]), float(speed.mean()))]
    return sorted(found, key=lambda one: one.start_seconds)


def primary(found: list[Manoeuvre]) -> str | None:
    """The name that stands for all: the rarest kind; None for none."""
    return min((one.name for one in found), key=NAMES.index, default=None)


def _channel(series: Series, name: str) -> FloatArray | None:
    if name not in series.channels:
        return None
    values = series.values[:, series.channels.index(name)]
    known = np.isfinite(values)
    if known.sum() < 3:
        return None
    times = series.timestamps_seconds
    return np.asarray(np.interp(times, times[known], values[known]))


def _smoothed(values: FloatArray, width: int) -> FloatArray:
    width = max(1, width | 1)
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _runs(mask: BoolArray) -> list[tuple[int, int]]:
    """(first, last) index of each stretch of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(first), int(last) - 1) for first, last in edges.reshape(-1, 2)]


def _stops(times: FloatArray, speed: FloatArray) -> list[Manoeuvre]:
    fast = np.abs(speed)
    end = float(times[-1])
    if fast.max() < 1.0:
        return [Manoeuvre("standing", 0.0, end, float(fast.mean()))]
    slow = [run for run in _runs(fast < 1.0) if fast[run[0] : run[1] + 1].min() < 2 * _STANDING_MPS]
    if len(slow) >= 2 and np.percentile(fast, 90) < _CRAWLING_MPS:
        return [Manoeuvre("stop_and_go", 0.0, end, float(fast.mean()))]
    found = []
    for first, last in _runs(fast < _STANDING_MPS):
        before = fast[(times < times[first]) & (times > times[first] - 6.0)]
        after = fast[(times > times[last]) & (times < times[last] + 6.0)]
        at = float(times[first]), float(times[last])
        if before.size and before.max() > _MOVING_MPS:
            found.append(Manoeuvre("stop", *at, float(fast[first : last + 1].mean())))
        if after.size and after.max() > _MOVING_MPS:
            found.append(Manoeuvre("start", at[1], min(at[1] + 3.0, end), float(after.mean())))
    return found


def _braking(times: FloatArray, speed: FloatArray, step: float) -> list[Manoeuvre]:
    slope = np.gradient(speed, times)
    return [
        Manoeuvre(
            "hard_braking", float(times[first]), float(times[last]), float(speed[first : last + 1].mean())
        )
        for first, last in _runs(slope < _HARD_BRAKING_MPS2)
        if (last - first + 1) * step >= _HARD_BRAKING_SECONDS
    ]


def _turns(times: FloatArray, speed: FloatArray, yaw_rate: FloatArray, step: float) -> list[Manoeuvre]:
    rate = _smoothed(yaw_rate, round(0.5 / step))
    heading = np.cumsum(rate) * step
    stretches: list[list[int]] = []
    for side in (1, -1):
        of_side: list[list[int]] = []
        for first, last in _runs(side * rate > _TURNING_RADPS):
            if of_side and (first - of_side[-1][1]) * step <= _TURN_GAP_SECONDS:
                of_side[-1][1] = last
            else:
                of_side.append([first, last])
        stretches += of_side
    found = []
    for first, last in stretches:
        turned = float(heading[last] - heading[max(first - 1, 0)])
        if abs(turned) < _TURN_RAD:
            continue
        name = "turn_left" if turned > 0 else "turn_right"
        name = "u_turn" if abs(turned) >= _U_TURN_RAD else name
        mean = float(np.abs(speed[first : last + 1]).mean())
        found.append(Manoeuvre(name, float(times[first]), float(times[last]), mean))
    return found


def _lane_changes(
    times: FloatArray, speed: FloatArray, yaw_rate: FloatArray, step: float, turns: list[Manoeuvre]
) -> list[Manoeuvre]:
    """Stretches that end in the heading they began with, a lane further to the side."""
    heading = np.cumsum(_smoothed(yaw_rate, round(0.3 / step))) * step
    candidates: list[tuple[float, int, int]] = []
    for seconds in _CHANGE_SECONDS:
        length = round(seconds / step)
        for first in range(0, len(times) - length, max(1, round(0.2 / step))):
            own = heading[first : first + length] - heading[first]
            aside = float(np.sum(speed[first : first + length] * np.sin(own)) * step)
            swung = float(np.abs(own).max())
            if (
                _CHANGE_M[0] < abs(aside) < _CHANGE_M[1]
                and abs(own[-1]) < _CHANGE_BACK_RAD
                and _CHANGE_HEADING_RAD[0] < swung < _CHANGE_HEADING_RAD[1]
                and speed[first : first + length].min() > _MOVING_MPS
            ):
                candidates.append((aside, first, first + length))
    found: list[Manoeuvre] = []
    for aside, first, last in sorted(candidates, key=lambda one: -abs(one[0])):
        start, end = float(times[first]), float(times[last])
        if any(start < other.end_seconds and other.start_seconds < end for other in [*turns, *found]):
            continue
        side = "lane_change_left" if aside > 0 else "lane_change_right"
        found.append(Manoeuvre(side, start, end, float(speed[first:last].mean())))
    return found
