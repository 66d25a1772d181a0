"""``multimodal-search embed`` killed with -9 and started again: every row once, byte for byte."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from multimodal_search.tables import open_table

ROOT = Path(__file__).parents[2]
PICTURES = 96
SECONDS = 120


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, large enough that a part takes a moment; one of them is cut off."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = random.integers(0, 255, (600, 800, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.jpg", quality=95)
    broken = folder / "050.jpg"
    broken.write_bytes(broken.read_bytes()[:5000])
    return folder


@pytest.fixture(scope="module")
def reference(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of a run that nobody killed."""
    out = tmp_path_factory.mktemp("reference") / "table"
    run_to_the_end(pictures, out, "local")
    return out


def start(pictures: Path, out: Path, engine: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "multimodal_search", "embed", "--image-dir", str(pictures)]
    command += ["--out", str(out), "--encoder", "sample/vit", "--engine", engine, "--device", "cpu"]
    command += ["--rows-per-part", "8", "--batch-size", "2", "--num-workers", "1"]
    if engine != "local":
        command += ["--num-processes", "2"]
    out.parent.mkdir(exist_ok=True)
    with (out.parent / "log.txt").open("ab") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )


def run_to_the_end(pictures: Path, out: Path, engine: str) -> None:
    code = start(pictures, out, engine).wait(timeout=2 * SECONDS)
    assert code == 0, (out.parent / "log.txt").read_text()


def wait_for_parts(process: subprocess.Popen[bytes], out: Path, count: int) -> None:
    end = time.monotonic() + SECONDS
    while len(list(out.glob("part-*.parquet"))) < count:
        assert process.poll() is None, (out.parent / "log.txt").read_text()
        assert time.monotonic() < end, "no progress"
        time.sleep(0.01)


def digests(table: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in table.glob("part-*")}


def assert_whole(out: Path, reference: Path) -> None:
    ids = open_table(out).ids
    assert len(ids) == len(set(ids)) == PICTURES - 1
    assert digests(out) == digests(reference)
    assert [one.id for one in open_table(out).failures()] == ["050.jpg"]


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    actors = [one for one in children if " ".join(one.cmdline()).startswith("ray::RayShell")]
    return actors or [one for one in children if "tracker" not in " ".join(one.cmdline())]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "processes"])
def test_a_killed_command_goes_on_where_it_was(
    pictures: Path, reference: Path, tmp_path: Path, engine: str
) -> None:
    out = tmp_path / "table"
    for parts in (1, 3, 6):
        process = start(pictures, out, engine)
        wait_for_parts(process, out, parts)
        process.kill()
        process.wait()
    run_to_the_end(pictures, out, engine)
    assert_whole(out, reference)


@pytest.mark.slow
def test_a_killed_process_group_goes_on_where_it_was(pictures: Path, reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "table"
    process = start(pictures, out, "processes")
    wait_for_parts(process, out, 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run_to_the_end(pictures, out, "processes")
    assert_whole(out, reference)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_a_killed_worker_is_replaced_and_the_run_ends_well(
    pictures: Path, reference: Path, tmp_path: Path, engine: str
) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    out = tmp_path / "table"
    process = start(pictures, out, engine)
    wait_for_parts(process, out, 1)
    workers_of(process)[0].kill()
    assert process.wait(timeout=2 * SECONDS) == 0, (tmp_path / "log.txt").read_text()
    assert_whole(out, reference)
