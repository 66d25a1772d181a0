"""A small trained bundle, made once by the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--use-sample-data", "--sample-scenes", "30", "--epochs", "2", "--include-timeseries"]


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``multimodal-search`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "multimodal_search", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained bundle in ``output``; do not write into it."""
    folder = tmp_path_factory.mktemp("home")
    done = command("train", *SMALL, "--features-dir", "features", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "train.log").write_text(done.stdout)
    return folder
