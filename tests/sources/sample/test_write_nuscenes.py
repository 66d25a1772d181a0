"""The nuScenes tree opens in the real devkit; its tables, boxes and CAN bus files agree with the world."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal_search.sources import sample
from multimodal_search.sources.sample import signals, texts, world
from multimodal_search.sources.sample.nuscenes_names import scene_names
from multimodal_search.sources.sample.view import CAMERAS
from multimodal_search.sources.sample.write_nuscenes import write_nuscenes

devkit = pytest.importorskip("nuscenes", reason="the extra nuscenes is not installed")
SCENES = 5


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nuscenes")
    return write_nuscenes(
        folder, scenes=SCENES, seed=0, cameras=("CAM_FRONT",), progress=False, keyframe_seconds=2.0
    )


@pytest.fixture(scope="module")
def tables(tree: Path) -> Any:
    return devkit.NuScenes("v1.0-mini", str(tree), verbose=False)


def test_scenes_have_names_descriptions_and_linked_keyframes(tables: Any) -> None:
    assert [scene["name"] for scene in tables.scene] == scene_names(SCENES)
    for scene, made in zip(tables.scene, world.make_scenes(SCENES, 0), strict=True):
        assert scene["description"] == texts.descriptions(made)[0]
        token, times = scene["first_sample_token"], []
        while token:
            one = tables.get("sample", token)
            times.append(one["timestamp"])
            token = one["next"]
        assert np.array(times).tolist() == [made.start_us + 2_000_000 * number for number in range(10)]
        assert tables.get("log", scene["log_token"])["location"] == made.location


def test_every_picture_of_the_tables_is_there(tables: Any, tree: Path) -> None:
    from PIL import Image

    for row in tables.sample_data:
        with Image.open(tree / row["filename"]) as image:
            assert image.size == (row["width"], row["height"])
        assert row["filename"].split("__")[1] == row["channel"]


def test_ego_poses_follow_the_signal(tables: Any) -> None:
    for scene, made in zip(tables.scene, world.make_scenes(SCENES, 0), strict=True):
        token, places = scene["first_sample_token"], []
        while token:
            one = tables.get("sample", token)
            data = tables.get("sample_data", one["data"]["CAM_FRONT"])
            places.append(tables.get("ego_pose", data["ego_pose_token"])["translation"])
            token = one["next"]
        steps = np.linalg.norm(np.diff(np.array(places), axis=0), axis=1)
        travelled = np.interp(
            np.arange(10) * 2.0, signals.make_drive(made).times, signals.make_drive(made).travelled
        )
        assert (steps <= np.diff(travelled) + 0.05).all()  # a chord is no longer than its arc
        assert steps.sum() > 0.75 * travelled[-1]


def test_boxes_project_onto_the_road_users_that_were_drawn(tables: Any) -> None:
    """At the keyframe next to the telling moment a named road user is inside the front picture."""
    from nuscenes.utils.geometry_utils import BoxVisibility

    for scene, made in zip(tables.scene, world.make_scenes(SCENES, 0), strict=True):
        keyframe = round(signals.make_drive(made).moment_seconds / 2.0)
        token = scene["first_sample_token"]
        for _ in range(keyframe):
            token = tables.get("sample", token)["next"]
        data = tables.get("sample", token)["data"]["CAM_FRONT"]
        _, boxes, _ = tables.get_sample_data(data, box_vis_level=BoxVisibility.ANY)
        assert boxes, made


def test_the_official_mini_split_applies_to_ten_scenes() -> None:
    from nuscenes.utils.splits import create_splits_scenes

    splits = create_splits_scenes()
    names = scene_names(10)
    assert sorted(names) == sorted([*splits["mini_train"], *splits["mini_val"]])


def test_larger_trees_have_official_names_with_whole_drives_on_one_side() -> None:
    from nuscenes.can_bus.can_bus_api import NuScenesCanBus
    from nuscenes.utils.splits import create_splits_scenes

    splits = create_splits_scenes()
    names = scene_names(1000)
    assert len(set(names)) == 1000
    assert names[:300] == scene_names(300)
    known = names[:780]
    val = [name in set(splits["val"]) for name in known]
    assert all(name in set(splits["train"]) or name in set(splits["val"]) for name in known)
    assert 0.12 < np.mean(val) < 0.2
    for start in range(10, 780, 5):
        assert len(set(val[start : start + 5])) == 1
    blocked = {161, 162, 163, 164, 165, 166, 167, 168, 170, 171, 172, 173, 174, 175, 176}
    assert not blocked & {int(name[-4:]) for name in names}
    assert NuScenesCanBus is not None


def test_can_bus_files_have_official_fields_units_and_rates(tree: Path) -> None:
    from nuscenes.can_bus.can_bus_api import NuScenesCanBus

    can = NuScenesCanBus(str(tree))
    for name, scene in zip(scene_names(SCENES), world.make_scenes(SCENES, 0), strict=True):
        drive = signals.make_drive(scene)
        rates = {
            "pose": 50,
            "vehicle_monitor": 2,
            "steeranglefeedback": 100,
            "zoe_veh_info": 100,
            "ms_imu": 100,
        }
        for kind, rate in rates.items():
            rows = can.get_messages(name, kind)
            seconds = (np.array([row["utime"] for row in rows]) - scene.start_us) / 1e6
            assert len(rows) == 20 * rate
            assert (np.diff(seconds) > 0).all()
            assert 0 <= seconds[0] < seconds[-1] < 20
        monitor = can.get_messages(name, "vehicle_monitor")
        seconds = (np.array([row["utime"] for row in monitor]) - scene.start_us) / 1e6
        expected = np.interp(seconds, drive.times, drive.speed)
        np.testing.assert_allclose([row["vehicle_speed"] / 3.6 for row in monitor], expected, atol=0.05)
        steering = np.interp(seconds, drive.times, drive.steering)
        np.testing.assert_allclose([math.radians(row["steering"]) for row in monitor], steering, atol=0.05)
        assert all(0 <= row["brake"] <= 126 and 0 <= row["throttle"] <= 1000 for row in monitor)
        pose = can.get_messages(name, "pose")
        assert set(pose[0]) == {"accel", "orientation", "pos", "rotation_rate", "utime", "vel"}
        moved = np.linalg.norm(np.array(pose[-1]["pos"]) - np.array(pose[0]["pos"]))
        assert moved <= drive.travelled[-1] + 0.1
        meta = can.get_messages(name, "meta")
        assert meta["pose"]["message_count"] == 1000
        assert np.array(can.get_messages(name, "route")).shape[1] == 2


def test_six_cameras_and_a_resumed_run(tmp_path: Path) -> None:
    cameras = tuple(CAMERAS)
    folder = write_nuscenes(
        tmp_path, scenes=1, seed=1, cameras=cameras, progress=False, keyframe_seconds=10.0
    )
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    assert len(before) == 12
    lost = sorted(before)[3]
    lost.unlink()
    write_nuscenes(tmp_path, scenes=1, seed=1, cameras=cameras, progress=False, keyframe_seconds=10.0)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    assert set(after) == set(before)
    assert [path for path in before if after[path] != before[path]] == [lost]
    found = devkit.NuScenes("v1.0-mini", str(folder), verbose=False)
    assert set(found.sample[0]["data"]) == set(cameras)


def test_write_reaches_the_nuscenes_writer(tmp_path: Path) -> None:
    folder = sample.write("nuscenes", tmp_path, scenes=1, seed=0, progress=False)
    assert len(list((folder / "samples" / "CAM_FRONT").glob("*.jpg"))) == 40
