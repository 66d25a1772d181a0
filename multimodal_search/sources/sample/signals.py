"""The drive of a scene as a vehicle records it: a kinematic single-track model follows the manoeuvre.

Speed is the integral of acceleration, and yaw rate is ``speed * tan(road wheel angle) / wheelbase`` (the
kinematic bicycle model). Left is positive, as in ISO 8855 and on nuScenes' CAN bus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from multimodal_search.sources.sample.world import DURATION_SECONDS, SampleScene
from multimodal_search.types import FloatArray, Series

CHANNELS = ("speed_mps", "acceleration_mps2", "yaw_rate_radps", "steering_rad", "brake", "throttle")
RATE_HZ = 10.0
FINE_HZ = 50.0  # the model's own step, and nuScenes' pose rate
WHEELBASE_M = 2.588
STEERING_RATIO = 15.2  # steering wheel angle over road wheel angle
LANE_WIDTH_M = 3.5
STANDSTILL_MPS = 0.05
_PURPOSE = 10
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
_FULL_BRAKE_MPS2 = 8.5
_FULL_THROTTLE_MPS2 = 3.2
_COMFORT_MPS2 = 2.6  # sideways, in a corner
_BRAKE_ABOVE_MPS2 = 0.5  # gentler slowing is done by lifting the foot


@dataclass(frozen=True, slots=True)
class Drive:
    """The true motion, without a sensor's noise; every array is (T,) at ``FINE_HZ``.

    Attributes:
        steering: steering wheel angle in radians.
        heading: radians turned since the start.
        travelled: metres driven since the start.
        forward, left: position in metres in the frame of the first pose.
        road_curvature: of the road, 1/m; the drive follows it.
        target_heading: what the manoeuvre turns by in the end, radians, without the road's bend.
        lateral: metres left of the first lane's middle.
        moment_seconds: when a picture tells most of the manoeuvre.
    """

    times: FloatArray
    speed: FloatArray
    acceleration: FloatArray
    yaw_rate: FloatArray
    steering: FloatArray
    heading: FloatArray
    travelled: FloatArray
    forward: FloatArray
    left: FloatArray
    lateral: FloatArray
    road_curvature: float
    target_heading: float
    moment_seconds: float


def make_series(scene: SampleScene) -> Series:
    """The scene's 20 s at 10 Hz: values (200, 6), channels ``CHANNELS``, with a sensor's noise.

    Timestamps count from the start of the scene. ``steering_rad`` is the angle of the steering wheel; brake
    and throttle are pedals in 0..1, and a car that stands holds its brake.
    """
    drive = make_drive(scene)
    rng = scene.rng(_PURPOSE + 1)
    step = round(FINE_HZ / RATE_HZ)
    speed, acceleration = drive.speed[::step], drive.acceleration[::step]
    brake, throttle = pedals(speed, acceleration, rng)
    moving = speed > STANDSTILL_MPS
    values = np.stack(
        [
            np.maximum(speed + moving * rng.normal(0, 0.03, speed.size), 0),
            acceleration + rng.normal(0, 0.04, speed.size),
            drive.yaw_rate[::step] + rng.normal(0, 0.002, speed.size),
            drive.steering[::step] + rng.normal(0, 0.01, speed.size),
            brake,
            throttle,
        ],
        axis=1,
    )
    return Series(drive.times[::step].copy(), values, CHANNELS)


def pedals(
    speed: FloatArray, acceleration: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Brake and throttle (T,) in 0..1 that go with a motion; never both at once."""
    standing = speed <= STANDSTILL_MPS
    drag = 0.12 + 0.0006 * speed**2
    brake = np.clip((-acceleration - _BRAKE_ABOVE_MPS2) / _FULL_BRAKE_MPS2, 0, 1)
    brake = np.where(brake > 0, np.clip(brake + rng.normal(0, 0.006, speed.size), 0.005, 1), 0.0)
    brake = np.where(standing, 0.18 + 0.12 * rng.random(), brake)
    throttle = np.clip((acceleration + drag) / _FULL_THROTTLE_MPS2, 0, 1)
    throttle = np.clip(throttle + rng.normal(0, 0.006, speed.size) * (throttle > 0), 0, 1)
    return brake, np.where(standing | (brake > 0), 0.0, throttle)


