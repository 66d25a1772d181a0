"""The main job through its command line, as a user runs it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from multimodal_search.cli import main
from multimodal_search.cli.launcher import detect_cloud, place_defaults
from multimodal_search.cli.train import settings_from

SMALL = ["--use-sample-data", "--sample-scenes", "30", "--epochs", "2", "--include-timeseries"]
HEADS = ("text_projector.pt", "image_projector.pt", "timeseries_projector.pt")
BUNDLE = (
    *HEADS,
    "bundle.json",
    "vector_db.json",
    "scenes_with_umap.json",
    "metrics.json",
    "report.md",
    "umap.png",
    "training.png",
    "settings.yaml",
    "checkpoints",
    "vectors",
)


def test_every_file_of_the_bundle_is_there(home: Path) -> None:
    for name in BUNDLE:
        assert (home / "output" / name).exists(), name
    assert not list((home / "output").glob(".bundle*"))


def test_the_run_prints_the_table_and_what_to_do_next(home: Path) -> None:
    printed = (home / "train.log").read_text()
    for words in ("R@10", "text->image", "chance", "search --bundle output", "30 items of 30 scenes"):
        assert words in printed


def test_heads_load_without_pickle_and_match_bundle_json(home: Path) -> None:
    info = json.loads((home / "output" / "bundle.json").read_text())
    for name in HEADS:
        state = torch.load(home / "output" / name, weights_only=True)
        spec = info["heads"][name.removesuffix("_projector.pt")]
        assert tuple(state["linear.weight"].shape) == (spec["out_dim"], spec["in_dim"])


def test_the_database_holds_a_vector_a_modality_a_moment(home: Path) -> None:
    entries = json.loads((home / "output" / "vector_db.json").read_text())
    assert sorted({one["type"] for one in entries}) == ["image", "text", "timeseries"]
    assert len(entries) == 3 * 30
    for one in entries:
        assert {"scene_id", "type", "vec", "text", "image_path", "id", "location", "metadata"} <= set(one)
        assert abs(np.linalg.norm(one["vec"]) - 1) < 1e-3
    scenes = json.loads((home / "output" / "scenes_with_umap.json").read_text())
    assert len(scenes) == 30
    for one in scenes:
        assert {
            "scene_id",
            "text",
            "description",
            "image_path",
            "location",
            "umap_coords",
            "metadata",
        } <= set(one)
        assert np.isfinite(one["umap_coords"]).all()


def test_metrics_have_splits_and_directions_with_chance(home: Path) -> None:
    metrics = json.loads((home / "output" / "metrics.json").read_text())
    splits = metrics["splits"]
    assert len({*splits["train"], *splits["val"], *splits["test"]}) == 30
    for name in ("text->image", "image->text", "timeseries->text", "text->timeseries", "text[ja]->image"):
        entry = metrics["directions"][name]
        needed = {"gallery", "R@1", "R@5", "R@10", "median_rank", "MRR", "mAP", "interval_95", "chance"}
        assert needed | {"baselines"} <= set(entry), name
        assert entry["gallery"] == len(splits["test"])


def test_a_second_run_reads_the_table_and_gives_the_same_heads(home: Path, tmp_path: Path) -> None:
    assert (
        main(["train", *SMALL, "--features-dir", str(home / "features"), "--output-dir", str(tmp_path)]) == 0
    )
    for name in HEADS:
        assert (tmp_path / name).read_bytes() == (home / "output" / name).read_bytes(), name


def test_settings_yaml_trains_the_same_heads_again(home: Path, tmp_path: Path) -> None:
    config = str(home / "output" / "settings.yaml")
    flags = ["--output-dir", str(tmp_path), "--features-dir", str(home / "features")]
    assert main(["train", "--config", config, *flags]) == 0
    for name in HEADS:
        assert (tmp_path / name).read_bytes() == (home / "output" / name).read_bytes(), name


def test_skip_training_keeps_the_heads_and_rewrites_the_rest(home: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    shutil.copytree(home / "output", output)
    (output / "vector_db.json").unlink()
    flags = ["--use-sample-data", "--sample-scenes", "40", "--include-timeseries", "--skip-training"]
    assert main(["train", *flags, "--output-dir", str(output)]) == 0
    for name in HEADS:
        assert (output / name).read_bytes() == (home / "output" / name).read_bytes(), name
    assert len(json.loads((output / "vector_db.json").read_text())) == 3 * 40
    before = json.loads((home / "output" / "metrics.json").read_text())["splits"]
    after = json.loads((output / "metrics.json").read_text())["splits"]
    assert set(before["train"]) == set(after["train"])
    assert {f"sample-{k:05d}" for k in range(30, 40)} <= set(after["test"])


def test_skip_training_on_an_empty_folder_says_that_heads_are_untrained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--use-sample-data", "--sample-scenes", "20", "--skip-training", "--output-dir", str(tmp_path)]
    assert main(["train", *flags]) == 0
    assert "untrained" in capsys.readouterr().out
    assert "untrained" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_heads(home: Path, tmp_path: Path) -> None:
    flags = [*SMALL, "--epochs", "12", "--features-dir", str(home / "features")]
    assert main(["train", *flags, "--output-dir", str(tmp_path / "whole")]) == 0
    halted = tmp_path / "halted"
    process = subprocess.Popen(
        [sys.executable, "-m", "multimodal_search", "train", *flags, "--output-dir", str(halted)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not (halted / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (halted / "bundle.json").exists()
    assert main(["train", *flags, "--output-dir", str(halted), "--resume"]) == 0
    for name in HEADS:
        assert (halted / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_the_place_decides_the_output_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SM_MODEL_DIR", "SM_TRAINING_ENV", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    assert str(settings_from(["--use-sample-data"]).output_dir) == "output"
    assert str(settings_from(["--use-sample-data", "--cloud", "colab"]).output_dir) == "/content/output"
    assert str(settings_from(["--use-sample-data", "--cloud", "sagemaker"]).output_dir) == "/opt/ml/model"
    assert str(settings_from(["--cloud", "colab", "--output-dir", "x"]).output_dir) == "x"
    assert detect_cloud({"SM_MODEL_DIR": "/opt/ml/model"}) == "sagemaker"
    assert detect_cloud({"COLAB_RELEASE_TAG": "1"}) == "colab"
    assert detect_cloud({}) == "local"
    assert place_defaults("sagemaker", {"SM_MODEL_DIR": "/tmp/model"})["output_dir"] == "/tmp/model"


def test_a_sagemaker_job_reads_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_MODEL_DIR", "/opt/ml/model")
    monkeypatch.setenv("SM_CHANNEL_TRAINING", "/opt/ml/input/data/training")
    assert settings_from([]).data_dir == "/opt/ml/input/data/training"
    assert settings_from(["--use_sample_data", "True"]).data_dir is None


def test_a_job_keeps_what_a_restart_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_MODEL_DIR", "/opt/ml/model")
    settings = settings_from(["--use-sample-data"])
    assert settings.resume
    assert str(settings.checkpoint_dir) == "/opt/ml/checkpoints/training"
    assert str(settings.features_dir) == "/opt/ml/checkpoints/features"
    assert not settings_from(["--use-sample-data", "--skip-training"]).resume
    for name, value in {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    trainer = settings_from(["--use-sample-data"]).trainer
    assert trainer == {"devices": 4, "num_nodes": 2, "strategy": "ddp"}
