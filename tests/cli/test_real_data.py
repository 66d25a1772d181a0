"""Real input through the command line: nuScenes, photos with captions, pictures that break decoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal_search.cli import main

SAMPLE = ["--image-encoder", "sample/vit", "--text-encoder", "sample/text", "--epochs", "2"]


def trained(folder: Path, *flags: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Train; what bundle.json, vector_db.json and failures.jsonl hold."""
    output = folder / "output"
    assert main(["train", *flags, *SAMPLE, "--output-dir", str(output)]) == 0
    info = json.loads((output / "bundle.json").read_text())
    entries = json.loads((output / "vector_db.json").read_text())
    lines = (output / "failures.jsonl").read_text().splitlines()
    for one in entries:  # never a zero vector
        assert abs(np.linalg.norm(one["vec"]) - 1) < 1e-3
    return info, entries, [json.loads(line) for line in lines]


def nuscenes(real_data: Path, folder: str = "v1.0-mini-rebuilt") -> list[str]:
    pytest.importorskip("nuscenes", reason="the extra nuscenes is not installed")
    return ["--nuscenes-path", str(real_data / "nuscenes" / folder), "--use-devkit"]


@pytest.mark.slow
def test_a_partial_nuscenes_with_signals(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info, entries, failures = trained(tmp_path, *nuscenes(real_data), "--include-timeseries")
    assert info["data"]["kind"] == "nuscenes"
    assert info["data"]["n_scenes"] == 10
    assert info["data"]["n_items"] == 404
    assert info["licence"].startswith("CC BY-NC-SA")
    missing = {one["path"] for one in failures if one["reason"] == "image missing"}
    assert len(failures) == len(missing) == 365
    assert "365 inputs were skipped" in (tmp_path / "output" / "report.md").read_text()
    kinds = [one["type"] for one in entries]
    assert (kinds.count("image"), kinds.count("timeseries"), kinds.count("text")) == (39, 404, 404)
    assert not missing & {one["image_path"] for one in entries if one["type"] == "image"}
    assert {"scene-0061", "scene-1094"} <= {one["scene_id"] for one in entries}
    splits = json.loads((tmp_path / "output" / "metrics.json").read_text())["splits"]
    assert set(splits["test"]) == {"scene-0103", "scene-0916"}  # the official mini_val
    capsys.readouterr()
    flags = ["--bundle", str(tmp_path / "output"), "--text", "bus at an intersection", "--json-output"]
    assert main(["search", *flags, "--against", "text", "--k", "404"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["scene_id"] for one in found} == {one["scene_id"] for one in entries}
    frames = [frame for one in found for frame in one["frames"]]
    assert len(set(frames)) == len(frames) > 200  # moments do not overlap, and are most of the drive
    assert main(["search", *flags, "--against", "image", "--k", "1"]) == 0
    hit = json.loads(capsys.readouterr().out)
    assert (Path(info["data"]["root"]) / hit["image_path"]).is_file()


def test_nuscenes_a_scene_an_item(real_data: Path, tmp_path: Path) -> None:
    flags = ["--include-timeseries", "--granularity", "scene"]
    info, entries, _ = trained(tmp_path, *nuscenes(real_data), *flags)
    assert info["data"]["n_items"] == info["data"]["n_scenes"] == 10
    assert sum(one["type"] == "timeseries" for one in entries) == 10
    assert sum(one["type"] == "text" for one in entries) == 10


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("broken_converter_tables", ["category.json", "sample_annotation.json"]),
        ("bevfusion_demo_one_sample", ["--nuscenes-version v1.0-test"]),
    ],
)
def test_a_broken_nuscenes_folder_is_explained(
    folder: str, words: list[str], real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*nuscenes(real_data, folder), *SAMPLE, "--output-dir", str(tmp_path / "output")]
    assert main(["train", *flags]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    for word in [*words, folder, "to do"]:
        assert word in told
    assert not list((tmp_path / "output").glob("*"))


def pairs_of(folder: Path, rows: list[dict[str, Any]], link: Path) -> list[str]:
    """A pairs file beside links to the pictures; the folder of the real data is not written to."""
    for row in rows:
        place = folder / row["image"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((link / row["image"]).read_bytes())
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return ["--pairs", str(file)]


def test_photos_with_captions(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = real_data / "driving_photos"
    listed = json.loads((photos / "CAPTIONS.json").read_text())
    rows = [
        {
            "image": one["file"],
            "text": [one["caption"], *one.get("references", [])],
            "group": str(Path(one["file"]).parent),
        }
        for one in listed
    ]
    flags = pairs_of(tmp_path, rows, photos)
    output = tmp_path / "output"
    assert main(["train", *flags, *SAMPLE, "--output-dir", str(output)]) == 0
    entries = json.loads((output / "vector_db.json").read_text())
    assert sum(one["type"] == "image" for one in entries) == len(listed)
    splits = json.loads((output / "metrics.json").read_text())["splits"]
    clips = [{str(Path(scene).parent) for scene in splits[part]} for part in ("train", "test")]
    assert not clips[0] & clips[1]  # near-duplicates of one clip never stand on both sides
    capsys.readouterr()
    picture = str(tmp_path / listed[-1]["file"])
    assert main(["search", "--bundle", str(output), "--image", picture, "--json-output", "--k", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["image_path"] == listed[-1]["file"]


def test_tricky_pictures_are_read_or_listed(real_data: Path, tmp_path: Path) -> None:
    tricky = real_data / "images_tricky"
    manifest = json.loads((tricky / "MANIFEST.json").read_text())
    broken = {one["file"] for one in manifest if one.get("load") != "ok"}
    assert broken
    rows = [{"image": one["file"], "text": f"picture of {Path(one['file']).stem}"} for one in manifest]
    _, entries, failures = trained(tmp_path, *pairs_of(tmp_path, rows, tricky))
    assert {one["path"] for one in failures} == broken
    assert all(one["reason"] for one in failures)
    shown = {one["image_path"] for one in entries if one["type"] == "image"}
    assert shown == {one["file"] for one in manifest} - broken
