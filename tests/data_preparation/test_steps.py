"""The old steps one by one, and nuScenes to a search, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from multimodal_search.tables import open_table

ROOT = Path(__file__).parents[2]
SAMPLE = ["--image-encoder", "sample/vit", "--text-encoder", "sample/text"]


def run(folder: Path, *command: str, code: int = 0) -> str:
    """A script of the repository, in a folder; what it said."""
    done = subprocess.run(
        [sys.executable, str(ROOT / command[0]), *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def search(folder: Path, *flags: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "multimodal_search", "search", "--bundle", "output", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--out", "hits.json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((folder / "hits.json").read_text())
    return list(found["hits"] if isinstance(found, dict) else found)


@pytest.mark.slow
def test_every_step_reads_what_the_one_before_wrote(tmp_path: Path) -> None:
    from multimodal_search.sources import sample

    sample.write("nuscenes", tmp_path / "my_nuscenes", scenes=20, seed=0, cameras=("CAM_FRONT",))
    said = run(
        tmp_path, "data_preparation/extract_nuscenes.py", "--dataroot", "my_nuscenes", "--num-scenes", "16",
        "--diverse", "--output-dir", "extracted_data", "--include-timeseries", "--cameras", "CAM_FRONT",
    )  # fmt: skip
    assert "16 of 20 scenes, spread" in said
    embed = ["data_preparation/generate_embeddings.py", "--batch-size", "4", "--save-interval", "2"]
    said = run(tmp_path, *embed, "--encoder", "sample/vit", "--engine", "local")
    assert "--features embeddings/image embeddings/text" in said
    images = open_table(str(tmp_path / "embeddings" / "image"))
    assert [part.rows for part in images.parts] == [8, 8], "two batches of four a part"
    run(
        tmp_path, "train.py", "--data-dir", "extracted_data", "--include-timeseries", "--epochs", "2",
        "--features", "embeddings/image", "embeddings/text",
    )  # fmt: skip
    again = ["--data-dir", "extracted_data", "--include-timeseries", "--out", "db/vectors.json"]
    said = run(tmp_path, "data_preparation/create_vector_db.py", "--bundle", "output", *again)
    assert "wrote 48 vectors of 16 moments to db/vectors.json" in said
    made, trained = (
        json.loads((tmp_path / path).read_text()) for path in ("db/vectors.json", "output/vector_db.json")
    )
    assert [one["id"] for one in made] == [one["id"] for one in trained]
    for mine, theirs in zip(made, trained, strict=True):
        assert np.dot(mine["vec"], theirs["vec"]) > 0.99, "the table was decoded fast and is float16"
    run(tmp_path, "data_preparation/generate_umap.py", "--embeddings", "output", "--out", "map")
    scenes = json.loads((tmp_path / "map" / "scenes_with_umap.json").read_text())
    assert len(scenes) == 48
    hits = search(tmp_path, "--text", "turn left", "--where", "manoeuvre == 'turn_left'")
    assert hits
    own = sorted((tmp_path / "extracted_data" / "timeseries").glob("*.npy"))[0]
    assert search(tmp_path, "--series", str(own))[0]["scene_id"] == own.stem


@pytest.mark.slow
def test_the_real_release_becomes_a_bundle_that_is_searched(real_data: Path, tmp_path: Path) -> None:
    root = real_data / "nuscenes" / "v1.0-mini-rebuilt"
    said = run(
        tmp_path, "data_preparation/extract_nuscenes.py", "--dataroot", str(root), "--version", "v1.0-mini",
        "--output-dir", "extracted_data",
    )  # fmt: skip
    assert "10 of 10 scenes" in said
    run(
        tmp_path, "train.py", "--data-dir", "extracted_data", "--include-timeseries", "--epochs", "2", *SAMPLE
    )
    hits = search(tmp_path, "--series", str(tmp_path / "extracted_data" / "timeseries" / "scene-0061.npy"))
    assert [one["scene_id"] for one in hits[:2]] == ["scene-0061", "scene-1094"], (
        "both turn left at a crossing"
    )


def test_mistakes_are_told(tmp_path: Path) -> None:
    embed, database = "data_preparation/generate_embeddings.py", "data_preparation/create_vector_db.py"
    assert "none does not exist" in run(tmp_path, embed, "--data-dir", "none", code=2)
    assert "at least 1" in run(tmp_path, embed, "--batch-size", "0", code=2)
    assert "to do:" in run(tmp_path, database, "--bundle", "none", code=2)
    assert "Unknown flag" in run(tmp_path, database, "--bundel", "none", code=2)
    assert "--embeddings" in run(tmp_path, "data_preparation/generate_umap.py", code=2)
