"""One source a run, and what is said when there is none, or more than one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multimodal_search.errors import SettingsError
from multimodal_search.settings.models import DataSettings
from multimodal_search.sources import Source, open_source


def opened(tmp_path: Path, **given: Any) -> Source:
    return open_source(DataSettings(**given), sample_dir=tmp_path / "sample")


def refused(tmp_path: Path, **given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        opened(tmp_path, **given)
    assert not list(tmp_path.iterdir()), "nothing is written"
    return str(caught.value)


def test_no_source_lists_the_four_ways(tmp_path: Path) -> None:
    message = refused(tmp_path)
    for way in ("--use-sample-data", "--data-dir", "--nuscenes-path", "--use-devkit", "--pairs"):
        assert way in message


def test_several_sources_are_named(tmp_path: Path) -> None:
    message = refused(tmp_path, use_sample_data=True, data_dir="x", pairs="y")
    assert "--use-sample-data, --data-dir, --pairs" in message


def test_the_two_flags_of_nuscenes_belong_together(tmp_path: Path) -> None:
    assert "add --use-devkit" in refused(tmp_path, nuscenes_path="x")
    assert "add --nuscenes-path" in refused(tmp_path, use_devkit=True)
    assert "add --nuscenes-path" in refused(tmp_path, use_devkit=True, data_dir="x")


def test_the_sample_world_is_written_once(tmp_path: Path) -> None:
    source = opened(tmp_path, use_sample_data=True, sample_scenes=4)
    items = source.items()
    assert (source.kind, source.licence, len(items), source.failures) == ("sample", "Apache-2.0", 4, [])
    assert all(item.image_path and len(item.text) >= 2 and item.group and item.location for item in items)
    assert source.image_file(items[0].image_path or "").is_file()
    series = source.series(items[0])
    assert series is not None
    assert series.channels[:3] == ("speed_mps", "acceleration_mps2", "yaw_rate_radps")
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")} | {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")
    }
    again = opened(tmp_path, use_sample_data=True, sample_scenes=4)
    assert again.items() == items
    assert written
    assert all(path.stat().st_mtime_ns == when for path, when in written.items())


def test_sample_worlds_of_other_settings_do_not_mix(tmp_path: Path) -> None:
    first = opened(tmp_path, use_sample_data=True, sample_scenes=3)
    other = opened(tmp_path, use_sample_data=True, sample_scenes=3, sample_seed=1)
    assert first.root != other.root
    assert [item.text for item in first.items()] != [item.text for item in other.items()]
    assert len(opened(tmp_path, use_sample_data=True, sample_scenes=3, limit=2).items()) == 2


def test_sample_cameras_can_be_several(tmp_path: Path) -> None:
    source = opened(tmp_path, use_sample_data=True, sample_scenes=2, cameras=["CAM_FRONT", "CAM_BACK"])
    for item in source.items():
        assert set(item.images) == {"CAM_FRONT", "CAM_BACK"}
        assert item.image_path == item.images["CAM_FRONT"]
    (item,) = opened(tmp_path, use_sample_data=True, sample_scenes=1, cameras=["all"]).items()
    assert len(item.images) == 6
    with pytest.raises(SettingsError, match="CAM_FRNT"):
        opened(tmp_path, use_sample_data=True, sample_scenes=1, cameras=["CAM_FRNT"])
    assert not list((tmp_path / "sample").glob("*CAM_FRNT*"))


def test_pairs_and_folders(tmp_path: Path, data_dir: Callable[..., Path]) -> None:
    root = data_dir([{"scene_id": "a", "description": "words", "image_path": "images/a.png"}])
    assert opened(tmp_path, data_dir=str(root)).kind == "extracted"
    (root / "pairs.csv").write_text("image,text\nimages/a.png,words\n")
    source = opened(tmp_path, pairs=str(root / "pairs.csv"))
    assert (source.kind, len(source.items()), source.official_splits) == ("pairs", 1, None)


def test_importing_the_sources_is_light() -> None:
    code = (
        "import sys, multimodal_search.sources\n"
        "heavy = {'torch', 'PIL', 'pyarrow', 'nuscenes', 'matplotlib', 'boto3'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
