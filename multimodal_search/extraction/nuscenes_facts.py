"""What is known of a nuScenes scene: its motion, and the facts that it is chosen and filtered by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_search.extraction.describing import GENERATED, describe
from multimodal_search.extraction.manoeuvres import Manoeuvre, manoeuvres, primary
from multimodal_search.extraction.nuscenes_scene import ReleaseScene
from multimodal_search.extraction.weather import daytime, weather_words
from multimodal_search.sources.nuscenes import local_hour
from multimodal_search.sources.nuscenes_can import CanBus, Columns
from multimodal_search.sources.nuscenes_signals import RATE_HZ, on_one_clock
from multimodal_search.sources.poses import MOTION_CHANNELS, motion, yaw
from multimodal_search.types import Series

_BESIDE_SECONDS = 2.0  # a pose further from the scene has another stamp than its own
_LONGEST_SECONDS = 86_400.0  # stamps of mixed units would be resampled to billions of rows


@dataclass(frozen=True, slots=True)
class Facts:
    """A scene in words and numbers.

    Attributes:
        text: its description.
        weather: words of the description.
        manoeuvres: what the car did, by the ego poses, else by the CAN bus.
        mean_speed_mps, max_speed_mps: None where the speed is not known.
    """

    name: str
    text: str
    location: str | None
    daytime: str | None
    local_hour: int | None
    weather: tuple[str, ...]
    manoeuvres: tuple[Manoeuvre, ...]
    mean_speed_mps: float | None
    max_speed_mps: float | None

    @property
    def manoeuvre(self) -> str | None:
        """The one that stands for all."""
        return primary(list(self.manoeuvres))


def ego_columns(scene: ReleaseScene) -> Columns:
    """Speed, acceleration and turning rate by the ego poses, and where the car was; empty without poses.

    Times are seconds since the first keyframe.
    """
    if scene.pose_times_us.size < 2 or not scene.timestamps_us or too_long(scene):
        return {}
    seconds = (scene.pose_times_us - scene.timestamps_us[0]) / 1e6
    near = (seconds > -_BESIDE_SECONDS) & (seconds < scene.duration_seconds + _BESIDE_SECONDS)
    seconds, poses = seconds[near], scene.poses[near]
    headings = yaw(poses[:, 3:])
    moved = motion(seconds, poses[:, :2], headings)
    if not moved.timestamps_seconds.size:
        return {}
    columns = {
        channel: (moved.timestamps_seconds, moved.values[:, index])
        for index, channel in enumerate(MOTION_CHANNELS)
    }
    times, order = np.unique(seconds, return_index=True)
    for index, axis in enumerate("xyz"):
        columns[f"position_{axis}_m"] = times, poses[order, index]
    columns["heading_rad"] = times, np.unwrap(headings[order])
    return columns


def too_long(scene: ReleaseScene) -> bool:
    """Whether the keyframes' stamps cannot be those of a scene."""
    return scene.duration_seconds > _LONGEST_SECONDS


def signals(
    scene: ReleaseScene, can: CanBus | None, channels: Sequence[str], rate_hz: float
) -> tuple[Series | None, str]:
    """The scene's signal and where it comes from: CAN bus before ego poses, channel by channel.

    Returns:
        (T, C) with NaN in gaps and for channels without a message, and ``can_bus``, ``ego_pose`` or both;
        None where there is neither.
    """
    if not scene.timestamps_us or too_long(scene):
        return None, ""
    start_us = scene.timestamps_us[0]
    columns = can.columns(scene.name, start_us, channels) if can is not None else {}
    origins = ["can_bus"] if columns else []
    for channel, column in ego_columns(scene).items():
        if channel in channels and channel not in columns:
            columns[channel] = column
            origins.append("ego_pose")
    if not columns:
        return None, ""
    series = on_one_clock(columns, channels, scene.duration_seconds, rate_hz)
    return series, ", ".join(dict.fromkeys(origins))


def facts(scene: ReleaseScene, series: Series | None = None) -> Facts:
    """Facts of a scene.

    Args:
        series: taken where the scene has no ego poses.
    """
    own = ego_columns(scene)
    if own:
        series = on_one_clock(own, MOTION_CHANNELS, scene.duration_seconds, RATE_HZ)
    text = scene.row.get("description")
    text = text if isinstance(text, str) else ""
    logfile = str(scene.log.get("logfile") or "")
    hour = local_hour(scene.timestamps_us[0], logfile) if scene.timestamps_us else None
    mean = fastest = None
    if series is not None and "speed_mps" in series.channels:
        speed = np.abs(series.values[:, series.channels.index("speed_mps")])
        if np.isfinite(speed).any():
            mean, fastest = round(float(np.nanmean(speed)), 3), round(float(np.nanmax(speed)), 3)
    return Facts(
        name=scene.name,
        text=text,
        location=scene.log.get("location"),
        daytime=daytime(text, hour),
        local_hour=hour,
        weather=tuple(weather_words(text)),
        manoeuvres=tuple(manoeuvres(series)) if series is not None else (),
        mean_speed_mps=mean,
        max_speed_mps=fastest,
    )


def metadata(scene: ReleaseScene, known: Facts) -> dict[str, Any]:
    """What a scene can be filtered by."""
    return {
        "vehicle": scene.log.get("vehicle"),
        "date_captured": scene.log.get("date_captured"),
        "daytime": known.daytime,
        "weather": ", ".join(known.weather),
        "manoeuvre": known.manoeuvre,
        "manoeuvres": ", ".join(dict.fromkeys(one.name for one in known.manoeuvres)),
        "mean_speed_mps": known.mean_speed_mps,
        "max_speed_mps": known.max_speed_mps,
        "duration_seconds": round(scene.duration_seconds, 3),
        "keyframes": len(scene.samples),
        "objects": dict(sorted(scene.objects.items())),
        "scene_token": scene.row["token"],
    }


def sentence(scene: ReleaseScene, known: Facts) -> tuple[str, dict[str, str]]:
    """A description where there is none, and the mark that says so."""
    ahead = [
        ((scene.timestamps_us[place] - scene.timestamps_us[0]) / 1e6, category)
        for place, (_, category) in sorted(scene.ahead.items())
    ]
    conditions = [*([known.daytime] if known.daytime else []), *known.weather]
    made = describe(known.manoeuvres, conditions=conditions, objects=scene.objects, ahead=ahead)
    return (made, {"description_source": GENERATED}) if made else ("", {})
