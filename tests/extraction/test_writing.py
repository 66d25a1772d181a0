"""The folder of an extraction: read by training, resumed after a kill, never mixed with something else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal_search.errors import DataError, OutputError
from multimodal_search.extraction.writing import Channel, ExtractedWriter
from multimodal_search.sources.extracted import ExtractedSource
from multimodal_search.types import Failure

CHANNELS = (Channel("speed_mps", "m/s"), Channel("yaw_rate_radps", "rad/s"))
MADE_FROM = {"source": "somewhere", "rate_hz": 10.0}


def record(scene_id: str, **changes: Any) -> dict[str, Any]:
    whole = {
        "scene_id": scene_id,
        "description": f"Rain in {scene_id}",
        "image_path": f"images/{scene_id}.jpg",
        "images": {"CAM_FRONT": f"images/{scene_id}.jpg"},
        "location": "boston",
        "timestamp": 1_532_402_927_647_951,
        "log": "n015",
        "metadata": {"wetness": 0.5, "counts": {"car": 3}, "nothing": float("nan")},
    }
    return {**whole, **changes}


def add(writer: ExtractedWriter, scene_id: str, rows: int = 20) -> None:
    writer.add_image(f"{scene_id}.jpg", b"\xff\xd8" + scene_id.encode())
    writer.add(record(scene_id), np.arange(rows * 2.0).reshape(rows, 2))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_what_is_written_is_what_training_reads(tmp_path: Path) -> None:
    gap = np.array([[1.0, 0.1], [np.nan, 0.2], [3.0, 0.3], [4.0, 0.4], [5.0, 0.5], [6.0, 0.6]])
    with ExtractedWriter(tmp_path / "new" / "out", MADE_FROM) as writer:
        path = writer.add_image("deep/a.jpg", b"picture")
        writer.add(record("a", image_path=path, images={"CAM_FRONT": path}), gap)
        writer.fail(Failure("b", "samples/b.jpg", "image missing"))
        writer.finish(CHANNELS, 4.0)
    source = ExtractedSource(tmp_path / "new" / "out")
    item = source.items()[0]
    assert (item.id, item.text, item.location, item.group) == ("a", ("Rain in a",), "boston", "n015")
    assert item.timestamp_us == 1_532_402_927_647_951
    assert item.metadata == {"wetness": 0.5, "counts.car": 3, "log": "n015"}
    assert source.image_file(item.image_path or "").read_bytes() == b"picture"
    series = source.series(item)
    assert series is not None
    assert series.channels == ("speed_mps", "yaw_rate_radps")
    np.testing.assert_allclose(series.timestamps_seconds, np.arange(6) / 4.0)
    np.testing.assert_allclose(series.values[:, 0], np.arange(1.0, 7.0))
    stored = np.load(tmp_path / "new" / "out" / "timeseries" / "a.npy")
    assert stored.dtype == np.float64
    np.testing.assert_array_equal(stored, gap)  # the gap is marked, not filled
    layout = json.loads((tmp_path / "new/out/timeseries/channels.json").read_text())
    assert layout == {"channels": ["speed_mps", "yaw_rate_radps"], "units": ["m/s", "rad/s"], "rate_hz": 4.0}
    failures = (tmp_path / "new/out/failures.jsonl").read_text().splitlines()
    assert [json.loads(one)["reason"] for one in failures] == ["image missing"]


def test_scene_ids_with_folders_and_other_alphabets(tmp_path: Path) -> None:
    with ExtractedWriter(tmp_path, MADE_FROM) as writer:
        for scene_id in ("drive/000", "雨の夜", "a b'c"):
            add(writer, scene_id)
        writer.finish(CHANNELS, 10.0)
    source = ExtractedSource(tmp_path)
    assert {item.id for item in source.items()} == {"drive/000", "雨の夜", "a b'c"}
    assert all(source.series(item) is not None for item in source.items())


@pytest.mark.parametrize("path", ["../x.jpg", "/etc/x.jpg", "a/../../../x.jpg"])
def test_nothing_is_written_outside(tmp_path: Path, path: str) -> None:
    with ExtractedWriter(tmp_path / "out", MADE_FROM) as writer:
        with pytest.raises(DataError, match="leaves the data folder"):
            writer.add_image(path, b"x")
        with pytest.raises(DataError, match="leaves the data folder"):
            writer.add(record("../../x"), np.zeros((2, 2)))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_second_run_goes_on_and_ends_with_the_same_files(tmp_path: Path) -> None:
    for name, cuts in (("whole", ()), ("cut", (1,))):
        for scene_ids in (("a", "b"), ("a", "b", "c")) if cuts else (("a", "b", "c"),):
            with ExtractedWriter(tmp_path / name, MADE_FROM) as writer:
                for scene_id in scene_ids:
                    if scene_id not in writer.finished:
                        writer.fail(Failure(scene_id, None, "no lidar"))
                        add(writer, scene_id)
                if scene_ids[-1] == "c":
                    writer.finish(CHANNELS, 10.0)
    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {here!r})
from test_writing import MADE_FROM, add
from multimodal_search.extraction.writing import ExtractedWriter
writer = ExtractedWriter(Path({folder!r}), MADE_FROM)
add(writer, "a")
writer.add_image("b.jpg", b"half a scene")
(Path({folder!r}) / "images" / ".b.jpg.123456.tmp").write_bytes(b"half a file")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_added_survives_a_kill(tmp_path: Path) -> None:
    script = KILLED.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    with (tmp_path / ".extraction.jsonl").open("ab") as journal:
        journal.write(b'{"record": {"scene_id": "b", ')  # a line that the kill cut short
    with ExtractedWriter(tmp_path, MADE_FROM) as writer:
        assert writer.finished == {"a"}
        add(writer, "b")
        writer.finish(CHANNELS, 10.0)
    assert [item.id for item in ExtractedSource(tmp_path).items()] == ["a", "b"]
    assert not list(tmp_path.rglob("*.tmp"))
    with ExtractedWriter(tmp_path, MADE_FROM) as writer:
        assert writer.finished == {"a", "b"}


def test_a_scene_that_is_written_anew_loses_its_old_failures(tmp_path: Path) -> None:
    with ExtractedWriter(tmp_path, MADE_FROM) as writer:
        writer.fail(Failure("a", "x.jpg", "image missing"))
        add(writer, "a")
    with ExtractedWriter(tmp_path, MADE_FROM) as writer:
        assert [one.path for one in writer.failures] == ["x.jpg"]
        writer.add(record("a", description="now whole"), None)
        assert writer.failures == []
    with ExtractedWriter(tmp_path, MADE_FROM) as writer:
        assert writer.failures == []
        writer.finish((), 10.0)
    assert not (tmp_path / "timeseries" / "a.npy").exists()
    assert ExtractedSource(tmp_path).items()[0].text == ("now whole",)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "scenes_metadata.json").write_text("[]")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="no extraction wrote"):
            ExtractedWriter(own, MADE_FROM, overwrite=overwrite)
    with ExtractedWriter(tmp_path / "out", MADE_FROM) as writer:
        add(writer, "a")
        writer.finish(CHANNELS, 10.0)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"rate_hz was 10\.0, is 5\.0"):
        ExtractedWriter(tmp_path / "out", {**MADE_FROM, "rate_hz": 5.0})
    with ExtractedWriter(tmp_path / "out", {**MADE_FROM, "rate_hz": 5.0}, overwrite=True) as writer:
        assert writer.finished == set()
        left = {name for name in contents(tmp_path / "out") if not name.startswith(".")}
        assert left == {"notes.txt", "extraction.json"}


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with (
        ExtractedWriter(tmp_path, MADE_FROM),
        pytest.raises(OutputError, match="Another run writes to this folder"),
    ):
        ExtractedWriter(tmp_path, MADE_FROM)
    ExtractedWriter(tmp_path, MADE_FROM).close()


def test_columns_must_agree(tmp_path: Path) -> None:
    with ExtractedWriter(tmp_path, MADE_FROM) as writer:
        add(writer, "a")
        with pytest.raises(DataError, match="'a' has 2 columns"):
            writer.finish(CHANNELS[:1], 10.0)
