"""How long, and in how much memory, a release of nuScenes' size is extracted.

    python benchmarks/extract_metadata.py [--can] [--devkit] [--scenes 850]

Writes metadata as large as v1.0-trainval's (850 scenes, 34,149 samples, 2,631,083 rows of sample_data and of
ego_pose, 1,166,187 annotations; about 2 GB, in the release's own layout) to a temporary folder, extracts all
scenes, and prints seconds and memory beside the limits: 120 s and 4 GB on two cores. No pictures are there.
``--can`` adds CAN bus files at their real rates, ``--devkit`` opens the same tables with the devkit.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

SAMPLES, SAMPLE_DATA, ANNOTATIONS, INSTANCES = 34_149, 2_631_083, 1_166_187, 64_386
SCENES = 850
LIMIT_SECONDS, LIMIT_GB = 120.0, 4.0
SENSORS = (
    *(f"CAM_{one}" for one in ("FRONT", "FRONT_RIGHT", "FRONT_LEFT", "BACK", "BACK_LEFT", "BACK_RIGHT")),
    "LIDAR_TOP",
    *(f"RADAR_{one}" for one in ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "BACK_LEFT", "BACK_RIGHT")),
)
TABLES = (
    "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log",
    "scene", "sample", "sample_data", "sample_annotation", "map",
)  # fmt: skip
CATEGORIES = (
    "vehicle.car", "human.pedestrian.adult", "vehicle.truck", "movable_object.barrier", "vehicle.bus.rigid",
)  # fmt: skip
PLACES = ("boston-seaport", "singapore-onenorth", "singapore-queenstown", "singapore-hollandvillage")
RATES_HZ = {"CAM": 12.0, "LIDAR": 20.0, "RADAR": 13.0}
WORDS = (
    "Rain", "night", "turn left", "turn right", "bus", "many peds", "parked cars", "construction", "wait at",
    "intersection", "cyclist", "overtake", "narrow street", "after rain", "crosswalk", "truck", "roundabout",
)  # fmt: skip


def token(kind: int, number: int) -> str:
    return f"{kind:08x}{number:024x}"


class Table:
    """Rows in the layout of the release: a list, every key on a line of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file: IO[str] = (folder / f"{name}.json").open("w", buffering=1 << 20)
        self._file.write("[")
        self._first = True

    def add(self, row: dict[str, Any]) -> None:
        self.add_text(json.dumps(row, indent=0))

    def add_text(self, text: str) -> None:
        self._file.write(("\n" if self._first else ",\n") + text)
        self._first = False

    def close(self) -> None:
        self._file.write("\n]")
        self._file.close()