@lru_cache(maxsize=64)
def make_drive(scene: SampleScene) -> Drive:
    """The true motion of a scene; treat the arrays as read-only."""
    rng = scene.rng(_PURPOSE)
    times = np.arange(round(DURATION_SECONDS * FINE_HZ)) / FINE_HZ
    wanted, decides = _PLANS[scene.manoeuvre](scene, rng, times)
    wander = _smooth_noise(rng, times, 0.12) * (scene.manoeuvre not in ("congestion", "stop"))
    speed = _integrate(wanted.start, wanted.acceleration + wander * (wanted.acceleration > -2.5))
    acceleration = np.append(np.diff(speed), 0.0) * FINE_HZ
    road = _road_curvature(scene, rng)
    turned = _scaled(wanted.bends, speed)
    wobble = _smooth_noise(rng, times, 0.0004) / (1 + speed / 8)
    curvature = turned + road + wobble
    yaw_rate = speed * curvature
    heading = _cumulative(yaw_rate)
    own = _cumulative(speed * turned)
    lateral = _cumulative(speed * np.sin(np.clip(own, -1.2, 1.2)))
    drive = Drive(
        times=times,
        speed=speed,
        acceleration=acceleration,
        yaw_rate=yaw_rate,
        steering=np.arctan(curvature * WHEELBASE_M) * STEERING_RATIO,
        heading=heading,
        travelled=_cumulative(speed),
        forward=_cumulative(speed * np.cos(heading)),
        left=_cumulative(speed * np.sin(heading)),
        lateral=lateral,
        road_curvature=road,
        target_heading=sum(bend.heading for bend in wanted.bends),
        moment_seconds=decides(own, lateral, speed),
    )
    for one in (times, speed, acceleration, yaw_rate, heading, lateral):
        one.flags.writeable = False
    return drive


@dataclass(frozen=True, slots=True)
class _Bend:
    """A stretch of steering: a bump that turns by ``heading``, or a swing that shifts by ``lateral``."""

    start: float
    duration: float
    heading: float = 0.0
    lateral: float = 0.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    start: float
    acceleration: FloatArray
    bends: tuple[_Bend, ...] = ()


_Decides = Callable[[FloatArray, FloatArray, FloatArray], float]
_Plan = Callable[[SampleScene, np.random.Generator, FloatArray], tuple[_Wanted, _Decides]]


def _cruise(scene: SampleScene, rng: np.random.Generator) -> float:
    low, high = _CRUISE_MPS[scene.place]
    return float(rng.uniform(low, high)) * _CAUTION[scene.weather]


def _pulse(times: FloatArray, start: float, duration: float) -> FloatArray:
    """1 during a stretch of time, with ramps of 0.3 s, so that forces build up as they do in a car."""
    ramp = 0.3
    rise = np.clip((times - start) / ramp, 0, 1)
    fall = np.clip((start + duration - times) / ramp + 0.5, 0, 1)
    return np.asarray(np.minimum(rise, fall))


def _plan_straight(
    scene: SampleScene, rng: np.random.Generator, times: FloatArray
) -> tuple[_Wanted, _Decides]:
    acceleration = _smooth_noise(rng, times, 0.1 + 0.15 * scene.intensity)
    return _Wanted(_cruise(scene, rng), acceleration), _at(scene.event_seconds)


def _plan_turn(scene: SampleScene, rng: np.random.Generator, times: FloatArray) -> tuple[_Wanted, _Decides]:
    left = scene.manoeuvre == "turn_left"
    near_side = left == scene.keeps_left
    radius = rng.uniform(6.5, 9.0) if near_side else rng.uniform(9.5, 13.0)
    slow = min(3.6 + 2.6 * scene.intensity, np.sqrt(_COMFORT_MPS2 * radius))
    heading = float(rng.normal(np.pi / 2, 0.06)) * (1 if left else -1)
    return _slow_bend(scene, rng, times, slow, radius, heading, float(rng.uniform(0.14, 0.26)))


