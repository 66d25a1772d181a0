"""nuScenes' CAN bus expansion, read by the devkit: named channels in SI units.

Units and fields: README of the expansion (nuscenes-devkit, ``can_bus/README.md``). It calls steering to the
right positive; the recordings have it to the left, as the yaw rate beside it shows.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import SkipInput
from multimodal_search.sources.nuscenes_devkit import can_bus
from multimodal_search.sources.series import in_time_order, repaired
from multimodal_search.types import FloatArray, Series

logger = logging.getLogger("multimodal_search")

Columns = dict[str, tuple[FloatArray, FloatArray]]
_Readers = Mapping[str, Callable[[Mapping[str, Any]], float]]
_BRAKE_RANGE = 126.0  # bar
_THROTTLE_RANGE = 1000.0


@dataclass(frozen=True, slots=True)
class CanChannel:
    """A channel that the expansion has.

    Attributes:
        name: with its SI unit at the end.
        unit: for people.
        betrays: whether it gives away the place or the car: a signal would find its picture by that.
    """

    name: str
    unit: str
    betrays: bool = False


CHANNELS = (
    CanChannel("speed_mps", "m/s"),
    CanChannel("acceleration_mps2", "m/s2"),
    CanChannel("yaw_rate_radps", "rad/s, left positive"),
    CanChannel("steering_rad", "rad at the wheel, left positive"),
    CanChannel("brake", "share of 126 bar"),
    CanChannel("throttle", "share"),
    CanChannel("lateral_acceleration_mps2", "m/s2, left positive"),
    CanChannel("vertical_acceleration_mps2", "m/s2"),
    CanChannel("roll_rate_radps", "rad/s"),
    CanChannel("pitch_rate_radps", "rad/s"),
    CanChannel("steering_speed_radps", "rad/s"),
    CanChannel("left_indicator", "0 or 1"),
    CanChannel("right_indicator", "0 or 1"),
    CanChannel("wheel_front_left_rpm", "1/min"),
    CanChannel("wheel_front_right_rpm", "1/min"),
    CanChannel("wheel_rear_left_rpm", "1/min"),
    CanChannel("wheel_rear_right_rpm", "1/min"),
    CanChannel("torque_nm", "N m"),
    CanChannel("requested_torque_nm", "N m"),
    CanChannel("coasting", "0 to 100"),
    CanChannel("imu_acceleration_x_mps2", "m/s2"),
    CanChannel("imu_acceleration_y_mps2", "m/s2"),
    CanChannel("imu_acceleration_z_mps2", "m/s2"),
    CanChannel("imu_rotation_x_radps", "rad/s"),
    CanChannel("imu_rotation_y_radps", "rad/s"),
    CanChannel("imu_rotation_z_radps", "rad/s"),
    CanChannel("brake_sensor", "raw"),
    CanChannel("throttle_sensor", "raw"),
    CanChannel("position_x_m", "m on the map", betrays=True),
    CanChannel("position_y_m", "m on the map", betrays=True),
    CanChannel("position_z_m", "m", betrays=True),
    CanChannel("heading_rad", "rad, unwrapped", betrays=True),
    CanChannel("steering_sensor", "raw; each car has its own zero", betrays=True),
    CanChannel("steering_offset_deg", "degrees", betrays=True),
    CanChannel("battery_percent", "percent", betrays=True),
    CanChannel("range_km", "km", betrays=True),
    CanChannel("solar_left", "raw", betrays=True),
    CanChannel("solar_right", "raw", betrays=True),
)


def _at(key: str, index: int) -> Callable[[Mapping[str, Any]], float]:
    return lambda message: message[key][index]


def _scaled(key: str, factor: float = 1.0) -> Callable[[Mapping[str, Any]], float]:
    return lambda message: message[key] * factor


def _heading(message: Mapping[str, Any]) -> float:
    w, x, y, z = message["orientation"]
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


_RAD = math.pi / 180

# Message -> channel -> SI value. The first message that has a channel provides it: 50 Hz before 2 Hz.
_MESSAGES: dict[str, _Readers] = {
    "pose": {
        "speed_mps": _at("vel", 0),
        "acceleration_mps2": _at("accel", 0),
        "yaw_rate_radps": _at("rotation_rate", 2),
        "lateral_acceleration_mps2": _at("accel", 1),
        "vertical_acceleration_mps2": _at("accel", 2),
        "roll_rate_radps": _at("rotation_rate", 0),
        "pitch_rate_radps": _at("rotation_rate", 1),
        "position_x_m": _at("pos", 0),
        "position_y_m": _at("pos", 1),
        "position_z_m": _at("pos", 2),
        "heading_rad": _heading,
    },
    "steeranglefeedback": {"steering_rad": _scaled("value")},
    "vehicle_monitor": {
        "speed_mps": _scaled("vehicle_speed", 1 / 3.6),
        "yaw_rate_radps": _scaled("yaw_rate", _RAD),
        "steering_rad": _scaled("steering", _RAD),
        "brake": _scaled("brake", 1 / _BRAKE_RANGE),
        "throttle": _scaled("throttle", 1 / _THROTTLE_RANGE),
        "steering_speed_radps": _scaled("steering_speed", _RAD),
        "left_indicator": _scaled("left_signal"),
        "right_indicator": _scaled("right_signal"),
        "battery_percent": _scaled("battery_level"),
        "range_km": _scaled("available_distance"),
    },
    "zoe_veh_info": {
        "steering_rad": _scaled("steer_corrected", _RAD),
        "wheel_front_left_rpm": _scaled("FL_wheel_speed"),
        "wheel_front_right_rpm": _scaled("FR_wheel_speed"),
        "wheel_rear_left_rpm": _scaled("RL_wheel_speed"),
        "wheel_rear_right_rpm": _scaled("RR_wheel_speed"),
        "torque_nm": _scaled("meanEffTorque"),
        "requested_torque_nm": _scaled("requestedTorqueAfterProc"),
        "coasting": _scaled("regen"),
        "steering_offset_deg": _scaled("steer_offset_can"),
        "solar_left": _scaled("left_solar"),
        "solar_right": _scaled("right_solar"),
    },
    "ms_imu": {
        "imu_acceleration_x_mps2": _at("linear_accel", 0),
        "imu_acceleration_y_mps2": _at("linear_accel", 1),
        "imu_acceleration_z_mps2": _at("linear_accel", 2),
        "imu_rotation_x_radps": _at("rotation_rate", 0),
        "imu_rotation_y_radps": _at("rotation_rate", 1),
        "imu_rotation_z_radps": _at("rotation_rate", 2),
    },
    "zoesensors": {
        "brake_sensor": _scaled("brake_sensor"),
        "throttle_sensor": _scaled("throttle_sensor"),
        "steering_sensor": _scaled("steering_sensor"),
    },
}


class CanBus:
    """The expansion under a nuScenes root, or nothing where nobody unpacked it.

    Args:
        root: the nuScenes root.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "can_bus"
        self._devkit = can_bus(root)

    @property
    def there(self) -> bool:
        """Whether the expansion was unpacked."""
        return self._devkit is not None

    def without(self, scenes: Collection[str]) -> list[str]:
        """Of these scenes, those that the devkit lists as recorded without a CAN bus."""
        listed = getattr(self._devkit, "can_blacklist", ())
        return sorted({f"scene-{number:04d}" for number in listed} & set(scenes))

    def misaligned(self, scenes: Collection[str]) -> list[str]:
        """Of these scenes, those that the devkit lists as driven off their planned route."""
        listed = getattr(self._devkit, "route_blacklist", ())
        return sorted({f"scene-{number:04d}" for number in listed} & set(scenes))

    def offered(self) -> list[CanChannel]:
        """Channels that some scene has messages of, judged by the names of the files."""
        if not self.there:
            return []
        kinds = {path.stem.partition("_")[2] for path in self._folder.glob("*.json")}
        names = {name for kind in kinds for name in _MESSAGES.get(kind, ())}
        return [one for one in CHANNELS if one.name in names]

    def columns(self, scene: str, start_us: int, channels: Sequence[str]) -> Columns:
        """Channel -> (T,) seconds since the start and (T,) values, each channel at its own rate.

        Only what could be read: a damaged file is logged and left out, and so is a message without the field.
        """
        found: Columns = {}
        if self.without([scene]):
            return found
        for kind, readers in _MESSAGES.items():
            wanted = {name: read for name, read in readers.items() if name in channels and name not in found}
            if wanted:
                found.update(_columns(self._messages(scene, kind), wanted, start_us))
        if "heading_rad" in found:
            times, values = found["heading_rad"]
            found["heading_rad"] = times, np.unwrap(values)
        return found

    def _messages(self, scene: str, kind: str) -> list[Any]:
        if self._devkit is None or not (self._folder / f"{scene}_{kind}.json").is_file():
            return []
        try:
            messages = self._devkit.get_messages(scene, kind, print_warnings=False)
        except Exception as error:  # scenes that the devkit lists as without CAN bus, and damaged files
            logger.warning("CAN bus: %s of %s is not used: %s", kind, scene, error)
            return []
        return messages if isinstance(messages, list) else []


def _columns(messages: list[Any], readers: _Readers, start_us: int) -> Columns:
    """Channels of one message in time order; without those that hardly a message has."""
    found: Columns = {}
    for name, read in readers.items():
        rows = _rows(messages, read)
        if len(rows) < 2:
            continue
        table = np.array(rows, dtype=np.float64)
        times, values = in_time_order((table[:, 0] - start_us) / 1e6, table[:, 1:])
        with contextlib.suppress(SkipInput):
            found[name] = times, repaired(Series(times, values, ("one",))).values[:, 0]
    return found


def _rows(messages: list[Any], read: Callable[[Mapping[str, Any]], float]) -> list[tuple[float, float]]:
    """(utime, value) of each message that has the field; the interpolation bridges the others."""
    try:
        return [(float(message["utime"]), float(read(message))) for message in messages]
    except (KeyError, TypeError, ValueError, IndexError):
        pass  # once more, one by one
    rows = []
    for message in messages:
        with contextlib.suppress(KeyError, TypeError, ValueError, IndexError):
            rows.append((float(message["utime"]), float(read(message))))
    return rows
