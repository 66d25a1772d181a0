"""The drive of a scene as a vehicle records it: a kinematic single-track model follows the manoeuvre.

Speed is the integral of acceleration, and yaw rate is ``speed * tan(road wheel angle) / wheelbase`` (the
kinematic bicycle model). Left is positive, as in ISO 8855 and on nuScenes' CAN bus.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from multimodal_search.sources.sample.manoeuvres import FINE_HZ, PLANS, STANDSTILL_MPS, Bend, smooth_noise
from multimodal_search.sources.sample.world import DURATION_SECONDS, SampleScene
from multimodal_search.types import FloatArray, Series

CHANNELS = ("speed_mps", "acceleration_mps2", "yaw_rate_radps", "steering_rad", "brake", "throttle")
RATE_HZ = 10.0
WHEELBASE_M = 2.588
STEERING_RATIO = 15.2  # steering wheel angle over road wheel angle
_PURPOSE = 10
_FULL_BRAKE_MPS2 = 8.5
_FULL_THROTTLE_MPS2 = 3.2
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
    wanted, decides = PLANS[scene.manoeuvre](scene, rng, times)
    wander = smooth_noise(rng, times, 0.12) * (scene.manoeuvre not in ("congestion", "stop"))
    speed = _integrate(wanted.start, wanted.acceleration + wander * (wanted.acceleration > -2.5))
    acceleration = np.append(np.diff(speed), 0.0) * FINE_HZ
    road = _road_curvature(scene, rng)
    turned = _scaled(wanted.bends, speed)
    wobble = smooth_noise(rng, times, 0.0004) / (1 + speed / 8)
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


def _scaled(bends: tuple[Bend, ...], speed: FloatArray) -> FloatArray:
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
    limit = 0.0003 if scene.place in ("highway", "tunnel", "bridge") else 0.0006
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
    return np.asarray(np.concatenate([[0.0], np.cumsum(rate[:-1])]) / FINE_HZ)