def write_release(root: Path, scenes: int) -> None:
    folder = root / "v1.0-trainval"
    folder.mkdir(parents=True)
    (root / "maps").mkdir()
    (root / "maps" / "a.png").write_bytes(b"")
    tables = {name: Table(folder, name) for name in TABLES}
    for number, name in enumerate(CATEGORIES):
        tables["category"].add({"token": token(1, number), "name": name, "description": name})
    for number, name in enumerate(SENSORS):
        kind = {"CAM": "camera", "LIDAR": "lidar", "RADAR": "radar"}[name.partition("_")[0]]
        tables["sensor"].add({"token": token(2, number), "channel": name, "modality": kind})
    logs = max(1, scenes // 12)
    for number in range(logs):
        file = f"n015-2018-07-{number % 28 + 1:02d}-11-22-45+0800"
        row = {"token": token(3, number), "logfile": file, "vehicle": "n015", "date_captured": "2018-07-24"}
        tables["log"].add({**row, "location": PLACES[number % len(PLACES)]})
        for sensor in range(len(SENSORS)):
            mounted = {
                "translation": [1.7, 0.0, 1.5],
                "rotation": [1.0, 0.0, 0.0, 0.0],
                "camera_intrinsic": [],
            }
            row = {"token": token(4, number * 12 + sensor), "sensor_token": token(2, sensor)}
            tables["calibrated_sensor"].add({**row, **mounted})
    row = {"token": token(5, 0), "category": "semantic_prior", "filename": "maps/a.png"}
    tables["map"].add({**row, "log_tokens": [token(3, number) for number in range(logs)]})
    counter = {"data": 0, "annotation": 0, "instance": 0, "sample": 0}
    for scene in range(scenes):
        write_scene(tables, scene, scene % logs, counter)
    for table in tables.values():
        table.close()


def due(total: int, scene: int) -> int:
    """Rows of the first ``scene + 1`` of 850 scenes."""
    return round(total * (scene + 1) / SCENES)


def write_scene(tables: dict[str, Table], scene: int, log: int, counter: dict[str, int]) -> None:
    samples = list(range(counter["sample"], due(SAMPLES, scene)))
    counter["sample"] += len(samples)
    start = 1_530_000_000_000_000 + scene * 100_000_000
    words = ", ".join(WORDS[(scene * 7 + k * k * 3) % len(WORDS)] for k in range(2 + scene % 4))
    row = {"token": token(6, scene), "log_token": token(3, log), "nbr_samples": len(samples)}
    ends = {"first_sample_token": token(7, samples[0]), "last_sample_token": token(7, samples[-1])}
    tables["scene"].add({**row, **ends, "name": f"scene-{scene + 1:04d}", "description": words})
    for place, number in enumerate(samples):
        row = {
            "token": token(7, number),
            "timestamp": start + place * 500_000,
            "scene_token": token(6, scene),
        }
        before = token(7, number - 1) if place else ""
        after = token(7, number + 1) if number != samples[-1] else ""
        tables["sample"].add({**row, "prev": before, "next": after})
    write_sweeps(tables, scene, log, samples, start, counter)
    instances = list(range(counter["instance"], due(INSTANCES, scene)))
    counter["instance"] += len(instances)
    for number in instances:
        row = {"token": token(8, number), "category_token": token(1, number % 5), "nbr_annotations": 18}
        tables["instance"].add({**row, "first_annotation_token": "", "last_annotation_token": ""})
    for number in range(counter["annotation"], due(ANNOTATIONS, scene)):
        at = samples[number % len(samples)]
        tables["sample_annotation"].add_text(
            f'{{\n"token": "{token(9, number)}",\n"sample_token": "{token(7, at)}",\n'
            f'"instance_token": "{token(8, instances[number % len(instances)])}",\n"visibility_token": "4",\n'
            f'"attribute_tokens": [\n"cb5118da1ab342aa947717dc53544259"\n],\n"translation": [\n'
            f"{400 + number % 90}.123,\n{1100 + number % 70}.657,\n1.109\n],\n"
            f'"size": [\n0.621,\n0.669,\n1.642\n],\n"rotation": [\n0.9831098797903927,\n0.0,\n0.0,\n'
            f'-0.18301629506281616\n],\n"prev": "",\n"next": "{token(9, number + 1)}",\n'
            f'"num_lidar_pts": 5,\n"num_radar_pts": 0\n}}'
        )
        counter["annotation"] = number + 1


def write_sweeps(
    tables: dict[str, Table], scene: int, log: int, samples: list[int], start: int, counter: dict[str, int]
) -> None:
    """Keyframes and sweeps of all sensors, on a bend; as many rows as are due."""
    last = due(SAMPLE_DATA, scene)
    total = last - counter["data"]
    rates = [RATES_HZ[name.partition("_")[0]] for name in SENSORS]
    speed, turn = 3.0 + scene % 9, 0.02 * (scene % 7 - 3)
    for sensor, (name, rate) in enumerate(zip(SENSORS, rates, strict=True)):
        is_last = sensor == len(SENSORS) - 1
        count = last - counter["data"] if is_last else round(total * rate / sum(rates))
        for place in range(count):
            number, seconds = counter["data"], place * 0.5 * len(samples) / count
            counter["data"] += 1
            keyframe = place * len(samples) // count
            is_key = place == 0 or (place - 1) * len(samples) // count != keyframe
            stamp = start + round(seconds * 1e6)
            own = token(10, number)
            before = token(10, number - 1) if place else ""
            after = token(10, number + 1) if place < count - 1 else ""
            tables["sample_data"].add_text(
                f'{{\n"token": "{own}",\n"sample_token": "{token(7, samples[keyframe])}",\n'
                f'"ego_pose_token": "{own}",\n"calibrated_sensor_token": "{token(4, log * 12 + sensor)}",\n'
                f'"timestamp": {stamp},\n"fileformat": "jpg",\n"is_key_frame": {str(is_key).lower()},\n'
                f'"height": 900,\n"width": 1600,\n"filename": "{"samples" if is_key else "sweeps"}/{name}/'
                f'n015-2018-07-24-11-22-45+0800__{name}__{stamp}.jpg",\n'
                f'"prev": "{before}",\n"next": "{after}"\n}}'
            )
            half, way = turn * seconds / 2, speed * seconds
            tables["ego_pose"].add_text(
                f'{{\n"token": "{own}",\n"timestamp": {stamp},\n"rotation": [\n{math.cos(half)},\n'
                f'0.0020341655,\n0.0103131258,\n{math.sin(half)}\n],\n"translation": [\n'
                f"{411.3 + way * math.cos(half)},\n{1180.8 + way * math.sin(half)},\n0.0\n]\n}}"
            )


def write_can(root: Path, scenes: int) -> None:
    """Files at the rates of the expansion, the same content for every scene but for the times."""
    folder = root / "can_bus"
    folder.mkdir()
    three, turned = [-0.5754005977462526, -0.21511667861912834, 10.015971965254076], [0.57, 0.0, 0.0, -0.82]
    monitor = "brake steering steering_speed throttle vehicle_speed yaw_rate left_signal right_signal"
    zoe = "FL_wheel_speed FR_wheel_speed RL_wheel_speed RR_wheel_speed meanEffTorque regen steer_corrected"
    pose = {"accel": three, "orientation": turned, "pos": three, "rotation_rate": three, "vel": three}
    kinds: dict[str, tuple[int, dict[str, Any]]] = {
        "pose": (50, pose),
        "ms_imu": (100, {"linear_accel": three, "q": turned, "rotation_rate": three}),
        "steeranglefeedback": (100, {"value": 0.04712388980384372}),
        "vehicle_monitor": (2, dict.fromkeys(monitor.split(), 3.25)),
        "zoesensors": (800, {"brake_sensor": 0.172, "steering_sensor": 0.21, "throttle_sensor": 0.105}),
        "zoe_veh_info": (100, dict.fromkeys([*zoe.split(), "longitudinal_accel", "odom_speed"], 282.9345)),
    }
    for scene in range(scenes):
        start = 1_530_000_000_000_000 + scene * 100_000_000
        for kind, (rate, message) in kinds.items():
            rows = [{**message, "utime": start + round(k * 1e6 / rate)} for k in range(20 * rate)]
            (folder / f"scene-{scene + 1:04d}_{kind}.json").write_text(json.dumps(rows))


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds of wall time and of a processor, GB at the most."""
    begin = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    unit = 1024 if sys.platform == "linux" else 1
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--can", action="store_true")
    parser.add_argument("--devkit", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "nuscenes"
        write_release(root, options.scenes)
        if options.can:
            write_can(root, options.scenes)
        size = sum(path.stat().st_size for path in (root / "v1.0-trainval").iterdir()) / 1e9
        print(f"{options.scenes} scenes, {size:.2f} GB of tables, {os.cpu_count()} cores")
        command = [sys.executable, "-m", "multimodal_search", "extract", "--dataroot", str(root)]
        seconds, busy, gigabytes = measured([*command, "--output-dir", f"{folder}/out"])
        print(f"extract: {seconds:.1f} s (limit {LIMIT_SECONDS:.0f}), of which a processor {busy:.1f} s")
        print(f"memory: {gigabytes:.2f} GB (limit {LIMIT_GB:.0f})")
        if options.devkit:
            code = "import sys, nuscenes.nuscenes as n; n.NuScenes('v1.0-trainval', sys.argv[1], False)"
            seconds, busy, gigabytes = measured([sys.executable, "-c", code, str(root)])
            print(f"the devkit's tables alone: {seconds:.1f} s ({busy:.1f} s), {gigabytes:.2f} GB")


if __name__ == "__main__":
    main()
