"""The drive as the files of nuScenes' CAN bus expansion: its fields, units and rates.

Units and rates: README of the CAN bus expansion (nuscenes-devkit, ``can_bus/README.md``). ``zoesensors`` is
written at 100 Hz instead of about 900: it repeats the pedals, and ten megabytes a scene help nobody.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from multimodal_search.sources.sample.draw_dashboard import indicator
from multimodal_search.sources.sample.layout import make_layout
from multimodal_search.sources.sample.manoeuvres import FINE_HZ, STANDSTILL_MPS
from multimodal_search.sources.sample.signals import STEERING_RATIO, make_drive, pedals
from multimodal_search.sources.sample.world import DURATION_SECONDS, SampleScene
from multimodal_search.types import FloatArray

Messages = list[dict[str, Any]]
_PURPOSE = 40
_GRAVITY_MPS2 = 9.81
_WHEEL_RPM_PER_MPS = 31.5  # of a Renault Zoe: 275 rpm at 31.4 km/h
_HALF_TRACK_M = 0.755  # from the car's middle to a rear wheel
_BRAKE_BAR = 126.0  # full scale of vehicle_monitor's brake
_THROTTLE_FULL = 1000.0


def start_pose(scene: SampleScene) -> tuple[float, float, float]:
    """(x, y, heading) of the car in its map at the start: metres, radians."""
    rng = scene.rng(_PURPOSE)
    return float(rng.uniform(400, 1600)), float(rng.uniform(400, 1600)), float(rng.uniform(-math.pi, math.pi))


def pose_at(scene: SampleScene, seconds: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """x, y in metres and heading in radians on the map, each (T,), at these times."""
    drive = make_drive(scene)
    x, y, heading = start_pose(scene)
    forward = np.interp(seconds, drive.times, drive.forward)
    left = np.interp(seconds, drive.times, drive.left)
    turned = np.interp(seconds, drive.times, drive.heading)
    cos, sin = math.cos(heading), math.sin(heading)
    return x + forward * cos - left * sin, y + forward * sin + left * cos, heading + turned


def quaternion(heading: float) -> list[float]:
    """(w, x, y, z) of a rotation about the vertical axis."""
    return [math.cos(heading / 2), 0.0, 0.0, math.sin(heading / 2)]


def messages(scene: SampleScene) -> dict[str, Any]:
    """Message name -> content of its file, ``route`` and ``meta`` included."""
    signals = _Signals(scene)
    content: dict[str, Any] = {
        "pose": signals.pose(),
        "ms_imu": signals.ms_imu(),
        "steeranglefeedback": signals.steering(),
        "vehicle_monitor": signals.vehicle_monitor(),
        "zoe_veh_info": signals.zoe_veh_info(),
        "zoesensors": signals.zoesensors(),
    }
    content["meta"] = {name: _statistics(rows) for name, rows in content.items()}
    content["route"] = signals.route()
    return content


class _Signals:
    """Samples of one drive on the clocks of its messages."""

    def __init__(self, scene: SampleScene) -> None:
        self._scene = scene
        self._drive = make_drive(scene)
        self._rng = scene.rng(_PURPOSE + 1)
        self._brake, self._throttle = pedals(self._drive.speed, self._drive.acceleration, self._rng)

    def _clock(self, rate_hz: float) -> tuple[FloatArray, list[int]]:
        """Seconds and microseconds of a message's samples, with a little jitter, as on a real bus."""
        count = int(DURATION_SECONDS * rate_hz)
        jitter = self._rng.uniform(0.0, 0.3 / rate_hz, count)
        seconds = np.arange(count) / rate_hz + jitter
        return seconds, [self._scene.start_us + round(one * 1e6) for one in seconds.tolist()]

    def _at(self, seconds: FloatArray, values: FloatArray, noise: float = 0.0) -> list[float]:
        sampled = np.interp(seconds, self._drive.times, values)
        return list(np.round(sampled + self._rng.normal(0, noise, seconds.size), 6).tolist())

    def pose(self) -> Messages:
        """50 Hz: position on the map, velocity and acceleration in m/s and m/s2, rates in rad/s."""
        seconds, times = self._clock(FINE_HZ)
        xs, ys, headings = pose_at(self._scene, seconds)
        speed = self._at(seconds, self._drive.speed)
        ahead = self._at(seconds, self._drive.acceleration, 0.03)
        side = self._at(seconds, self._drive.speed * self._drive.yaw_rate, 0.03)
        yaw = self._at(seconds, self._drive.yaw_rate, 0.002)
        return [
            {
                "accel": [ahead[k], side[k], _GRAVITY_MPS2],
                "orientation": quaternion(float(headings[k])),
                "pos": [float(xs[k]), float(ys[k]), 0.0],
                "rotation_rate": [0.0, 0.0, yaw[k]],
                "utime": time,
                "vel": [max(speed[k], 0.0), 0.0, 0.0],
            }
            for k, time in enumerate(times)
        ]

    def ms_imu(self) -> Messages:
        """100 Hz: acceleration with gravity, orientation, rates."""
        seconds, times = self._clock(100.0)
        _, _, headings = pose_at(self._scene, seconds)
        ahead = self._at(seconds, self._drive.acceleration, 0.05)
        side = self._at(seconds, self._drive.speed * self._drive.yaw_rate, 0.05)
        yaw = self._at(seconds, self._drive.yaw_rate, 0.004)
        return [
            {
                "linear_accel": [ahead[k], side[k], _GRAVITY_MPS2],
                "q": quaternion(float(headings[k])),
                "rotation_rate": [0.0, 0.0, yaw[k]],
                "utime": time,
            }
            for k, time in enumerate(times)
        ]

    def steering(self) -> Messages:
        """100 Hz: angle of the steering wheel in radians, left positive."""
        seconds, times = self._clock(100.0)
        angles = self._at(seconds, self._drive.steering, 0.002)
        return [{"utime": time, "value": angle} for time, angle in zip(times, angles, strict=True)]

    def vehicle_monitor(self) -> Messages:
        """2 Hz: km/h, degrees, degrees a second, bar, a throttle of 0..1000, rpm."""
        seconds, times = self._clock(2.0)
        speed = self._at(seconds, self._drive.speed)
        wheel = [math.degrees(angle) for angle in self._at(seconds, self._drive.steering, 0.005)]
        yaw = [math.degrees(rate) for rate in self._at(seconds, self._drive.yaw_rate, 0.002)]
        turning = self._at(seconds, np.gradient(self._drive.steering) * FINE_HZ)
        brake, throttle = self._at(seconds, self._brake), self._at(seconds, self._throttle)
        charge = int(self._rng.integers(40, 95))
        rows = []
        for k, time in enumerate(times):
            rpm = speed[k] * _WHEEL_RPM_PER_MPS
            outer = math.radians(yaw[k]) * _HALF_TRACK_M * _WHEEL_RPM_PER_MPS
            side = indicator(make_layout(self._scene, float(seconds[k])))
            row = {
                "available_distance": round(charge * 1.4),
                "battery_level": charge,
                "brake": round(brake[k] * _BRAKE_BAR),
                "brake_switch": 2 if brake[k] > 0.01 else 1,
                "gear_position": 7,
                "left_signal": int(side == "left"),
                "rear_left_rpm": round(max(rpm - outer, 0.0), 4),
                "rear_right_rpm": round(max(rpm + outer, 0.0), 4),
                "right_signal": int(side == "right"),
                "steering": round(wheel[k], 1),
                "steering_speed": round(math.degrees(turning[k]), 1),
                "throttle": round(throttle[k] * _THROTTLE_FULL),
                "utime": time,
                "vehicle_speed": round(max(speed[k], 0.0) * 3.6, 2),
                "yaw_rate": round(yaw[k], 1),
            }
            rows.append(row)
        return rows

    def zoe_veh_info(self) -> Messages:
        """100 Hz: wheel speeds in rpm, torque in N m, steering in degrees, accelerations in g and m/s2."""
        seconds, times = self._clock(100.0)
        speed = self._at(seconds, self._drive.speed, 0.01)
        ahead = self._at(seconds, self._drive.acceleration, 0.02)
        side = self._at(seconds, self._drive.speed * self._drive.yaw_rate, 0.02)
        wheel = [math.degrees(angle) for angle in self._at(seconds, self._drive.steering, 0.002)]
        throttle = self._at(seconds, self._throttle)
        rows = []
        for k, time in enumerate(times):
            rpm = max(speed[k], 0.0) * _WHEEL_RPM_PER_MPS
            row: dict[str, Any] = {f"{name}_wheel_speed": round(rpm, 3) for name in ("FL", "FR", "RL", "RR")}
            row |= {
                "left_solar": 0,
                "longitudinal_accel": round(ahead[k], 3),
                "meanEffTorque": round(900 * throttle[k] - 30 * (ahead[k] < 0), 1),
                "odom": int(self._drive.travelled[min(int(seconds[k] * FINE_HZ), 999)]),
                "odom_speed": round(max(speed[k], 0.0) * 3.6),
                "pedal_cc": round(100 * throttle[k], 1),
                "regen": round(max(0.0, -20 * ahead[k]), 1),
                "requestedTorqueAfterProc": round(900 * throttle[k], 1),
                "right_solar": 0,
                "steer_corrected": round(wheel[k], 1),
                "steer_offset_can": 0.0,
                "steer_raw": round(wheel[k], 1),
                "transversal_accel": round(side[k], 3),
                "utime": time,
            }
            rows.append(row)
        return rows

    def zoesensors(self) -> Messages:
        """Pedals and steering as raw voltages' shares."""
        seconds, times = self._clock(100.0)
        brake, throttle = self._at(seconds, self._brake), self._at(seconds, self._throttle)
        road_wheel = self._at(seconds, self._drive.steering / STEERING_RATIO)
        return [
            {
                "brake_sensor": round(0.17 + 0.4 * brake[k], 5),
                "steering_sensor": round(0.21 + 0.06 * road_wheel[k], 5),
                "throttle_sensor": round(0.105 + 0.3 * throttle[k], 5),
                "utime": time,
            }
            for k, time in enumerate(times)
        ]

    def route(self) -> list[list[float]]:
        """The planned way on the map, a point every half second of driving."""
        moving = self._drive.speed > STANDSTILL_MPS
        last = float(self._drive.times[moving][-1]) if moving.any() else 0.0
        xs, ys, _ = pose_at(self._scene, np.arange(0.0, last + 0.5, 0.5))
        return [[round(float(x), 3), round(float(y), 3)] for x, y in zip(xs, ys, strict=True)]


def _statistics(rows: Messages) -> dict[str, Any]:
    """What ``meta`` says of a message: count, rate, and mean, spread and range of its fields."""
    spans = (rows[-1]["utime"] - rows[0]["utime"]) / 1e6
    statistics: dict[str, Any] = {
        "message_count": len(rows),
        "message_freq": round((len(rows) - 1) / spans, 3),
        "timespan": round(spans, 6),
        "var_stats": {},
    }
    for name in rows[0]:
        column = np.array([row[name] for row in rows], dtype=np.float64)
        summary = {"max": column.max(0), "mean": column.mean(0), "min": column.min(0), "std": column.std(0)}
        statistics["var_stats"][name] = {key: np.round(value, 6).tolist() for key, value in summary.items()}
    return statistics