def _plan_u_turn(scene: SampleScene, rng: np.random.Generator, times: FloatArray) -> tuple[_Wanted, _Decides]:
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
) -> tuple[_Wanted, _Decides]:
    """Slow down, turn, speed up again; the picture is taken when ``telling`` radians are turned."""
    start = max(_cruise(scene, rng), slow + 1.5)
    braking = float(rng.uniform(1.3, 2.4))
    slowing = min((start - slow) / braking, scene.event_seconds - 0.5)
    duration = abs(heading) * radius * 1.45 / slow
    leaving = scene.event_seconds + duration * 0.8
    acceleration = -(start - slow) / slowing * _pulse(times, scene.event_seconds - slowing, slowing)
    acceleration = acceleration + rng.uniform(0.9, 1.5) * _pulse(times, leaving, min(3.5, 19.0 - leaving))
    bend = _Bend(scene.event_seconds, duration, heading=heading)
    wanted = _Wanted(start, acceleration, (bend,))

    def decide(own: FloatArray, lateral: FloatArray, speed: FloatArray) -> float:
        return float(times[int(np.argmax(np.abs(own) >= telling))])

    return wanted, decide


def _plan_stop(scene: SampleScene, rng: np.random.Generator, times: FloatArray) -> tuple[_Wanted, _Decides]:
    start = _cruise(scene, rng)
    begin = scene.event_seconds - 2.0
    braking = max(1.2 + 1.5 * scene.intensity, start / (14.0 - begin))  # it stands after 16 s at the latest
    acceleration = -braking * _pulse(times, begin, DURATION_SECONDS)  # the car never rolls back
    later = float(rng.uniform(-0.4, 1.0))

    def decide(own: FloatArray, lateral: FloatArray, speed: FloatArray) -> float:
        standing = speed <= STANDSTILL_MPS
        stopped = float(times[int(np.argmax(standing))]) if standing.any() else float(times[-1])
        return min(stopped + later, 19.0)

    return _Wanted(start, acceleration), decide


def _plan_hard_braking(
    scene: SampleScene, rng: np.random.Generator, times: FloatArray
) -> tuple[_Wanted, _Decides]:
    start = max(_cruise(scene, rng), 7.5)
    grip = {"snow": 0.72, "rain": 0.9}.get(scene.weather, 1.0)
    braking = (6.2 + 2.2 * scene.intensity) * grip
    duration = min(start * rng.uniform(0.65, 0.9) / braking, 2.8)
    recovers = scene.event_seconds + duration + rng.uniform(1.5, 3.5)
    acceleration = -braking * _pulse(times, scene.event_seconds, duration)
    acceleration = acceleration + rng.uniform(0.8, 1.4) * _pulse(times, recovers, 4.0)
    return _Wanted(start, acceleration), _at(scene.event_seconds + 0.6 * duration)


def _plan_lane_change(
    scene: SampleScene, rng: np.random.Generator, times: FloatArray
) -> tuple[_Wanted, _Decides]:
    sign = 1 if scene.manoeuvre == "lane_change_left" else -1
    duration = float(rng.uniform(4.6, 6.0)) - 1.4 * scene.intensity
    bend = _Bend(scene.event_seconds, duration, lateral=sign * LANE_WIDTH_M)
    acceleration = _smooth_noise(rng, times, 0.15) + 0.3 * _pulse(times, scene.event_seconds, duration)
    return _Wanted(_cruise(scene, rng), acceleration, (bend,)), _when_beside(
        times, LANE_WIDTH_M * rng.uniform(0.36, 0.56)
    )


