"""Streamed tables hold what the devkit's do; where tables do not agree, the token is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.extraction import nuscenes_rows
from multimodal_search.extraction.nuscenes_release import Release
from multimodal_search.extraction.nuscenes_rows import stream_rows
from multimodal_search.sources import sample

from .conftest import Tables, release

Write = Callable[..., Path]


def refused(root: Path, version: str = "v1.0-mini") -> str:
    with pytest.raises(DataError) as caught:
        Release(root, version, ["CAM_FRONT"])
    assert caught.value.remedy
    assert caught.value.where
    return str(caught.value)


def same_as_devkit(root: Path, version: str, cameras: list[str]) -> None:
    devkit = pytest.importorskip("nuscenes.nuscenes", reason="the extra 'nuscenes' is not installed")
    theirs = devkit.NuScenes(version=version, dataroot=str(root), verbose=False)
    ours = Release(root, version, cameras)
    assert [scene.name for scene in ours.scenes] == [scene["name"] for scene in theirs.scene]
    for scene, row in zip(ours.scenes, theirs.scene, strict=True):
        assert scene.log == {
            key: value for key, value in theirs.get("log", row["log_token"]).items() if key != "map_token"
        }
        samples, token = [], row["first_sample_token"]
        while token:
            samples.append(theirs.get("sample", token))
            token = samples[-1]["next"]
        assert scene.samples == [one["token"] for one in samples]
        assert scene.timestamps_us == [one["timestamp"] for one in samples]
        for camera in ours.cameras:
            files = [theirs.get("sample_data", one["data"][camera])["filename"] for one in samples]
            assert scene.pictures[camera] == files
        sensor = "LIDAR_TOP" if "LIDAR_TOP" in samples[0]["data"] else "CAM_FRONT"
        data = [theirs.get("sample_data", one["data"][sensor]) for one in samples]
        poses = [theirs.get("ego_pose", one["ego_pose_token"]) for one in data]
        where = {int(time): pose for time, pose in zip(scene.pose_times_us, scene.poses, strict=True)}
        for pose in poses:
            np.testing.assert_array_equal(where[pose["timestamp"]], [*pose["translation"], *pose["rotation"]])
        instances = {
            theirs.get("sample_annotation", token)["instance_token"]
            for one in samples
            for token in one["anns"]
        }
        assert sum(scene.objects.values()) == len(instances)


def test_a_small_release_is_read_as_the_devkit_reads_it(write_release: Write) -> None:
    same_as_devkit(write_release(release()), "v1.0-mini", ["all"])


def test_the_sample_release_is_read_as_the_devkit_reads_it(tmp_path: Path) -> None:
    sample.write("nuscenes", tmp_path, scenes=3, seed=1, cameras=("CAM_FRONT", "CAM_BACK"))
    same_as_devkit(tmp_path, next(tmp_path.glob("v1.0-*")).name, ["CAM_FRONT"])


def test_the_real_release_is_read_as_the_devkit_reads_it(real_data: Path) -> None:
    same_as_devkit(real_data / "nuscenes" / "v1.0-mini-rebuilt", "v1.0-mini", ["all"])


def test_what_is_in_front_is_seen_from_the_car(write_release: Write) -> None:
    scene = Release(write_release(release()), "v1.0-mini", ["CAM_FRONT"]).scenes[0]
    assert scene.objects == {"bus": 1}
    assert {category for _, category in scene.ahead.values()} == {"bus"}
    np.testing.assert_allclose([metres for metres, _ in scene.ahead.values()], 10.0)
    assert len(scene.ahead) == 11


def change(table: str, row: int, **values: Any) -> Callable[[Tables], None]:
    def apply(content: Tables) -> None:
        content[table][row].update(values)

    return apply


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (change("scene", 0, log_token="gone"), ("scene.json", "'t-0'", "log_token 'gone'", "log.json")),
        (change("scene", 0, first_sample_token="gone"), ("scene.json", "'gone'", "sample.json")),
        (change("scene", 1, name="scene-0001"), ("scene-0001", "twice")),
        (change("sample", 2, scene_token="gone"), ("sample.json", "'s-0-2'", "'gone'", "scene.json")),
        (change("sample", 2, timestamp="noon"), ("sample.json", "'s-0-2'", "timestamp")),
        (change("sample_data", 3, sample_token="gone"), ("sample_data.json", "'gone'", "sample.json")),
        (change("sample_data", 4, calibrated_sensor_token="gone"), ("'gone'", "calibrated_sensor.json")),
        (change("calibrated_sensor", 0, sensor_token="gone"), ("'c-CAM_FRONT'", "'gone'", "sensor.json")),
        (change("ego_pose", 2, rotation=[1, 0, 0]), ("ego_pose.json", "'LIDAR_TOP-s-0-0'", "rotation")),
        (change("ego_pose", 2, translation=None), ("ego_pose.json", "'LIDAR_TOP-s-0-0'", "translation")),
        (change("instance", 0, category_token="gone"), ("instance.json", "'i-0'", "category.json")),
        (change("sample_annotation", 0, instance_token="gone"), ("'a-s-0-0'", "'gone'", "instance.json")),
        (change("sample_annotation", 0, sample_token="gone"), ("'a-s-0-0'", "'gone'", "sample.json")),
        (lambda content: content["sample"][1].pop("scene_token"), ("sample.json", "'s-0-1'", "scene_token")),
        (lambda content: content["scene"].clear(), ("scene.json is empty",)),
    ],
)
def test_tables_that_do_not_agree_name_the_token(
    write_release: Write, edit: Callable[[Tables], Any], said: tuple[str, ...]
) -> None:
    content = release()
    edit(content)
    message = refused(write_release(content))
    for one in said:
        assert one in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{}", "holds no list"),
        ('[{"token": "a"}, 3]', "Record 1 of sample.json is no object"),
        ('[{"token": "a"},\n{"token" "b"}]', "not valid JSON: Expecting ':' delimiter, in record 1"),
        ('[{"token": "a"}, {"tok', "ends in the middle, after 1 whole records"),
        ('[{"token": "a"}', "ends in the middle, after 1 whole records"),
    ],
)
def test_a_damaged_table_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "sample.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        list(stream_rows(path))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_tables_that_are_missing_are_named(write_release: Write) -> None:
    root = write_release(release())
    for name in ("sample", "sensor"):
        (root / "v1.0-mini" / f"{name}.json").unlink()
    assert "lacks sample.json, sensor.json" in refused(root)


def test_tables_that_are_not_needed_may_be_missing(write_release: Write) -> None:
    root = write_release(release())
    for name in ("log", "ego_pose", "sample_annotation", "visibility", "map"):
        (root / "v1.0-mini" / f"{name}.json").unlink()
    made = Release(root, "v1.0-mini", ["CAM_FRONT"])
    assert (made.has_annotations, made.scenes[0].log, made.scenes[0].poses_missing) == (False, {}, 22)


def test_an_unknown_camera_names_the_nearest(write_release: Write) -> None:
    with pytest.raises(SettingsError, match="did you mean 'CAM_FRONT'"):
        Release(write_release(release()), "v1.0-mini", ["CAM_FRNT"])


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.lists(st.integers())
)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=8),
    st.integers(1, 9),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
@settings(max_examples=150)
def test_rows_come_out_as_json_has_them_wherever_the_blocks_end(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Any],
    block: int,
    indent: int | None,
    ascii_only: bool,
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.json"
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    path.write_text(text.encode("utf-8", "replace").decode(), encoding="utf-8")
    rows = json.loads(path.read_text(encoding="utf-8"))
    before = nuscenes_rows._CHUNK_CHARACTERS
    nuscenes_rows._CHUNK_CHARACTERS = block
    try:
        assert list(stream_rows(path)) == rows
    finally:
        nuscenes_rows._CHUNK_CHARACTERS = before
