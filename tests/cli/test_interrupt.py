"""Ctrl-C at any stage of the real command: what is done is kept, and the way on is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADS = ("text_projector.pt", "image_projector.pt", "timeseries_projector.pt")
# more batches than the encoder finishes before the signal arrives
DATA = ["--use-sample-data", "--sample-scenes", "40", "--include-timeseries", "--device", "cpu"]
RUN = [*DATA, "--epochs", "30", "--learning-rate", "1e-5", "--encode-batch-size", "2"]


def start(folder: Path, *flags: str) -> subprocess.Popen[str]:
    """The real command in a folder, with features and output inside it."""
    return subprocess.Popen(
        [sys.executable, "-m", "multimodal_search", "train", *RUN, "--features-dir", "features", *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # as a terminal starts it, whatever the tests' own parent does with the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def interrupt_when(ready: Callable[[], bool], folder: Path) -> subprocess.CompletedProcess[str]:
    """Ctrl-C as soon as ``ready``; the process must still be at work then."""
    process = start(folder)
    pause = threading.Event()
    while not ready() and process.poll() is None:
        pause.wait(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def assert_stopped_well(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 130, done.stdout + done.stderr
    assert "interrupted" in done.stderr
    assert "again" in done.stderr or "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "output" / "bundle.json").exists()


@pytest.mark.slow
def test_stopped_in_each_stage_it_ends_as_an_uninterrupted_run_does(tmp_path: Path) -> None:
    halted, whole = tmp_path / "halted", tmp_path / "whole"
    halted.mkdir()
    whole.mkdir()
    output = halted / "output"

    drawing = interrupt_when(lambda: len(list(output.glob("sample_data/*/images/*"))) > 3, halted)
    assert_stopped_well(drawing, halted)
    assert not (halted / "features").exists()

    lock = "features/image-*/*/.lock"
    embedding = interrupt_when(lambda: any(halted.glob(lock)), halted)
    assert_stopped_well(embedding, halted)
    assert not (output / "checkpoints").exists()

    checkpoint = output / "checkpoints" / "last.ckpt"
    training = interrupt_when(checkpoint.exists, halted)
    assert_stopped_well(training, halted)
    assert "--resume" in training.stderr
    assert checkpoint.exists()
    assert not list(output.glob("*.pt"))

    resumed = start(halted, "--resume")
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, out + err
    straight = start(whole)
    out, err = straight.communicate(timeout=120)
    assert straight.returncode == 0, out + err
    for name in HEADS:
        assert (output / name).read_bytes() == (whole / "output" / name).read_bytes(), name
    mine, theirs = ((folder / "output" / "metrics.json").read_text() for folder in (halted, whole))
    assert mine == theirs
