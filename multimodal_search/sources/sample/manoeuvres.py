"""Each manoeuvre as a driver does it: acceleration and bends of the path, varied in time and vigour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from multimodal_search.sources.sample.world import DURATION_SECONDS, SampleScene
from multimodal_search.types import FloatArray

FINE_HZ = 50.0  # the model's own step, and nuScenes' pose rate
LANE_WIDTH_M = 3.5
STANDSTILL_MPS = 0.05
_CRUISE_MPS = {
    "highway": (23.0, 31.0),
    "tunnel": (15.0, 22.0),
    "bridge": (13.0, 19.0),
    "city_street": (9.0, 13.5),
    "intersection": (8.5, 13.0),
    "residential_street": (6.5, 9.5),
    "construction_zone": (6.5, 10.0),
    "parking_lot": (3.5, 6.0),
}
_CAUTION = {"clear": 1.0, "cloudy": 1.0, "rain": 0.92, "fog": 0.82, "snow": 0.78}
_COMFORT_MPS2 = 2.6  # sideways, in a corner


@dataclass(frozen=True, slots=True)
class Bend:
    """A stretch of steering: a bump that turns by ``heading``, or a swing that shifts by ``lateral``."""

    start: float
    duration: float
    heading: float = 0.0
    lateral: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Start speed in m/s, (T,) acceleration in m/s2 at ``FINE_HZ``, and bends of the path."""

    start: float
    acceleration: FloatArray
    bends: tuple[Bend, ...] = ()


Decides = Callable[[FloatArray, FloatArray, FloatArray], float]
Plan = Callable[[SampleScene, np.random.Generator, FloatArray], tuple[Wanted, Decides]]


def _cruise(scene: SampleScene, rng: np.random.Generator) -> float:
    low, high = _CRUISE_MPS[scene.place]
    return float(rng.uniform(low, high)) * _CAUTION[scene.weather]


def _pulse(times: FloatArray, start: float, duration: float) -> FloatArray:
    """1 during a stretch of time, with ramps of 0.3 s, so that forces build up as they do in a car."""
    ramp = 0.3
    rise = np.clip((times - start) / ramp, 0, 1)
    fall = np.clip((start + duration - times) / ramp + 0.5, 0, 1)
    return np.asarray(np.minimum(rise, fall))


def _plan_straight(scene: SampleScene, rng: np.random.Generator, times: FloatArray) -> tuple[Wanted, Decides]:
    acceleration = smooth_noise(rng, times, 0.1 + 0.15 * scene.intensity)
    return Wanted(_cruise(scene, rng), acceleration), _at(scene.event_seconds)


def _plan_turn(scene: SampleScene, rng: np.random.Generator, times: FloatArray) -> tuple[Wanted, Decides]:
    left = scene.manoeuvre == "turn_left"
    near_side = left == scene.keeps_left
    radius = rng.uniform(6.5, 9.0) if near_side else rng.uniform(9.5, 13.0)
    slow = min(3.6 + 2.6 * scene.intensity, np.sqrt(_COMFORT_MPS2 * radius))
    heading = float(rng.normal(np.pi / 2, 0.06)) * (1 if left else -1)
    return _slow_bend(scene, rng, times, slow, radius, heading, float(rng.uniform(0.14, 0.26)))


def _plan_u_turn(scene: SampleScene, rng: np.random.Generator, times: FloatArray) -> tuple[Wanted, Decides]:
    heading = float(rng.normal(np.pi, 0.06)) * (-1 if scene.keeps_left else 1)
    slow = 2.4 + 1.2 * scene.intensity
    radius = float(rng.uniform(5.2, 6.4))
    return _slow_bend(scene, rng, times, slow, radius, heading, float(rng.uniform(0.34, 0.5)))


def _slow_bend(
    scene: SampleScene,
    rng: np.random.Generator,
    times: FloatArray,
    slow: float,
    radius: float,
    heading: float,
    telling: float,
) -> tuple[Wanted, Decides]:
    """Slow down, turn, speed up again; the picture is taken when ``telling`` radians are turned."""
    start = max(_cruise(scene, rng), slow + 1.5)
    braking = float(rng.uniform(1.3, 2.4))
    slowing = min((start - slow) / braking, scene.event_seconds - 0.5)
    duration = abs(heading) * radius * 1.45 / slow
    leaving = scene.event_seconds + duration * 0.8
    acceleration = -(start - slow) / slowing * _pulse(times, scene.event_seconds - slowing, slowing)
    acceleration = acceleration + rng.uniform(0.9, 1.5) * _pulse(times, leaving, min(3.5, 19.0 - leaving))
    bend = Bend(scene.event_seconds, duration, heading=heading)
    wanted = Wanted(start, acceleration, (bend,))

    def decide(own: FloatArray, lateral: FloatArray, speed: FloatArray) -> float:
        return float(times[int(np.argmax(np.abs(own) >= telling))])

    return wanted, decide


