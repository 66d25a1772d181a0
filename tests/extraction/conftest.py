"""A small nuScenes tree, with every key of the release's rows, and recordings made by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

START_US = 1_532_402_927_000_000
SPEED_MPS, YAW_RATE = 8.0, 0.1
Tables = dict[str, list[dict[str, Any]]]
NAMES = (
    "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log",
    "scene", "sample", "sample_data", "sample_annotation", "map",
)  # fmt: skip
SENSORS = {"CAM_FRONT": "camera", "CAM_BACK": "camera", "LIDAR_TOP": "lidar"}


def release(scenes: int = 3, keyframes: int = 11) -> Tables:
    """Cars on a circle, two cameras and a LiDAR, a bus in front of the first scene's car."""
    result: Tables = {name: [] for name in NAMES}
    result["sensor"] = [{"token": one, "channel": one, "modality": kind} for one, kind in SENSORS.items()]
    result["calibrated_sensor"] = [
        {"token": f"c-{one}", "sensor_token": one, "translation": [0, 0, 0], "rotation": [1, 0, 0, 0]}
        for one in SENSORS
    ]
    result["category"] = [{"token": "bus", "name": "vehicle.bus.rigid", "description": ""}]
    for scene in range(scenes):
        log = {"token": f"log-{scene}", "logfile": f"n015-2018-07-24-11-22-4{scene % 10}+0800"}
        result["log"].append(
            {**log, "vehicle": "n015", "date_captured": "2018-07-24", "location": f"place-{scene % 3}"}
        )
        add_scene(result, scene, keyframes)
    result["map"] = [
        {"token": "m", "filename": "maps/a.png", "log_tokens": [one["token"] for one in result["log"]]}
    ]
    return result


def add_scene(result: Tables, scene: int, keyframes: int) -> None:
    tokens = [f"s-{scene}-{index}" for index in range(keyframes)]
    ends = {"first_sample_token": tokens[0], "last_sample_token": tokens[-1], "nbr_samples": keyframes}
    row = {"token": f"t-{scene}", "name": f"scene-{scene + 1:04d}", "log_token": f"log-{scene}"}
    words = ("Turn left, rain", "Night, parked cars", "After rain, many peds")
    result["scene"].append({**row, **ends, "description": words[scene % 3]})
    result["instance"].append({"token": f"i-{scene}", "category_token": "bus", "nbr_annotations": keyframes})
    for index, token in enumerate(tokens):
        stamp = START_US + scene * 60_000_000 + index * 500_000
        link = {
            "prev": tokens[index - 1] if index else "",
            "next": tokens[index + 1] if index + 1 < keyframes else "",
        }
        result["sample"].append({"token": token, "timestamp": stamp, "scene_token": f"t-{scene}", **link})
        angle = YAW_RATE * index / 2 + 3.0  # passes through pi
        radius = SPEED_MPS / YAW_RATE
        place = [1000 + radius * math.sin(angle), 500 - radius * math.cos(angle), 0]
        turned = [math.cos(angle / 2), 0, 0, math.sin(angle / 2)]
        for sensor, kind in SENSORS.items():
            own = f"{sensor}-{token}"
            result["ego_pose"].append(
                {"token": own, "timestamp": stamp, "rotation": turned, "translation": place}
            )
            name = f"samples/{sensor}/{scene}-{index}.{'jpg' if kind == 'camera' else 'pcd.bin'}"
            data = {"token": own, "sample_token": token, "ego_pose_token": own, "timestamp": stamp}
            more = {"calibrated_sensor_token": f"c-{sensor}", "is_key_frame": True, "filename": name}
            result["sample_data"].append({**data, **more, "prev": "", "next": ""})
        ahead = [place[0] + 10 * math.cos(angle), place[1] + 10 * math.sin(angle), 0]
        box = {"token": f"a-{token}", "sample_token": token, "instance_token": f"i-{scene}"}
        result["sample_annotation"].append(
            {**box, "translation": ahead, "attribute_tokens": [], "visibility_token": ""}
        )


@pytest.fixture
def write_release(tmp_path: Path) -> Callable[..., Path]:
    """Write tables as a nuScenes root, with tiny pictures; returns the root."""

    def write(content: Tables, *, version: str = "v1.0-mini", images: bool = True) -> Path:
        root = tmp_path / "nuscenes"
        (root / version).mkdir(parents=True, exist_ok=True)
        for name, rows in content.items():
            (root / version / f"{name}.json").write_text(json.dumps(rows))
        (root / "maps").mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(root / "maps" / "a.png")
        for row in content.get("sample_data", []) if images else []:
            path = root / row["filename"]
            if path.suffix == ".jpg":
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 9), (len(path.name) * 9 % 255, 40, 90)).save(path)
        return root

    return write


def write_can(root: Path, scene: str, kind: str, messages: Any) -> None:
    """A file of the CAN bus expansion."""
    (root / "can_bus").mkdir(exist_ok=True)
    (root / "can_bus" / f"{scene}_{kind}.json").write_text(json.dumps(messages))


# (topic, nanoseconds, message); a message of bytes goes in as it is
Messages = Iterable[tuple[str, int, Any]]


@pytest.fixture
def write_mcap(tmp_path: Path) -> Callable[..., Path]:
    """Writes JSON messages as an MCAP; further arguments are those of ``mcap.writer.Writer``."""
    writing = pytest.importorskip("mcap.writer")

    def write(
        messages: Messages,
        name: str = "drive.mcap",
        *,
        metadata: Iterable[tuple[str, Mapping[str, str]]] = (),
        types: Mapping[str, str] | None = None,
        encoding: str = "json",
        schema: bool = True,
        **options: Any,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            writer = writing.Writer(file, **options)
            writer.start()
            channels: dict[str, int] = {}
            for topic, time_ns, message in messages:
                if topic not in channels:
                    kind = (types or {}).get(topic, "Any")
                    schema_id = writer.register_schema(kind, "jsonschema", b"{}") if schema else 0
                    channels[topic] = writer.register_channel(topic, encoding, schema_id)
                data = message if isinstance(message, bytes) else json.dumps(message).encode()
                writer.add_message(channels[topic], time_ns, data, time_ns)
            for record_name, content in metadata:
                writer.add_metadata(record_name, dict(content))
            writer.finish()
        return path

    return write


def speeds(
    seconds: float = 20.0, rate_hz: float = 10.0, start_ns: int = 10**18, topic: str = "/speed"
) -> list[tuple[str, int, Any]]:
    """A ramp: the speed is the time."""
    step = round(1e9 / rate_hz)
    return [
        (topic, start_ns + index * step, {"speed_mps": index / rate_hz})
        for index in range(round(seconds * rate_hz))
    ]


@pytest.fixture(name="speeds")
def _speeds() -> Callable[..., list[tuple[str, int, Any]]]:
    return speeds
