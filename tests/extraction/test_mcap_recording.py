"""One recording's scenes: keyframes of several cameras, and a second run that goes on as the first."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mcap")

from multimodal_search.extraction.mcap_decoding import Decoders
from multimodal_search.extraction.mcap_inputs import Recording
from multimodal_search.extraction.mcap_map import Examples, all_ready, resolve
from multimodal_search.extraction.mcap_recording import Plan, RecordingReader, Scene
from multimodal_search.extraction.mcap_survey import survey

Write = Callable[..., Path]
CAMERAS = ("/CAM_BACK/image_raw", "/CAM_FRONT/image_raw")


def _picture(shade: int) -> str:
    buffer = io.BytesIO()
    Image.new("L", (16, 16), shade).save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def _drive(write: Write, speeds: Callable[..., Any], seconds: float = 60) -> Path:
    pictures = [
        (camera, 10**18 + round(at * 1e9) + 10_000_000, {"format": "jpeg", "data": _picture(round(at) % 250)})
        for at in np.arange(0, seconds, 0.5)
        for camera in CAMERAS
    ]
    messages = sorted([*speeds(seconds), *pictures], key=lambda one: one[1])
    return write(messages, types=dict.fromkeys(CAMERAS, "foxglove.CompressedImage"), chunk_size=5000)


def _scenes(path: Path, finished: set[str], **more: Any) -> tuple[list[Scene], RecordingReader, list[str]]:
    plan = Plan(("speed_mps",), 10.0, 20.0, 10.0, 3.0, **more)
    kept: list[str] = []

    def keep(name: str, content: bytes) -> str:
        kept.append(name)
        return f"images/{name}"

    with path.open("rb") as file:
        found, decoders = survey(file, path.stat().st_size), Decoders()
        signals = resolve(all_ready(), Examples(file, found, decoders), strict=False, where="")
        recording = Recording(str(path), "drive", "key")
        reader = RecordingReader(recording, found, decoders, signals, [], plan, keep, finished)
        return list(reader.scenes(file)), reader, kept


def test_keyframes_of_every_camera_the_front_one_first(write_mcap: Write, speeds: Callable[..., Any]) -> None:
    scenes, _, kept = _scenes(_drive(write_mcap, speeds), set())
    assert len(kept) == 2 * 20  # every 3 s of 60
    first = scenes[0].record
    assert first["image_path"] == first["images"]["CAM_FRONT"] == "images/drive/CAM_FRONT/00009.010.jpg"
    assert first["images"]["CAM_BACK"] == "images/drive/CAM_BACK/00009.010.jpg"
    assert len(set(first["images"].values())) == 14
    [only, *_], _, _ = _scenes(_drive(write_mcap, speeds), set(), image_topics=(CAMERAS[0],))
    assert only.record["image_path"].startswith("images/drive/CAM_BACK")
    assert only.record["images"]["CAM_FRONT"] == only.record["image_path"]  # what training takes by default


@pytest.mark.parametrize("done", [1, 2, 4])
def test_a_second_run_goes_on_as_the_first_would_have(
    write_mcap: Write, speeds: Callable[..., Any], done: int
) -> None:
    path = _drive(write_mcap, speeds)
    whole, _, all_kept = _scenes(path, set())
    ids = [scene.record["scene_id"] for scene in whole]
    rest, _, kept = _scenes(path, set(ids[:done]))
    assert [scene.record for scene in rest] == [scene.record for scene in whole[done:]]
    for ours, theirs in zip(rest, whole[done:], strict=True):
        np.testing.assert_array_equal(np.asarray(ours.series), np.asarray(theirs.series))
    assert set(kept) <= set(all_kept)
    assert len(kept) == len(set(kept))
    assert _scenes(path, {"other_00099.000", "drive_2_00050.000"})[2] == all_kept  # of other recordings


def test_a_picture_that_is_none_is_counted_and_the_next_one_taken(
    write_mcap: Write, speeds: Callable[..., Any]
) -> None:
    messages = [
        *speeds(4),
        (CAMERAS[0], 10**18 + 1, {"data": "????"}),
        (CAMERAS[0], 10**18 + 10**9, {"data": _picture(9)}),
    ]
    path = write_mcap(
        sorted(messages, key=lambda one: one[1]), types={CAMERAS[0]: "foxglove.CompressedImage"}
    )
    [scene], reader, kept = _scenes(path, set())
    assert scene.record["image_path"] == "images/drive/CAM_BACK/00001.000.jpg"
    assert kept == ["drive/CAM_BACK/00001.000.jpg"]
    assert [one for one in reader.problems if "base64" in one]


def test_a_message_at_time_zero_does_not_move_the_start(
    write_mcap: Write, speeds: Callable[..., Any]
) -> None:
    path = write_mcap([("/static", 0, {"a": 1}), *speeds(20)])
    [scene], _, _ = _scenes(path, set())
    assert scene.record["scene_id"] == "drive_00000.000"
