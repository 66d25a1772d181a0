"""Rows of nuScenes' thirteen tables for sample scenes.

Schema: docs/schema_nuscenes.md of the nuscenes-devkit.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from multimodal_search.sources.sample.can_bus import pose_at, quaternion
from multimodal_search.sources.sample.layout import Layout, camera_mount, make_layout
from multimodal_search.sources.sample.traffic import SIZES_M, Placed, named_users
from multimodal_search.sources.sample.view import CAMERAS, HORIZON_SHARE
from multimodal_search.sources.sample.world import SampleScene

Row = dict[str, Any]
TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)
_CATEGORIES = {
    "car": "vehicle.car",
    "taxi": "vehicle.car",
    "van": "vehicle.car",
    "bus": "vehicle.bus.rigid",
    "truck": "vehicle.truck",
    "motorcycle": "vehicle.motorcycle",
    "cyclist": "vehicle.bicycle",
    "pedestrian": "human.pedestrian.adult",
}
_ATTRIBUTES = {
    "vehicle.moving": "Vehicle is moving.",
    "cycle.with_rider": "There is a rider on the bicycle or motorcycle.",
    "pedestrian.moving": "The human is moving.",
}
_VISIBILITIES = ((0, 40), (40, 60), (60, 80), (80, 100))
_SHUTTER_US = 8_000  # the cameras fire one after the other
_JUMP_M = 12.0  # a road user that moves further between keyframes is the next one


def token(*parts: object) -> str:
    """A 32-digit token, the same for the same parts in every run."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:32]


@dataclass(slots=True)
class Tables:
    """The tables of one tree, filled scene by scene.

    Args:
        size: (width, height) of the pictures in pixels.
        keyframes: seconds of a scene's keyframes from its start.
    """

    seed: int
    cameras: tuple[str, ...]
    size: tuple[int, int]
    keyframes: tuple[float, ...]
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    _logs: dict[str, list[str]] = field(default_factory=dict)

    def add_fixed(self) -> None:
        """Sensors, categories, attributes, visibilities."""
        for name in sorted(set(_CATEGORIES.values())):
            self.rows["category"].append(
                {"token": token("category", name), "name": name, "description": name}
            )
        for name, said in _ATTRIBUTES.items():
            self.rows["attribute"].append(
                {"token": token("attribute", name), "name": name, "description": said}
            )
        for number, (low, high) in enumerate(_VISIBILITIES, start=1):
            said = f"visibility of whole object is between {low} and {high}%"
            self.rows["visibility"].append(
                {"token": str(number), "level": f"v{low}-{high}", "description": said}
            )
        for camera in self.cameras:
            self.rows["sensor"].append(
                {"token": token("sensor", camera), "channel": camera, "modality": "camera"}
            )

    def add_scene(self, scene: SampleScene, name: str, description: str) -> list[tuple[str, float, str]]:
        """Add a scene's rows; returns (camera, seconds, file name) of each picture it needs."""
        self._add_log(scene)
        scene_token = token("scene", self.seed, scene.index)
        samples = [token("sample", scene_token, number) for number in range(len(self.keyframes))]
        self.rows["scene"].append(
            {
                "token": scene_token,
                "log_token": token("log", self.seed, scene.log),
                "nbr_samples": len(samples),
                "first_sample_token": samples[0],
                "last_sample_token": samples[-1],
                "name": name,
                "description": description,
            }
        )
        for number, (one, before, after) in enumerate(_linked(samples)):
            row = {"token": one, "timestamp": self._time(scene, number), "prev": before, "next": after}
            self.rows["sample"].append({**row, "scene_token": scene_token})
        pictures = []
        for camera in self.cameras:
            self.rows["calibrated_sensor"].append(self._calibration(scene, scene_token, camera))
            pictures += self._add_pictures(scene, scene_token, camera, samples)
        self._add_boxes(scene, samples)
        return pictures

    def finish(self, map_file: str) -> None:
        """Add the maps: one a city, which needs all its logs."""
        for location, logs in self._logs.items():
            self.rows["map"].append(
                {
                    "token": token("map", location),
                    "category": "semantic_prior",
                    "filename": map_file,
                    "log_tokens": logs,
                }
            )

    def _time(self, scene: SampleScene, keyframe: int) -> int:
        return scene.start_us + round(self.keyframes[keyframe] * 1e6)

    def _add_log(self, scene: SampleScene) -> None:
        log_token = token("log", self.seed, scene.log)
        logs = self._logs.setdefault(scene.location, [])
        if log_token in logs:
            return
        logs.append(log_token)
        date = datetime.fromtimestamp(scene.start_us / 1e6, UTC).date().isoformat()
        self.rows["log"].append(
            {
                "token": log_token,
                "logfile": scene.log,
                "vehicle": "sample",
                "date_captured": date,
                "location": scene.location,
            }
        )

    def _calibration(self, scene: SampleScene, scene_token: str, camera: str) -> Row:
        """All cameras are at one point above the ego frame's origin; height and pitch are the scene's."""
        yaw, degrees = CAMERAS[camera]
        width, height = self.size
        focal = width / 2 / math.tan(math.radians(degrees) / 2)
        up, pitch = camera_mount(scene)
        middle = height * HORIZON_SHARE + focal * math.tan(pitch)
        return {
            "token": token("calibrated", scene_token, camera),
            "sensor_token": token("sensor", camera),
            "translation": [0.0, 0.0, up],
            "rotation": _camera_rotation(math.radians(yaw)),
            "camera_intrinsic": [[focal, 0.0, width / 2], [0.0, focal, middle], [0.0, 0.0, 1.0]],
        }

    def _add_pictures(
        self, scene: SampleScene, scene_token: str, camera: str, samples: list[str]
    ) -> list[tuple[str, float, str]]:
        late = self.cameras.index(camera) * _SHUTTER_US
        seconds = np.array(self.keyframes) + late / 1e6
        xs, ys, headings = pose_at(scene, seconds)
        names = [token("data", sample, camera) for sample in samples]
        pictures = []
        for number, (one, before, after) in enumerate(_linked(names)):
            time = self._time(scene, number) + late
            file = f"samples/{camera}/{scene.log}__{camera}__{time}.jpg"
            self.rows["ego_pose"].append(
                {
                    "token": one,
                    "timestamp": time,
                    "rotation": quaternion(float(headings[number])),
                    "translation": [float(xs[number]), float(ys[number]), 0.0],
                }
            )
            self.rows["sample_data"].append(
                {
                    "token": one,
                    "sample_token": samples[number],
                    "ego_pose_token": one,
                    "calibrated_sensor_token": token("calibrated", scene_token, camera),
                    "timestamp": time,
                    "fileformat": "jpg",
                    "is_key_frame": True,
                    "height": self.size[1],
                    "width": self.size[0],
                    "filename": file,
                    "prev": before,
                    "next": after,
                }
            )
            pictures.append((camera, float(seconds[number]), file))
        return pictures

    def _add_boxes(self, scene: SampleScene, samples: list[str]) -> None:
        """Boxes of the named road users; one that leaves and is followed by another starts a new instance."""
        tracks: dict[int, list[list[Row]]] = {}
        kinds: dict[int, str] = {}
        last: dict[int, tuple[float, float]] = {}
        xs, ys, headings = pose_at(scene, np.array(self.keyframes))
        for number, seconds in enumerate(self.keyframes):
            layout = make_layout(scene, seconds)
            ego = (float(xs[number]), float(ys[number]), float(headings[number]))
            for user, one in enumerate(named_users(layout)):
                kinds[user] = one.kind
                place = (one.x, one.s)
                runs = tracks.setdefault(user, [])
                if user not in last or math.dist(place, last[user]) > _JUMP_M:
                    runs.append([])
                last[user] = place
                runs[-1].append(_box(layout, one, ego, samples[number]))
        for user, runs in tracks.items():
            for run_number, run in enumerate(runs):
                self._add_instance(token("instance", samples[0], user, run_number), kinds[user], run)

    def _add_instance(self, name: str, kind: str, boxes: list[Row]) -> None:
        tokens = [token("box", name, number) for number in range(len(boxes))]
        for box, (one, before, after) in zip(boxes, _linked(tokens), strict=True):
            self.rows["sample_annotation"].append(
                {"token": one, "instance_token": name, "prev": before, "next": after, **box}
            )
        self.rows["instance"].append(
            {
                "token": name,
                "category_token": token("category", _CATEGORIES[kind]),
                "nbr_annotations": len(boxes),
                "first_annotation_token": tokens[0],
                "last_annotation_token": tokens[-1],
            }
        )