def _plan_overtake(
    scene: SampleScene, rng: np.random.Generator, times: FloatArray
) -> tuple[_Wanted, _Decides]:
    sign = -1 if scene.keeps_left else 1
    out = float(rng.uniform(3.0, 4.2))
    back = scene.event_seconds + out + float(rng.uniform(2.0, 4.0))
    bends = (
        _Bend(scene.event_seconds, out, lateral=sign * LANE_WIDTH_M),
        _Bend(back, float(rng.uniform(3.0, 4.0)), lateral=-sign * LANE_WIDTH_M),
    )
    push = 0.9 + 1.1 * scene.intensity
    acceleration = push * _pulse(times, scene.event_seconds - 0.5, back - scene.event_seconds - 0.5)
    acceleration = acceleration - 0.5 * push * _pulse(times, back + 2.0, 3.0)
    wanted = _Wanted(_cruise(scene, rng) * 0.85, acceleration, bends)
    return wanted, _when_beside(times, LANE_WIDTH_M * rng.uniform(0.72, 0.95))


def _plan_congestion(
    scene: SampleScene, rng: np.random.Generator, times: FloatArray
) -> tuple[_Wanted, _Decides]:
    period, phase = rng.uniform(6.0, 10.0), rng.uniform(0, 2 * np.pi)
    top = 1.6 + 2.4 * scene.intensity
    wave = np.sin(2 * np.pi * times / period + phase) + 0.4 * np.sin(2 * np.pi * times / 4.1 + 2 * phase)
    speed = np.maximum(top * (0.25 + 0.6 * wave), 0)
    return _Wanted(float(speed[0]), np.append(np.diff(speed), 0.0) * FINE_HZ), _at(scene.event_seconds)


def _at(seconds: float) -> _Decides:
    return lambda own, lateral, speed: seconds


def _when_beside(times: FloatArray, metres: float) -> _Decides:
    return lambda own, lateral, speed: float(times[int(np.argmax(np.abs(lateral) >= metres))])


_PLANS: dict[str, _Plan] = {
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


def _scaled(bends: tuple[_Bend, ...], speed: FloatArray) -> FloatArray:
    """(T,) curvature of the path, scaled so that each bend turns or shifts by what it should."""
    times = np.arange(speed.size) / FINE_HZ
    total = np.zeros(speed.size)
    for bend in bends:
        inside = (times >= bend.start) & (times <= bend.start + bend.duration)
        phase = (times - bend.start) / bend.duration
        if bend.heading:
            shape = inside * np.sin(np.pi * np.clip(phase, 0, 1)) ** 1.2
            total += shape * bend.heading / max(float((speed * shape).sum()) / FINE_HZ, 1e-6)
            continue
        # heading follows a smooth hump, so that it ends where it began: yaw rate is its derivative
        hump = inside * np.sin(np.pi * np.clip(phase, 0, 1)) ** 2
        hump = hump * bend.lateral / max(float((speed * hump).sum()) / FINE_HZ, 1e-6)
        total += np.append(np.diff(hump), 0.0) * FINE_HZ / np.maximum(speed, 1.0)
    return total


def _road_curvature(scene: SampleScene, rng: np.random.Generator) -> float:
    limit = 0.0008 if scene.place in ("highway", "tunnel", "bridge") else 0.0016
    keep = 0.0 if scene.manoeuvre in ("turn_left", "turn_right", "u_turn") else 1.0
    return keep * float(rng.uniform(-limit, limit))


def _integrate(start: float, acceleration: FloatArray) -> FloatArray:
    """Speed that never goes below zero: a car that brakes stands, it does not roll back."""
    speed = np.empty(acceleration.size)
    now = start
    for index, change in enumerate((acceleration / FINE_HZ).tolist()):
        speed[index] = now
        now = max(now + change, 0.0)
    return speed


def _cumulative(rate: FloatArray) -> FloatArray:
    return np.concatenate([[0.0], np.cumsum(rate[:-1])]) / FINE_HZ


def _smooth_noise(rng: np.random.Generator, times: FloatArray, scale: float) -> FloatArray:
    """(T,) a few slow sines of random phase with standard deviation ``scale``."""
    total = np.zeros(times.size)
    for period in (4.3, 7.1, 11.9):
        total += np.sin(2 * np.pi * (times / period + rng.random())) * rng.uniform(0.5, 1.0)
    return total * scale / 0.92
