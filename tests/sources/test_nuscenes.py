"""nuScenes through the real devkit: real tables where they are, small ones written here for the rest."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("nuscenes", reason="the extra 'nuscenes' is not installed")

from multimodal_search.errors import DataError, SettingsError, SkipInput
from multimodal_search.sources.nuscenes import NuScenesSource
from multimodal_search.sources.nuscenes_devkit import TABLES

START_US = 1_532_402_927_000_000
SPEED_MPS, YAW_RATE = 8.0, 0.1
Tables = dict[str, list[dict[str, Any]]]


def tables(scenes: int = 2, keyframes: int = 11, names: str = "scene-9{:03d}") -> Tables:
    """Cars on a circle: two cameras and a LiDAR, keyframes every half second."""
    sensors = {"CAM_FRONT": "camera", "CAM_BACK": "camera", "LIDAR_TOP": "lidar"}
    result: Tables = {name: [] for name in TABLES}
    result["sensor"] = [{"token": one, "channel": one, "modality": kind} for one, kind in sensors.items()]
    result["calibrated_sensor"] = [
        {"token": f"c-{one}", "sensor_token": one, "translation": [0, 0, 0], "rotation": [1, 0, 0, 0]}
        for one in sensors
    ]
    result["log"] = [
        {
            "token": f"log-{index}",
            "logfile": f"n015-2018-07-24-11-22-4{index}+0800",
            "vehicle": "n015",
            "date_captured": "2018-07-24",
            "location": "singapore-onenorth",
        }
        for index in range(scenes)
    ]
    result["map"] = [
        {"token": "map", "filename": "maps/a.png", "log_tokens": [one["token"] for one in result["log"]]}
    ]
    for scene in range(scenes):
        tokens = [f"s-{scene}-{index}" for index in range(keyframes)]
        result["scene"].append(
            {
                "token": f"scene-{scene}",
                "name": names.format(scene),
                "description": f"Turn left, scene {scene}",
                "log_token": f"log-{scene}",
                "nbr_samples": keyframes,
                "first_sample_token": tokens[0],
                "last_sample_token": tokens[-1],
            }
        )
        for index, token in enumerate(tokens):
            seconds = index / 2
            result["sample"].append(
                {
                    "token": token,
                    "timestamp": START_US + scene * 60_000_000 + int(seconds * 1e6),
                    "scene_token": f"scene-{scene}",
                    "prev": tokens[index - 1] if index else "",
                    "next": tokens[index + 1] if index + 1 < keyframes else "",
                }
            )
            for sensor, kind in sensors.items():
                add_sample_data(result, token, sensor, kind, scene, seconds)
    return result


def add_sample_data(result: Tables, sample: str, sensor: str, kind: str, scene: int, seconds: float) -> None:
    timestamp = START_US + scene * 60_000_000 + int(seconds * 1e6)
    angle = YAW_RATE * seconds + 3.0  # passes through pi
    radius = SPEED_MPS / YAW_RATE
    token = f"{sensor}-{sample}"
    result["ego_pose"].append(
        {
            "token": token,
            "timestamp": timestamp,
            "rotation": [math.cos(angle / 2), 0, 0, math.sin(angle / 2)],
            "translation": [1000 + radius * math.sin(angle), 500 - radius * math.cos(angle), 0],
        }
    )
    suffix = "png" if kind == "camera" else "pcd.bin"
    result["sample_data"].append(
        {
            "token": token,
            "sample_token": sample,
            "ego_pose_token": token,
            "calibrated_sensor_token": f"c-{sensor}",
            "timestamp": timestamp,
            "is_key_frame": True,
            "filename": f"samples/{sensor}/{scene}-{seconds}.{suffix}",
            "prev": "",
            "next": "",
        }
    )


@pytest.fixture
def tree(tmp_path: Path, picture: Callable[[Path], None]) -> Callable[..., Path]:
    def write(content: Tables, *, version: str = "v1.0-mini", images: bool = True) -> Path:
        root = tmp_path / "nuscenes"
        (root / version).mkdir(parents=True)
        for name, rows in content.items():
            (root / version / f"{name}.json").write_text(json.dumps(rows))
        picture(root / "maps" / "a.png")
        for row in content.get("sample_data", []) if images else []:
            if row["filename"].endswith("png"):
                picture(root / row["filename"])
        return root

    return write


def write_can(root: Path, scene: str, kind: str, messages: Any) -> None:
    (root / "can_bus").mkdir(exist_ok=True)
    (root / "can_bus" / f"{scene}_{kind}.json").write_text(json.dumps(messages))


def refused(root: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        NuScenesSource(root, **options).items()
    assert caught.value.remedy
    assert str(root) in str(caught.value)
    return str(caught.value)


def test_a_keyframe_is_an_item(tree: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    source = NuScenesSource(tree(tables()))
    items = source.items()
    assert len(items) == 22
    assert items == sorted(items, key=lambda item: (item.scene_id, item.timestamp_us))
    item = items[1]
    assert item.id == f"scene-9000/{START_US + 500_000}"
    assert item.text == ("Turn left, scene 0",)
    assert (item.location, item.group) == ("singapore-onenorth", "n015-2018-07-24-11-22-40+0800")
    assert item.image_path == item.images["CAM_FRONT"] == "samples/CAM_FRONT/0-0.5.png"
    assert set(item.images) == {"CAM_FRONT", "CAM_BACK"}
    assert source.image_file(item.image_path).is_file()
    assert item.metadata["sample_token"] == "s-0-1"
    assert item.metadata["local_hour"] == 11
    assert (source.kind, source.licence, source.failures) == ("nuscenes", "CC BY-NC-SA 4.0", [])
    assert source.official_splits is None, "the devkit does not know these scenes"
    assert limit == Image.MAX_IMAGE_PIXELS, "importing the devkit lifts Pillow's limit"
    assert capfd.readouterr().out == ""


def test_a_scene_is_an_item(tree: Callable[..., Path]) -> None:
    root = tree(tables())
    (root / "samples/CAM_FRONT/0-2.5.png").unlink()
    source = NuScenesSource(root, granularity="scene")
    first, second = source.items()
    assert (first.id, second.id) == ("scene-9000", "scene-9001")
    assert first.image_path == "samples/CAM_FRONT/0-2.0.png", "the nearest to the middle that is there"
    assert second.image_path == "samples/CAM_FRONT/1-2.5.png"
    series = source.series(first)
    assert series is not None
    assert series.values.shape == (51, 3)
    assert source.failures == []


def test_missing_images_are_counted_for_the_cameras_in_use(tree: Callable[..., Path]) -> None:
    root = tree(tables(), images=False)
    image = root / "samples/CAM_BACK/0-0.0.png"
    image.parent.mkdir(parents=True)
    image.touch()
    source = NuScenesSource(root)
    items = source.items()
    assert len(items) == 22
    assert items[0].images == {"CAM_BACK": "samples/CAM_BACK/0-0.0.png"}
    assert items[0].image_path is None
    assert len(source.failures) == 22
    assert source.failures[0].path == "samples/CAM_FRONT/0-0.0.png"
    everything = NuScenesSource(root, cameras=["all"])
    assert everything.items()[0].image_path == "samples/CAM_BACK/0-0.0.png"
    assert len(everything.failures) == 43


def test_signals_from_the_ego_poses(tree: Callable[..., Path]) -> None:
    source = NuScenesSource(tree(tables()), window_seconds=2.0)
    items = source.items()
    series = source.series(items[5])
    assert series is not None
    assert series.channels == ("speed_mps", "acceleration_mps2", "yaw_rate_radps")
    assert series.timestamps_seconds[[0, -1]] == pytest.approx([1.5, 3.5])
    np.testing.assert_allclose(series.values[:, 0], SPEED_MPS, rtol=0.01)
    np.testing.assert_allclose(series.values[:, 2], YAW_RATE, rtol=0.01)
    at_the_start = source.series(items[0])
    assert at_the_start is not None
    assert at_the_start.timestamps_seconds[[0, -1]] == pytest.approx([0, 1])


def test_signals_from_the_can_bus_in_si_units(tree: Callable[..., Path]) -> None:
    root = tree(tables(names="scene-000{}"))
    times = [START_US + step * 500_000 for step in range(-2, 14)]
    monitor = {"vehicle_speed": 36.0, "yaw_rate": 90.0, "steering": -180.0, "brake": 63, "throttle": 500}
    write_can(root, "scene-0000", "vehicle_monitor", [{"utime": time, **monitor} for time in times])
    pose = {"vel": [12.0, 0, 0], "accel": [-1.5, 0, 9.8], "rotation_rate": [0, 0, 0.25], "pos": [1, 2, 3]}
    write_can(root, "scene-0000", "pose", [{"utime": time, **pose} for time in times])
    write_can(
        root, "scene-0000", "steeranglefeedback", [{"utime": time, "value": 0.7} for time in times[::-1]]
    )
    source = NuScenesSource(root)
    with_can, without = source.items()[5], source.items()[16]
    series = source.series(with_can)
    assert series is not None
    assert series.channels == (
        "speed_mps",
        "acceleration_mps2",
        "yaw_rate_radps",
        "steering_rad",
        "brake",
        "throttle",
    )
    expected = [[12.0, -1.5, 0.25, 0.7, 0.5, 0.5]]
    np.testing.assert_allclose(series.values, np.repeat(expected, len(series.values), axis=0), atol=1e-9)
    assert series.timestamps_seconds[[0, -1]] == pytest.approx([0, 5]), "not beyond the scene"
    other = source.series(without)
    assert other is not None
    assert other.channels == series.channels, "one list for all scenes"
    assert np.isfinite(other.values[:, :3]).all()
    assert np.isnan(other.values[:, 3:]).all()


def test_vehicle_monitor_alone_gives_speed_and_steering(tree: Callable[..., Path]) -> None:
    root = tree(tables(scenes=1, names="scene-000{}"))
    monitor = {"vehicle_speed": 36.0, "yaw_rate": 90.0, "steering": -180.0, "brake": 126, "throttle": 0}
    messages = [{"utime": START_US + step * 500_000, **monitor} for step in range(11)]
    messages[3] = {"utime": START_US + 1_500_000}  # a message without its fields
    write_can(root, "scene-0000", "vehicle_monitor", messages)
    source = NuScenesSource(root)
    series = source.series(source.items()[5])
    assert series is not None
    np.testing.assert_allclose(series.values[:, 0], 10.0)
    np.testing.assert_allclose(series.values[:, 2], math.pi / 2)
    np.testing.assert_allclose(series.values[:, 3], -math.pi)
    assert np.abs(series.values[:, 1]).max() < 0.1, "the acceleration comes from the ego poses"


@pytest.mark.parametrize("content", ["{", "[]", "{}", "[1, 2]", '[{"utime": "x"}]'])
def test_a_damaged_can_file_falls_back_to_the_poses(
    tree: Callable[..., Path], content: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = tree(tables(scenes=1, names="scene-000{}"))
    (root / "can_bus").mkdir()
    (root / "can_bus" / "scene-0000_pose.json").write_text(content)
    source = NuScenesSource(root)
    with caplog.at_level(logging.WARNING, "multimodal_search"):
        series = source.series(source.items()[5])
    assert series is not None
    np.testing.assert_allclose(series.values[:, 0], SPEED_MPS, rtol=0.01)
    assert ("scene-0000" in caplog.text) == (content == "{")


def test_sweeps_are_used_where_the_table_has_them(tree: Callable[..., Path]) -> None:
    content = tables(scenes=1, keyframes=3)
    by_token = {row["token"]: row for row in content["sample_data"]}
    first = by_token["LIDAR_TOP-s-0-0"]
    previous = first
    for step in range(1, 10):
        add_sample_data(content, "s-0-0", "LIDAR_TOP", "lidar", 0, step * 0.05)
        sweep, pose = content["sample_data"][-1], content["ego_pose"][-1]
        sweep.update(token=f"sweep-{step}", ego_pose_token=f"sweep-{step}", is_key_frame=False)
        pose["token"] = f"sweep-{step}"
        previous["next"] = sweep["token"]
        previous = sweep
    previous["next"] = "LIDAR_TOP-s-0-1"
    source = NuScenesSource(tree(content))
    tokens = list(source._signals._pose_tokens(source._tables.scene[0]))
    assert len(tokens) == len(set(tokens)) == 12


def test_a_scene_without_any_pose_is_skipped_with_a_reason(tree: Callable[..., Path]) -> None:
    content = tables(scenes=2)
    for row in content["sample_data"]:
        if row["sample_token"].startswith("s-0"):
            del row["ego_pose_token"]
    source = NuScenesSource(tree(content))
    items = source.items()
    for _ in range(2):
        with pytest.raises(SkipInput, match="signals cannot be read"):
            source.series(items[0])
    assert source.series(items[-1]) is not None


def test_the_limit_counts_scenes(tree: Callable[..., Path]) -> None:
    assert {item.scene_id for item in NuScenesSource(tree(tables(3)), limit=2).items()} == {
        "scene-9000",
        "scene-9001",
    }


def test_an_unknown_camera_names_the_nearest(tree: Callable[..., Path]) -> None:
    with pytest.raises(SettingsError, match="did you mean 'CAM_FRONT'"):
        NuScenesSource(tree(tables()), cameras=["CAM_FRNT"]).items()


def test_official_splits_only_where_every_scene_is_known(tree: Callable[..., Path]) -> None:
    content = tables(2)
    content["scene"][0]["name"], content["scene"][1]["name"] = "scene-0061", "scene-0103"
    source = NuScenesSource(tree(content))
    assert source.official_splits == {"scene-0061": "train", "scene-0103": "val"}
    content["scene"][1]["name"] = "scene-0001"
    (source.root / "v1.0-mini" / "scene.json").write_text(json.dumps(content["scene"]))
    assert NuScenesSource(source.root).official_splits is None


def test_folders_that_are_not_there(tree: Callable[..., Path], tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none")
    root = tree(tables(), version="v1.0-trainval")
    message = refused(root)
    assert "present: v1.0-trainval" in message
    assert "--nuscenes-version v1.0-trainval" in message
    assert f"--nuscenes-path {root} --nuscenes-version v1.0-trainval" in refused(root / "v1.0-trainval")


def test_missing_tables_are_named(tree: Callable[..., Path]) -> None:
    content = tables()
    del content["visibility"], content["map"]
    message = refused(tree(content))
    assert "visibility.json, map.json" in message
    assert "v1.0-mini" in message


def change(name: str, edit: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Tables], None]:
    def apply(content: Tables) -> None:
        edit(content[name])

    return apply


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (change("map", list.clear), "map.json is empty"),
        (
            change("sample_data", lambda rows: rows[0].pop("calibrated_sensor_token")),
            "calibrated_sensor_token",
        ),
        (change("sample_data", lambda rows: rows[0].update(sample_token="gone")), "gone"),
        (change("map", lambda rows: rows[0].update(filename="maps/no.png")), "unpack maps/"),
        (change("sample", lambda rows: rows[0].update(next="gone")), "do not fit together"),
        (change("scene", lambda rows: rows[0].pop("description")), "do not fit together"),
        (change("sample_data", lambda rows: rows[0].update(filename="../../x.png")), "leaves"),
    ],
)
def test_tables_that_do_not_fit_together(
    tree: Callable[..., Path], edit: Callable[[Tables], None], said: str
) -> None:
    content = tables()
    edit(content)
    assert said in refused(tree(content))


def test_a_malformed_table_names_its_place(tree: Callable[..., Path]) -> None:
    root = tree(tables())
    (root / "v1.0-mini" / "ego_pose.json").write_text('[{"token": "a"},\n{"token" "b"}]')
    message = refused(root)
    assert "ego_pose.json" in message
    assert "line 2, column 10" in message


def test_keyframes_that_point_in_a_circle_end(tree: Callable[..., Path]) -> None:
    content = tables(1)
    content["sample"][-1]["next"] = "s-0-0"
    assert len(NuScenesSource(tree(content)).items()) == 11


def test_the_real_mini_version_downloaded_in_part(
    real_data: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    source = NuScenesSource(real_data / "nuscenes" / "v1.0-mini-rebuilt")
    items = source.items()
    assert len(items) == 404
    assert len({item.id for item in items}) == 404
    assert len({item.scene_id for item in items}) == 10
    assert sum(len(item.images) for item in items) == 44
    assert sum(item.image_path is not None for item in items) == 39
    assert len(source.failures) == 404 - 39
    assert len({item.group for item in items}) == 8
    assert items[0].id == "scene-0061/1532402927647951"
    assert items[0].text == ("Parked truck, construction, intersection, turn left, following a van",)
    splits = source.official_splits
    assert splits is not None
    assert sorted(name for name, split in splits.items() if split == "val") == ["scene-0103", "scene-0916"]
    for item in items[::13]:
        series = source.series(item)
        assert series is not None
        assert len(series.channels) == 6
        assert np.isfinite(series.values[:, :3]).mean() > 0.95
        assert np.nanmax(np.abs(series.values[:, 0])) < 30
    assert capfd.readouterr().out == ""
    assert not [one for one in recwarn if "Decompression" in str(one.category)]


def test_can_bus_and_ego_poses_tell_the_same_story(real_data: Path, tmp_path: Path) -> None:
    """The same scenes with the expansion hidden: speed and yaw rate must agree."""
    root = real_data / "nuscenes" / "v1.0-mini-rebuilt"
    hidden = tmp_path / "no_can_bus"
    hidden.mkdir()
    for name in ("v1.0-mini", "maps", "samples"):
        (hidden / name).symlink_to(root / name)
    with_can = NuScenesSource(root, granularity="scene", cameras=["all"])
    without = NuScenesSource(hidden, granularity="scene", cameras=["all"])
    for left, right in zip(with_can.items(), without.items(), strict=True):
        can, poses = with_can.series(left), without.series(right)
        assert can is not None
        assert poses is not None
        assert poses.channels == can.channels[:3]
        rows = min(len(can.values), len(poses.values))
        difference = np.abs(can.values[:rows, :3] - poses.values[:rows])
        assert np.nanmedian(difference[:, 0]) < 0.3
        assert np.nanmedian(difference[:, 2]) < 0.02


@pytest.mark.parametrize(
    ("folder", "version", "said"),
    [
        ("broken_converter_tables", "v1.0-mini", "category.json"),
        ("bevfusion_demo_one_sample", "v1.0-test", "instance.json, log.json"),
        ("bevfusion_demo_one_sample", "v1.0-mini", "present: v1.0-test"),
    ],
)
def test_real_trees_that_the_devkit_refuses(real_data: Path, folder: str, version: str, said: str) -> None:
    assert said in refused(real_data / "nuscenes" / folder, version=version)


def test_the_converters_tables_with_the_missing_ones_empty(
    real_data: Path, tree: Callable[..., Path]
) -> None:
    broken = real_data / "nuscenes" / "broken_converter_tables" / "v1.0-mini"
    content = {name: [] for name in TABLES} | {
        path.stem: json.loads(path.read_text()) for path in broken.glob("*.json")
    }
    assert "the devkit cannot read" in refused(tree(content, images=False)).lower()


def test_real_descriptions_stay_as_they_are(real_data: Path, data_dir: Callable[..., Path]) -> None:
    from multimodal_search.sources.extracted import ExtractedSource

    long = json.loads((real_data / "nuscenes/text/mmb4dl_generated_description_0_9.json").read_text("utf-8"))
    records = [
        {
            "scene_id": index,
            "description": row["description_front"],
            "image_path": "images/a.png",
        }
        for index, row in enumerate(long)
    ]
    items = ExtractedSource(data_dir(records)).items()
    assert [item.text for item in items] == [(row["description_front"].strip(),) for row in long]
