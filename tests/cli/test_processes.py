"""Several processes through the real command line: one bundle, one voice, the heads of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from multimodal_search.cli import main
from multimodal_search.cli.launcher import process_rank

ROOT = Path(__file__).parents[2]
DATA = ["--use-sample-data", "--sample-scenes", "30", "--include-timeseries", "--device", "cpu"]
TWO = "trainer: {devices: 2, strategy: ddp}\n"


def train(folder: Path, *flags: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """``python train.py`` in a folder that holds ``two.yaml``; small steps, so that there are several."""
    (folder / "two.yaml").write_text(TWO)
    own = ["--epochs", "3", "--batch-size", "16", "--features-dir", "features", *flags]
    return subprocess.run(
        [sys.executable, *launcher, str(ROOT / "train.py"), *DATA, *own],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def trained(output: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    """The weights after the last step, and each epoch's loss."""
    checkpoint = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    history = next(state["entries"] for name, state in checkpoint["callbacks"].items() if "History" in name)
    return checkpoint["state_dict"], [entry["train/loss"] for entry in history[1:]]


def assert_one_voice_and_a_whole_bundle(done: subprocess.CompletedProcess[str], output: Path) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("data      sample", "splits    ", "text+timeseries->image", "bundle    ", "next:"):
        assert done.stdout.count("\n" + words) + done.stdout.startswith(words) == 1, words + done.stdout
    for words in ("Traceback", "sync_dist", "Lightning"):
        assert words not in done.stderr
    info = json.loads((output / "bundle.json").read_text())
    assert set(info["heads"]) == {"image", "text", "timeseries"}
    for name in ("vector_db.json", "metrics.json", "report.md", "umap.png", "training.png"):
        assert (output / name).is_file(), name
    assert not [path.name for path in output.iterdir() if path.name.startswith(".")]
    assert [path.name for path in (output / "logs" / "csv").iterdir()] == ["version_0"]


@pytest.mark.slow
def test_two_processes_end_as_one_does(tmp_path: Path) -> None:
    # two first: the data, the tables and the folder are new to both of its processes
    assert_one_voice_and_a_whole_bundle(
        train(tmp_path, "--config", "two.yaml", "--output-dir", "two"), tmp_path / "two"
    )
    assert train(tmp_path, "--output-dir", "one").returncode == 0
    elastic = train(
        tmp_path,
        *("--config", "two.yaml", "--output-dir", "torchrun", "--features-dir", "others"),
        launcher=("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    )
    assert_one_voice_and_a_whole_bundle(elastic, tmp_path / "torchrun")
    weights, losses = trained(tmp_path / "one")
    assert losses[-1] < losses[0], "something was learnt, or the comparison says nothing"
    for output in ("two", "torchrun"):
        others, other_losses = trained(tmp_path / output)
        assert other_losses == pytest.approx(losses, rel=1e-4)
        assert others.keys() == weights.keys()
        for name, value in weights.items():
            torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_notebook", "fsdp", "nonsense"])
def test_strategies_that_lose_the_heads_are_refused_before_any_work(
    strategy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "two.yaml").write_text(f"trainer: {{devices: 2, strategy: {strategy}}}\n")
    flags = ["--config", str(tmp_path / "two.yaml"), "--output-dir", str(tmp_path / "output")]
    assert main(["train", *DATA, *flags]) == 2
    said = capsys.readouterr().err
    assert strategy in said
    assert "strategy: ddp" in said
    assert not (tmp_path / "output").exists()


def test_options_that_lightning_refuses_are_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text("trainer: {precision: 17}\n")
    flags = ["--config", str(tmp_path / "bad.yaml"), "--output-dir", str(tmp_path / "output")]
    assert main(["train", *DATA, *flags]) == 2
    assert "17" in capsys.readouterr().err


def test_the_rank_is_what_launchers_say() -> None:
    assert process_rank({}) == 0
    assert process_rank({"LOCAL_RANK": "1"}) == 1
    assert process_rank({"RANK": "3", "LOCAL_RANK": "1"}) == 3
    assert process_rank({"SLURM_PROCID": "2"}) == 2
