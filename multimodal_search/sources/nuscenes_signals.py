"""What the car did in a nuScenes scene: the CAN bus where it was recorded, the ego poses everywhere else.

Position, absolute heading, odometer, battery and the steering offset are left out: they give the place or the
car away.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import SkipInput
from multimodal_search.signals import resample
from multimodal_search.sources.nuscenes_can import CanBus, Columns
from multimodal_search.sources.poses import MOTION_CHANNELS, motion, yaw
from multimodal_search.types import Series

RATE_HZ = 10.0
CAN_CHANNELS = (*MOTION_CHANNELS, "steering_rad", "brake", "throttle")
POSE_SENSORS = ("LIDAR_TOP", "CAM_FRONT")  # of one sensor: the poses of several jitter against each other


class SceneSignals:
    """Signals by scene, resampled once and kept; a moment's window is cut out of its scene's signal.

    Args:
        tables: an open ``nuscenes.NuScenes``.
        root: the nuScenes root.
    """

    def __init__(self, tables: Any, root: Path) -> None:
        self._tables = tables
        self._can_bus = CanBus(root)
        # one list for all scenes: where nobody unpacked the expansion, three channels would always be empty
        self.channels = CAN_CHANNELS if self._can_bus.there else MOTION_CHANNELS
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
        found = self._can_bus.columns(scene["name"], start_us, self.channels)
        if any(channel not in found for channel in MOTION_CHANNELS):
            poses = self._ego_motion(scene, start_us)
            for index, channel in enumerate(MOTION_CHANNELS):
                if len(poses.timestamps_seconds):
                    found.setdefault(channel, (poses.timestamps_seconds, poses.values[:, index]))
        if not found:
            raise SkipInput("no CAN bus message and fewer than two ego poses")
        return on_one_clock(found, self.channels, (end_us - start_us) / 1e6, RATE_HZ)

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
        sensor = next((one for one in (*POSE_SENSORS, *sample["data"]) if one in sample["data"]), None)
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


def on_one_clock(
    columns: Columns, channels: Sequence[str], duration_seconds: float, rate_hz: float
) -> Series:
    """Channels of many rates on one grid over exactly the scene; NaN where a channel has no sample.

    Args:
        columns: channel -> (T,) seconds since the scene's start and (T,) values, strictly increasing times.
        channels: what is wanted, in order.

    Returns:
        (floor(duration * rate) + 1, C) values.
    """
    ends = np.array([0.0, duration_seconds])
    times = np.unique(np.concatenate([ends, *(times for times, _ in columns.values())]))
    values = np.full((times.size, len(channels)), np.nan)
    for index, channel in enumerate(channels):
        if channel in columns:
            own_times, own_values = columns[channel]
            values[np.searchsorted(times, own_times), index] = own_values
    inside = (times >= 0) & (times <= duration_seconds)
    return resample(Series(times[inside], values[inside], tuple(channels)), rate_hz)
