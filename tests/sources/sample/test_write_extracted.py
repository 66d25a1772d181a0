"""The sample world on disk: readable by the library's own sources, resumable, never mixed with another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from multimodal_search.errors import DataError, OutputError, SettingsError
from multimodal_search.sources import sample
from multimodal_search.sources.extracted import ExtractedSource
from multimodal_search.sources.pairs import PairsSource
from multimodal_search.sources.sample import signals, texts, world


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_extracted_is_read_back_as_the_scenes_it_was_made_from(tmp_path: Path) -> None:
    sample.write("extracted", tmp_path / "data", scenes=6, seed=2, progress=False)
    source = ExtractedSource(tmp_path / "data")
    items = source.items()
    scenes = world.make_scenes(6, 2)
    assert [item.scene_id for item in items] == [scene.scene_id for scene in scenes]
    assert not source.failures
    for item, scene in zip(items, scenes, strict=True):
        assert item.text == texts.descriptions(scene)
        assert item.group == scene.log
        assert item.location == scene.location
        assert dict(item.metadata) == scene.metadata()
        assert item.image_path is not None
        assert source.image_file(item.image_path).stat().st_size > 4_000
        series = source.series(item)
        assert series is not None
        assert series.channels == signals.CHANNELS
        np.testing.assert_allclose(series.values, signals.make_series(scene).values, atol=1e-4)
        assert item.timestamp_us is not None
        assert 0 <= item.timestamp_us - scene.start_us <= 20_000_000


def test_all_six_cameras_on_request(tmp_path: Path) -> None:
    from multimodal_search.sources.sample.view import CAMERAS

    cameras = ("CAM_BACK", *(camera for camera in CAMERAS if camera != "CAM_BACK"))
    sample.write("extracted", tmp_path, scenes=1, seed=0, cameras=cameras, progress=False)
    (item,) = ExtractedSource(tmp_path).items()
    assert set(item.images) == set(CAMERAS)
    assert item.image_path == item.images["CAM_BACK"]


def test_all_means_the_six_and_an_unknown_camera_is_named(tmp_path: Path) -> None:
    from multimodal_search.sources.sample.view import CAMERAS

    sample.write("extracted", tmp_path / "six", scenes=1, cameras=("all",), progress=False)
    (item,) = ExtractedSource(tmp_path / "six").items()
    assert tuple(item.images) == tuple(CAMERAS)
    for wrong, word in ((("CAM_FORNT",), "CAM_FORNT"), (("all", "CAM_BACK"), "alone"), ((), "No camera")):
        with pytest.raises(SettingsError, match=word):
            sample.write("extracted", tmp_path / "none", scenes=1, cameras=wrong, progress=False)
    assert not (tmp_path / "none").exists()


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    for form in ("extracted",):
        folder = tmp_path / form
        sample.write(form, folder, scenes=3, seed=0, progress=False)
        before = files(folder)
        sample.write(form, folder, scenes=3, seed=0, progress=False)
        assert files(folder) == before


def test_only_missing_files_are_made_again_and_they_are_the_same(tmp_path: Path) -> None:
    sample.write("extracted", tmp_path, scenes=3, seed=0, progress=False)
    before = files(tmp_path)
    lost = ["images/sample-00001.jpg", "timeseries/sample-00002.npy", "scenes_metadata.json"]
    for name in lost:
        (tmp_path / name).unlink()
    (tmp_path / "images" / ".sample-00001.jpg.0.tmp").write_bytes(b"half")
    sample.write("extracted", tmp_path, scenes=3, seed=0, progress=False)
    after = files(tmp_path)
    assert {name: content for name, (_, content) in after.items()} == {
        name: content for name, (_, content) in before.items()
    }
    assert all(after[name] == before[name] for name in before if name not in lost)


def test_a_world_can_be_continued(tmp_path: Path) -> None:
    sample.write("extracted", tmp_path, scenes=2, seed=0, progress=False)
    first = files(tmp_path)["images/sample-00001.jpg"]
    sample.write("extracted", tmp_path, scenes=4, seed=0, progress=False)
    assert files(tmp_path)["images/sample-00001.jpg"] == first
    assert len(json.loads((tmp_path / "scenes_metadata.json").read_text("utf-8"))) == 4
    with pytest.raises(DataError, match="holds 4 scenes, more than the 2"):
        sample.write("extracted", tmp_path, scenes=2, seed=0, progress=False)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"cameras": ("CAM_BACK",)}, {"format": "pairs"}], ids=["seed", "camera", "format"]
)
def test_two_worlds_are_never_mixed(tmp_path: Path, other: dict[str, object]) -> None:
    first: dict[str, object] = {"format": "extracted", "out": tmp_path, "scenes": 1, "seed": 0}
    sample.write(**first, progress=False)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="another sample world"):
        sample.write(**{**first, **other}, progress=False)  # type: ignore[arg-type]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        sample.write("extracted", tmp_path, scenes=1, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(OutputError):
        sample.write("extracted", tmp_path / "data", scenes=1, progress=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "extract"},
        {"cameras": ()},
        {"cameras": ("CAM_TOP",)},
        {"cameras": ("CAM_BACK", "CAM_BACK")},
        {"scenes": 0},
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    with pytest.raises(SettingsError):
        sample.write(**{"format": "extracted", "out": tmp_path / "out", **wrong})  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_pairs_are_read_back_with_every_text(tmp_path: Path) -> None:
    sample.write("pairs", tmp_path, scenes=4, seed=1, progress=False)
    items = PairsSource(tmp_path / "pairs.csv").items()
    assert [item.text for item in items] == [texts.descriptions(one) for one in world.make_scenes(4, 1)]
    assert [item.group for item in items] == [one.log for one in world.make_scenes(4, 1)]