def _linked(tokens: list[str]) -> list[tuple[str, str, str]]:
    """(token, previous, next); the ends have an empty string."""
    return list(zip(tokens, ["", *tokens[:-1]], [*tokens[1:], ""], strict=True))


def _camera_rotation(yaw: float) -> list[float]:
    """(w, x, y, z) from the camera's axes (right, down, ahead) to the car's (ahead, left, up)."""
    cos, sin = math.cos(yaw / 2), math.sin(yaw / 2)
    # the rotation by yaw about the vertical, times (0.5, -0.5, 0.5, -0.5), which lays the camera's axes
    return [0.5 * (cos + sin), 0.5 * (-cos - sin), 0.5 * (cos - sin), 0.5 * (-cos + sin)]


def _box(layout: Layout, one: Placed, ego: tuple[float, float, float], sample: str) -> Row:
    """An annotation without its links: centre and turn on the map, (width, length, height)."""
    x, y, heading = ego
    right = one.x - 0.5 * layout.pose.bend * one.s * one.s - layout.pose.x
    road = heading - layout.pose.yaw
    cos, sin = math.cos(road), math.sin(road)
    length, width, height = SIZES_M[one.kind]
    kind = "cycle.with_rider" if one.kind in ("cyclist", "motorcycle") else "vehicle.moving"
    if one.kind == "pedestrian":
        kind = "pedestrian.moving"
    return {
        "sample_token": sample,
        "visibility_token": "4",
        "attribute_tokens": [token("attribute", kind)],
        "translation": [x + one.s * cos + right * sin, y + one.s * sin - right * cos, height / 2],
        "size": [width, length, height],
        "rotation": quaternion(road + one.yaw),
        "num_lidar_pts": 5,
        "num_radar_pts": 0,
    }