def _plan_stop(scene: SampleScene, rng: np.random.Generator, times: FloatArray) -> tuple[Wanted, Decides]:
    start = _cruise(scene, rng)
    begin = scene.event_seconds - 2.0
    braking = max(1.2 + 1.5 * scene.intensity, start / (14.0 - begin))  # it stands after 16 s at the latest
    acceleration = -braking * _pulse(times, begin, DURATION_SECONDS)  # the car never rolls back
    later = float(rng.uniform(-0.4, 1.0))

    def decide(own: FloatArray, lateral: FloatArray, speed: FloatArray) -> float:
        standing = speed <= STANDSTILL_MPS
        stopped = float(times[int(np.argmax(standing))]) if standing.any() else float(times[-1])
        return min(stopped + later, 19.0)

    return Wanted(start, acceleration), decide


def _plan_hard_braking(
    scene: SampleScene, rng: np.random.Generator, times: FloatArray
) -> tuple[Wanted, Decides]:
    start = max(_cruise(scene, rng), 7.5)
    grip = {"snow": 0.72, "rain": 0.9}.get(scene.weather, 1.0)
    braking = (6.2 + 2.2 * scene.intensity) * grip
    duration = min(start * rng.uniform(0.65, 0.9) / braking, 2.8)
    recovers = scene.event_seconds + duration + rng.uniform(1.5, 3.5)
    acceleration = -braking * _pulse(times, scene.event_seconds, duration)
    acceleration = acceleration + rng.uniform(0.8, 1.4) * _pulse(times, recovers, 4.0)
    return Wanted(start, acceleration), _at(scene.event_seconds + 0.6 * duration)


def _plan_lane_change(
    scene: SampleScene, rng: np.random.Generator, times: FloatArray
) -> tuple[Wanted, Decides]:
    sign = 1 if scene.manoeuvre == "lane_change_left" else -1
    duration = float(rng.uniform(4.6, 6.0)) - 1.4 * scene.intensity
    bend = Bend(scene.event_seconds, duration, lateral=sign * LANE_WIDTH_M)
    acceleration = smooth_noise(rng, times, 0.15) + 0.3 * _pulse(times, scene.event_seconds, duration)
    return Wanted(_cruise(scene, rng), acceleration, (bend,)), _when_beside(
        times, LANE_WIDTH_M * rng.uniform(0.36, 0.56)
    )


def _plan_overtake(scene: SampleScene, rng: np.random.Generator, times: FloatArray) -> tuple[Wanted, Decides]:
    sign = -1 if scene.keeps_left else 1
    out = float(rng.uniform(3.0, 4.2))
    back = scene.event_seconds + out + float(rng.uniform(2.0, 4.0))
    bends = (
        Bend(scene.event_seconds, out, lateral=sign * LANE_WIDTH_M),
        Bend(back, float(rng.uniform(3.0, 4.0)), lateral=-sign * LANE_WIDTH_M),
    )
    push = 0.9 + 1.1 * scene.intensity
    acceleration = push * _pulse(times, scene.event_seconds - 0.5, back - scene.event_seconds - 0.5)
    acceleration = acceleration - 0.5 * push * _pulse(times, back + 2.0, 3.0)
    wanted = Wanted(_cruise(scene, rng) * 0.85, acceleration, bends)
    return wanted, _when_beside(times, LANE_WIDTH_M * rng.uniform(0.72, 0.95))


def _plan_congestion(
    scene: SampleScene, rng: np.random.Generator, times: FloatArray
) -> tuple[Wanted, Decides]:
    period, phase = rng.uniform(6.0, 10.0), rng.uniform(0, 2 * np.pi)
    top = 1.6 + 2.4 * scene.intensity
    wave = np.sin(2 * np.pi * times / period + phase) + 0.4 * np.sin(2 * np.pi * times / 4.1 + 2 * phase)
    speed = np.maximum(top * (0.25 + 0.6 * wave), 0)
    return Wanted(float(speed[0]), np.append(np.diff(speed), 0.0) * FINE_HZ), _at(scene.event_seconds)


def _at(seconds: float) -> Decides:
    return lambda own, lateral, speed: seconds


def _when_beside(times: FloatArray, metres: float) -> Decides:
    return lambda own, lateral, speed: float(times[int(np.argmax(np.abs(lateral) >= metres))])


PLANS: dict[str, Plan] = {
    "straight": _plan_straight,
    "turn_left": _plan_turn,
    "turn_right": _plan_turn,
    "stop": _plan_stop,
    "hard_braking": _plan_hard_braking,
    "lane_change_left": _plan_lane_change,
    "lane_change_right": _plan_lane_change,
    "u_turn": _plan_u_turn,
    "overtake": _plan_overtake,
    "congestion": _plan_congestion,
}


def smooth_noise(rng: np.random.Generator, times: FloatArray, scale: float) -> FloatArray:
    """(T,) a few slow sines of random phase with standard deviation ``scale``."""
    total = np.zeros(times.size)
    for period in (4.3, 7.1, 11.9):
        total += np.sin(2 * np.pi * (times / period + rng.random())) * rng.uniform(0.5, 1.0)
    return total * scale / 0.92
