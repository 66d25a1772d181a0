"""What the car did in a nuScenes scene: the CAN bus where it was recorded, the ego poses everywhere else.

Units and fields: README of the CAN bus expansion (nuscenes-devkit, ``can_bus/README.md``). Position, absolute
heading, odometer, battery and the steering offset are left out: they give the place or the car away.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import SkipInput
from multimodal_search.signals import resample
from multimodal_search.sources.nuscenes_devkit import can_bus
from multimodal_search.sources.poses import MOTION_CHANNELS, motion, yaw
from multimodal_search.sources.series import in_time_order, repaired
from multimodal_search.types import FloatArray, Series

logger = logging.getLogger("multimodal_search")

RATE_HZ = 10.0
CAN_CHANNELS = (*MOTION_CHANNELS, "steering_rad", "brake", "throttle")
_BRAKE_RANGE = 126.0  # bar
_THROTTLE_RANGE = 1000.0
_POSE_SENSORS = ("LIDAR_TOP", "CAM_FRONT")  # of one sensor: the poses of several jitter against each other

_Readers = Mapping[str, Callable[[Mapping[str, Any]], float]]

# Message -> channel -> SI value. The first message that has a channel provides it: 50 Hz before 2 Hz.
_MESSAGES: dict[str, _Readers] = {
    "pose": {
        "speed_mps": lambda message: message["vel"][0],
        "acceleration_mps2": lambda message: message["accel"][0],
        "yaw_rate_radps": lambda message: message["rotation_rate"][2],
    },
    "steeranglefeedback": {"steering_rad": lambda message: message["value"]},
    "vehicle_monitor": {
        "speed_mps": lambda message: message["vehicle_speed"] / 3.6,
        "yaw_rate_radps": lambda message: math.radians(message["yaw_rate"]),
        "steering_rad": lambda message: math.radians(message["steering"]),
        "brake": lambda message: message["brake"] / _BRAKE_RANGE,
        "throttle": lambda message: message["throttle"] / _THROTTLE_RANGE,
    },
}


class SceneSignals:
    """Signals by scene, resampled once and kept; a moment's window is cut out of its scene's signal.

    Args:
        tables: an open ``nuscenes.NuScenes``.
        root: the nuScenes root.
    """

    def __init__(self, tables: Any, root: Path) -> None:
        self._tables = tables
        self._can_folder = root / "can_bus"
        self._can_bus = can_bus(root)
        # one list for all scenes: where nobody unpacked the expansion, three channels would always be empty
        self.channels = CAN_CHANNELS if self._can_bus is not None else MOTION_CHANNELS
        self._kept: dict[str, Series | SkipInput] = {}
        self._lock = threading.Lock()

    def scene(self, token: str) -> Series:
        """A scene's signal on a 10 Hz grid, time in seconds since its first keyframe.

        Raises:
            SkipInput: neither a CAN bus message nor two ego poses.
        """
        with self._lock:
            if token not in self._kept:
                try:
                    self._kept[token] = self._read(self._tables.get("scene", token))
                except SkipInput as skip:
                    self._kept[token] = skip
                except (KeyError, TypeError, ValueError, IndexError) as error:
                    self._kept[token] = SkipInput(f"the signals cannot be read ({error!r})")
            kept = self._kept[token]
        if isinstance(kept, SkipInput):
            raise SkipInput(kept.reason)
        return kept

    def _read(self, scene: Mapping[str, Any]) -> Series:
        start_us, end_us = (
            self._tables.get("sample", scene[key])["timestamp"]
            for key in ("first_sample_token", "last_sample_token")
        )
        found = dict(self._can_channels(scene["name"], start_us))
        if any(channel not in found for channel in MOTION_CHANNELS):
            poses = self._ego_motion(scene, start_us)
            for index, channel in enumerate(MOTION_CHANNELS):
                if len(poses.timestamps_seconds):
                    found.setdefault(channel, (poses.timestamps_seconds, poses.values[:, index]))
        if not found:
            raise SkipInput("no CAN bus message and fewer than two ego poses")
        merged = _merged(found, self.channels, (end_us - start_us) / 1e6)
        return resample(merged, RATE_HZ)

    def _can_channels(self, name: str, start_us: int) -> Iterator[tuple[str, tuple[FloatArray, FloatArray]]]:
        seen: set[str] = set()
        for kind, readers in _MESSAGES.items():
            messages = self._messages(name, kind)
            for channel, reader in readers.items():
                column = _column(messages, reader, start_us) if channel not in seen else None
                if column is not None:
                    seen.add(channel)
                    yield channel, column

    def _messages(self, name: str, kind: str) -> list[Any]:
        if self._can_bus is None or not (self._can_folder / f"{name}_{kind}.json").is_file():
            return []
        try:
            messages = self._can_bus.get_messages(name, kind, print_warnings=False)
        except Exception as error:  # scenes that the devkit lists as without CAN bus, and damaged files
            logger.warning("CAN bus: %s of %s is not used: %s", kind, name, error)
            return []
        return messages if isinstance(messages, list) else []

    def _ego_motion(self, scene: Mapping[str, Any], start_us: int) -> Series:
        records = [self._tables.get("ego_pose", token) for token in self._pose_tokens(scene)]
        if not records:
            return motion(np.empty(0), np.empty((0, 2)), np.empty(0))
        return motion(
            np.array([record["timestamp"] - start_us for record in records]) / 1e6,
            np.array([record["translation"][:2] for record in records], dtype=np.float64),
            yaw(np.array([record["rotation"] for record in records], dtype=np.float64)),
        )

    def _pose_tokens(self, scene: Mapping[str, Any]) -> Iterator[str]:
        """Ego poses of one sensor: its keyframes and, where the table has them, its sweeps (20 Hz)."""
        sample: Mapping[str, Any] = self._tables.get("sample", scene["first_sample_token"])
        sensor = next((one for one in (*_POSE_SENSORS, *sample["data"]) if one in sample["data"]), None)
        seen: set[str] = set()
        while True:
            token = sample["data"].get(sensor, "")
            while token and token not in seen:
                seen.add(token)
                record = self._tables.get("sample_data", token)
                yield record["ego_pose_token"]
                token = record.get("next", "")
            if not sample["next"] or sample["token"] == scene["last_sample_token"]:
                return
            sample = self._tables.get("sample", sample["next"])


def _column(
    messages: list[Any], reader: Callable[[Mapping[str, Any]], float], start_us: int
) -> tuple[FloatArray, FloatArray] | None:
    """(T,) seconds since the start and (T,) values of one channel; None where hardly a message has it."""
    rows = []
    for message in messages:
        try:
            rows.append(((message["utime"] - start_us) / 1e6, float(reader(message))))
        except (KeyError, TypeError, ValueError, IndexError):
            continue  # a message without this field; the interpolation bridges it
    if len(rows) < 2:
        return None
    table = np.array(rows)
    times, values = in_time_order(table[:, 0], table[:, 1:])
    try:
        return times, repaired(Series(times, values, ("one",))).values[:, 0]
    except SkipInput:
        return None


def _merged(
    columns: Mapping[str, tuple[FloatArray, FloatArray]], channels: tuple[str, ...], duration_seconds: float
) -> Series:
    """Channels of many rates in one table over exactly the scene; NaN where a channel has no sample."""
    ends = np.array([0.0, duration_seconds])
    times = np.unique(np.concatenate([ends, *(times for times, _ in columns.values())]))
    values = np.full((times.size, len(channels)), np.nan)
    for channel, (own_times, own_values) in columns.items():
        if channel in channels:
            values[np.searchsorted(times, own_times), channels.index(channel)] = own_values
    inside = (times >= 0) & (times <= duration_seconds)
    return Series(times[inside], values[inside], channels)
