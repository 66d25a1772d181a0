"""``extract`` on nuScenes: what is written, which scenes, which signals, and what it says of bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal_search.cli import main
from multimodal_search.extraction.nuscenes_choice import coverage, spread
from multimodal_search.extraction.nuscenes_facts import Facts, ego_columns, signals
from multimodal_search.extraction.nuscenes_release import Release
from multimodal_search.sources.extracted import ExtractedSource
from multimodal_search.sources.nuscenes_can import CanBus

from .conftest import SPEED_MPS, START_US, YAW_RATE, release, write_can

Write = Callable[..., Path]


def extract(root: Path, out: Path, *flags: str) -> list[dict[str, Any]]:
    assert main(["extract", "--dataroot", str(root), "--output-dir", str(out), *flags]) == 0
    return list(json.loads((out / "scenes_metadata.json").read_text()))


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert main(["extract", *flags]) == 2
    said = capsys.readouterr().err
    assert "to do:" in said
    assert "Traceback" not in said
    return said


def test_a_scene_is_written_whole(write_release: Write, tmp_path: Path) -> None:
    root = write_release(release())
    out = tmp_path / "out"
    records = extract(root, out, "--cameras", "CAM_FRONT,CAM_BACK")
    assert [one["scene_id"] for one in records] == ["scene-0001", "scene-0002", "scene-0003"]
    first = records[0]
    assert first["description"] == "Turn left, rain"
    assert first["images"] == {"CAM_FRONT": "images/CAM_FRONT/0-5.jpg", "CAM_BACK": "images/CAM_BACK/0-5.jpg"}
    assert first["image_path"] == first["images"]["CAM_FRONT"]
    original = root / "samples" / "CAM_BACK" / "0-5.jpg"
    assert (out / first["images"]["CAM_BACK"]).read_bytes() == original.read_bytes()
    assert (first["location"], first["timestamp"]) == ("place-0", START_US)
    assert first["log"] == "n015-2018-07-24-11-22-40+0800"
    known = first["metadata"]
    assert known["vehicle"] == "n015"
    assert (known["daytime"], known["weather"]) == ("noon", "rain")
    assert known["mean_speed_mps"] == pytest.approx(SPEED_MPS, rel=0.01)
    assert known["max_speed_mps"] == pytest.approx(SPEED_MPS, rel=0.01)
    assert known["objects.bus"] == 1
    assert (known["signals"], known["picture_seconds"]) == ("ego_pose", 2.5)
    assert records[1]["metadata"]["daytime"] == "night"
    assert records[2]["metadata"]["weather"] == "after rain"
    assert "description_source" not in known


def test_training_reads_what_was_written(write_release: Write, tmp_path: Path) -> None:
    extract(write_release(release()), tmp_path / "out")
    source = ExtractedSource(tmp_path / "out")
    item = source.items()[0]
    series = source.series(item)
    assert series is not None
    assert series.channels == ("speed_mps", "acceleration_mps2", "yaw_rate_radps")
    assert series.timestamps_seconds[[0, -1]] == pytest.approx([0.0, 5.0])
    np.testing.assert_allclose(series.values[:, 0], SPEED_MPS, rtol=0.01)
    np.testing.assert_allclose(series.values[:, 2], YAW_RATE, rtol=0.01)
    assert item.image_path is not None
    assert source.image_file(item.image_path).is_file()
    assert source.failures == []


def test_the_can_bus_comes_first_and_gaps_are_marked(write_release: Write, tmp_path: Path) -> None:
    root = write_release(release())
    times = [START_US + step * 100_000 for step in range(51) if not 15 <= step <= 40]
    pose = {"vel": [12.0, 0, 0], "accel": [-1.5, 0.5, 9.8], "rotation_rate": [0, 0, 0.25], "pos": [1, 2, 3]}
    write_can(
        root, "scene-0001", "pose", [{"utime": time, "orientation": [1, 0, 0, 0], **pose} for time in times]
    )
    write_can(root, "scene-0001", "zoe_veh_info", [{"utime": time, "FL_wheel_speed": 99.0} for time in times])
    records = extract(root, tmp_path / "out")
    layout = json.loads((tmp_path / "out/timeseries/channels.json").read_text())
    names = layout["channels"]
    assert len(layout["units"]) == len(names)
    assert not {"position_x_m", "heading_rad", "battery_percent", "solar_left"} & set(names)
    table = np.load(tmp_path / "out" / "timeseries" / "scene-0001.npy")
    speed, wheel = table[:, names.index("speed_mps")], table[:, names.index("wheel_front_left_rpm")]
    assert (speed[:14] == 12.0).all()
    assert np.isnan(speed[17:39]).all(), "a hole of 2.6 s stays a hole"
    assert (wheel[:14] == 99.0).all()
    other = np.load(tmp_path / "out" / "timeseries" / "scene-0002.npy")
    assert other.shape == (51, len(names))
    np.testing.assert_allclose(other[:, names.index("speed_mps")], SPEED_MPS, rtol=0.01)
    assert np.isnan(other[:, names.index("wheel_front_left_rpm")]).all()
    assert [one["metadata"]["signals"] for one in records[:2]] == ["can_bus", "ego_pose"]


def test_all_channels_only_when_asked(write_release: Write, tmp_path: Path) -> None:
    root = write_release(release())
    extract(root, tmp_path / "all", "--keep-all-channels", "--rate-hz", "4")
    layout = json.loads((tmp_path / "all/timeseries/channels.json").read_text())
    assert layout["rate_hz"] == 4.0
    assert layout["channels"][3:] == ["position_x_m", "position_y_m", "position_z_m", "heading_rad"]
    table = np.load(tmp_path / "all" / "timeseries" / "scene-0001.npy")
    assert table.shape == (21, 7)
    heading = table[:, 6]
    np.testing.assert_allclose(np.diff(heading), YAW_RATE / 4, atol=1e-6)
    source = ExtractedSource(tmp_path / "all")
    series = source.series(source.items()[0])
    assert series is not None
    assert series.channels == ("speed_mps", "acceleration_mps2", "yaw_rate_radps"), "training leaves them out"
    extract(root, tmp_path / "none", "--no-include-timeseries")
    assert not (tmp_path / "none" / "timeseries").exists()


def test_scenes_without_can_bus_are_listed(
    write_release: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = release()
    content["scene"][0]["name"], content["scene"][1]["name"] = "scene-0161", "scene-0071"
    root = write_release(content)
    messages = [{"utime": START_US + step * 500_000, "value": 0.1} for step in range(11)]
    write_can(root, "scene-0161", "steeranglefeedback", messages)
    records = extract(root, tmp_path / "out")
    said = capsys.readouterr().out
    assert "recorded without CAN bus, signals are of the ego poses (1): scene-0161" in said
    assert "scene-0071" in said.partition("off the planned route")[2]
    assert {one["metadata"]["signals"] for one in records} == {"ego_pose"}


def test_a_partial_download_loses_nothing_and_is_completed_later(
    write_release: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = write_release(release()), tmp_path / "out"
    for path in (root / "samples" / "CAM_FRONT").glob("1-*"):
        shutil.move(path, tmp_path / path.name)
    (root / "samples" / "CAM_FRONT" / "2-5.jpg").write_bytes(b"")  # the download was cut here
    records = extract(root, out)
    assert [one["image_path"] is not None for one in records] == [True, False, False]
    said = capsys.readouterr().out
    assert "failures.jsonl (2); the first:" in said
    assert "scene-0002: image missing (samples/CAM_FRONT/1-5.jpg)" in said
    assert len(ExtractedSource(out).items()) == 3, "text and signal are there"
    for path in tmp_path.glob("1-*.jpg"):
        shutil.move(path, root / "samples" / "CAM_FRONT" / path.name)
    records = extract(root, out)
    assert [one["image_path"] is not None for one in records] == [True, True, False]
    assert [json.loads(one)["id"] for one in (out / "failures.jsonl").read_text().splitlines()] == [
        "scene-0003"
    ]


def test_scenes_with_pictures_are_chosen_first(
    write_release: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_release(release(scenes=4))
    for path in (root / "samples" / "CAM_FRONT").glob("[01]-*"):
        path.unlink()
    records = extract(root, tmp_path / "out", "--num-scenes", "2")
    assert [one["scene_id"] for one in records] == ["scene-0003", "scene-0004"]
    assert "2 of 4 scenes have a picture here" in caplog.text
    assert len(extract(root, tmp_path / "more", "--num-scenes", "3")) == 3


def test_a_scene_with_neither_picture_nor_signal_is_left_out_and_listed(
    write_release: Write, tmp_path: Path
) -> None:
    content = release()
    content["ego_pose"] = [row for row in content["ego_pose"] if "-s-0-" not in row["token"]]
    root = write_release(content)
    for path in (root / "samples" / "CAM_FRONT").glob("0-*"):
        path.unlink()
    records = extract(root, tmp_path / "out")
    assert [one["scene_id"] for one in records] == ["scene-0002", "scene-0003"]
    reasons = [
        json.loads(one)["reason"] for one in (tmp_path / "out/failures.jsonl").read_text().splitlines()
    ]
    assert any("22 ego poses are in no row of ego_pose.json: " in one for one in reasons)
    assert any("left out" in one for one in reasons)


def test_stamps_that_cannot_be_end_nothing(write_release: Write, tmp_path: Path) -> None:
    content = release()
    content["sample"][0]["timestamp"] = 0
    content["ego_pose"][41]["translation"] = [float("nan"), 0, 0]
    content["ego_pose"][50]["timestamp"] += 10**15
    records = extract(write_release(content), tmp_path / "out")
    assert len(records) == 3
    (reason,) = [
        json.loads(one)["reason"] for one in (tmp_path / "out/failures.jsonl").read_text().splitlines()
    ]
    assert "are the timestamps in microseconds?" in reason
    table = np.load(tmp_path / "out" / "timeseries" / "scene-0002.npy")
    np.testing.assert_allclose(table[:, 0], SPEED_MPS, rtol=0.02)


def test_more_scenes_are_added_to_fewer(
    write_release: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = write_release(release(scenes=5)), tmp_path / "out"
    first = extract(root, out, "--num-scenes", "2", "--diverse")
    stamp = (out / first[0]["image_path"]).stat().st_mtime_ns
    both = extract(root, out, "--num-scenes", "4", "--diverse")
    assert [one for one in both if one in first] == first
    assert len(both) == 4
    assert (out / first[0]["image_path"]).stat().st_mtime_ns == stamp, "written once"
    capsys.readouterr()
    assert len(extract(root, out, "--num-scenes", "2", "--diverse")) == 4
    assert "4 scenes are there from earlier runs; 2 were asked for" in capsys.readouterr().out
    assert "diverse was True, is False" in refused(
        capsys, "--dataroot", str(root), "--output-dir", str(out), "--num-scenes", "2"
    )
    assert len(extract(root, out, "--num-scenes", "2", "--overwrite")) == 2


def facts(count: int) -> list[Facts]:
    """Mostly alike; a few of each rare kind."""
    rare = {
        7: ("tokyo", "noon", "", ()),
        19: ("boston", "night", "Night, fog", ("fog",)),
        33: ("boston", "noon", "Rain", ("rain",)),
    }
    made = []
    for index in range(count):
        place, time, text, weather = rare.get(index, ("boston", "noon", f"Parked cars, bus {index % 3}", ()))
        made.append(Facts(f"scene-{index:04d}", text, place, time, 12, weather, (), 5.0, 9.0))
    return made


def test_diverse_scenes_cover_what_is_rare() -> None:
    known = facts(40)
    picked = spread(known, 6, seed=0)
    assert {7, 19, 33} <= set(picked)
    assert len(set(picked)) == 6
    assert spread(known, 3, seed=0) == picked[:3], "fewer are the first of more"
    assert spread(known, 6, seed=0) == picked
    assert sorted(spread(known, 100, seed=3)) == list(range(40))
    report = coverage(known, picked, diverse=True)
    assert "place 2 of 2, time of day 2 of 2, weather 3 of 3" in report
    assert "time of day 1 of 2" in coverage(known, range(6), diverse=False)


@pytest.mark.parametrize("texts", [[""] * 5, ["雨の夜、左折", "晴れ", "", "雪", "雪"]])
def test_diverse_without_or_with_other_words(texts: list[str]) -> None:
    known = [Facts(f"s{n}", text, None, None, None, (), (), None, None) for n, text in enumerate(texts)]
    assert len(set(spread(known, 3, seed=1))) == 3


def test_the_report_is_printed_and_written(
    write_release: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(write_release(release()), tmp_path / "out", "--num-scenes", "2", "--diverse")
    said = capsys.readouterr().out
    assert "2 of 3 scenes, spread" in said
    assert "place 2 of 3" in said
    assert (tmp_path / "out" / "coverage.txt").read_text() in said
    assert f"next: python train.py --data-dir {tmp_path / 'out'} --include-timeseries" in said


def test_a_version_that_is_not_there_says_what_is(
    write_release: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_release(release(), version="v1.0-trainval")
    extract(root, tmp_path / "out")  # the only one
    said = refused(capsys, "--dataroot", str(root), "--version", "v1.0-mini")
    assert "no version 'v1.0-mini'" in said
    assert "present: v1.0-trainval" in said
    assert "--version v1.0-trainval" in said
    said = refused(capsys, "--dataroot", str(root / "v1.0-trainval"))
    assert f"--dataroot {root} --version v1.0-trainval" in said
    assert "does not exist" in refused(capsys, "--dataroot", str(tmp_path / "none"))
    assert "present: none" in refused(capsys, "--dataroot", str(tmp_path / "out"))
    assert "Give one source" in refused(capsys)


def test_speed_of_the_ego_poses_agrees_with_the_can_bus(real_data: Path) -> None:
    """Within 5 % where the car drives; of one that stands, within 0.05 m/s."""
    root = real_data / "nuscenes" / "v1.0-mini-rebuilt"
    can = CanBus(root)
    moving = 0
    for scene in Release(root, "v1.0-mini", ["CAM_FRONT"]).scenes:
        ours, of_can = (signals(scene, one, ["speed_mps"], 10.0)[0] for one in (None, can))
        assert ours is not None
        assert of_can is not None
        mine, theirs = ours.values[:, 0], of_can.values[:, 0]
        both = np.isfinite(mine) & np.isfinite(theirs)
        assert both.mean() > 0.95
        rms = float(np.sqrt(np.mean((mine - theirs)[both] ** 2)))
        if theirs[both].mean() > 0.5:
            moving += 1
            assert rms <= 0.05 * np.sqrt(np.mean(theirs[both] ** 2)), scene.name
        else:
            assert rms < 0.05, scene.name
    assert moving == 8


def test_speed_of_the_ego_poses_agrees_with_the_speedometer(real_data: Path) -> None:
    root = real_data / "nuscenes" / "v1.0-mini-rebuilt"
    seen = 0
    for scene in Release(root, "v1.0-mini", ["CAM_FRONT"]).scenes:
        path = root / "can_bus" / f"{scene.name}_vehicle_monitor.json"
        if path.is_file():
            seen += 1
            rows = json.loads(path.read_text())
            times = np.array([row["utime"] - scene.timestamps_us[0] for row in rows]) / 1e6
            theirs = np.array([row["vehicle_speed"] for row in rows]) / 3.6
            mine = np.interp(times, *ego_columns(scene)["speed_mps"])
            inside = (times >= 0) & (times <= scene.duration_seconds)
            error = np.sqrt(np.mean((mine - theirs)[inside] ** 2))
            assert error <= 0.05 * np.sqrt(np.mean(theirs[inside] ** 2)), scene.name
    assert seen == 4


def test_the_real_release_downloaded_in_part(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = real_data / "nuscenes" / "v1.0-mini-rebuilt"
    records = extract(root, tmp_path / "out", "--diverse", "--num-scenes", "4")
    assert len({one["location"] for one in records}) == 4
    said = capsys.readouterr().out
    assert "place 4 of 4, time of day 4 of 4" in said
    records = extract(root, tmp_path / "all", "--describe")
    by_name = {one["scene_id"]: one for one in records}
    assert len(by_name) == 10
    assert by_name["scene-0061"]["image_path"]
    assert by_name["scene-0061"]["metadata"]["manoeuvre"] == "turn_left"
    assert by_name["scene-0757"]["metadata"]["manoeuvre"] == "stop"
    assert by_name["scene-1094"]["metadata"]["daytime"] == "night"
    assert by_name["scene-1094"]["metadata"]["weather"] == "after rain"
    assert by_name["scene-0553"]["metadata"]["manoeuvre"] == "standing"
    assert all("description_source" not in one["metadata"] for one in records), "all of them have words"


def test_real_tables_that_nobody_can_use(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--output-dir", str(tmp_path / "out"), "--dataroot"]
    folder = real_data / "nuscenes"
    said = refused(capsys, *flags, str(folder / "broken_converter_tables"))
    assert "no camera 'CAM_FRONT': known: CAMERA_0" in said
    said = refused(capsys, *flags, str(folder / "broken_converter_tables"), "--cameras", "CAMERA_0")
    assert "sample_data.json, row '178674abdc32e8d44fe0ee7ed13e1019': its sample_token" in said
    said = refused(capsys, *flags, str(folder / "bevfusion_demo_one_sample"))
    assert "No scene could be used; the first: " in said


@pytest.mark.parametrize("name", ["../../outside", "a\0b"])
def test_names_of_scenes_lead_nowhere_else(
    write_release: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content = release()
    content["scene"][1]["name"] = name
    out = tmp_path / "deep" / "deeper" / "out"
    said = refused(capsys, "--dataroot", str(write_release(content)), "--output-dir", str(out))
    assert "leaves the data folder" in said or "NUL" in said
    assert not list(tmp_path.rglob("*outside*"))


@pytest.mark.parametrize("file", ["samples/../../outside.jpg", "/etc/hostname", "samples/a\0b"])
def test_names_of_pictures_lead_nowhere_else(
    write_release: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    content = release()
    root = write_release(content)
    content["sample_data"][15]["filename"] = file
    write_release(content, images=False)
    said = refused(capsys, "--dataroot", str(root), "--output-dir", str(tmp_path / "out"))
    assert "leaves the nuScenes folder" in said
