"""An extraction that is killed or interrupted goes on, and ends as one that was not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multimodal_search.cli import main
from multimodal_search.sources.extracted import ExtractedSource

from .conftest import release

SCENES = 40


def start(root: Path, out: Path) -> subprocess.Popen[str]:
    """The command, slowed down so that it is stopped in the midst of its work."""
    slow = (
        "import sys, time; from multimodal_search.extraction.writing import ExtractedWriter as W; "
        "add = W.add_image; W.add_image = lambda *a: (time.sleep(0.05), add(*a))[1]; "
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from multimodal_search.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", slow, "extract", "--dataroot", str(root), "--output-dir", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_scenes(out: Path, count: int) -> None:
    journal = out / ".extraction.jsonl"
    for _ in range(1200):
        if journal.is_file() and journal.read_bytes().count(b'"record"') >= count:
            return
        time.sleep(0.02)
    raise AssertionError("no scene was written")


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture
def root(write_release: Callable[..., Path]) -> Path:
    content = release(scenes=SCENES, keyframes=4)
    root = write_release(content)
    for scene in (0, 5, 39):
        for path in (root / "samples" / "CAM_FRONT").glob(f"{scene}-*"):
            path.unlink()
    return root


def test_a_killed_extraction_ends_as_an_uninterrupted_one(root: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "killed", tmp_path / "whole"
    for count in (1, 8, 15):
        process = start(root, out)
        wait_for_scenes(out, count)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it had not ended by itself"
        process.communicate()
        assert not (out / "scenes_metadata.json").exists()
    written = (out / "images").rglob("*.jpg")
    stamps = {path: path.stat().st_mtime_ns for path in written}
    assert main(["extract", "--dataroot", str(root), "--output-dir", str(out)]) == 0
    assert main(["extract", "--dataroot", str(root), "--output-dir", str(whole)]) == 0
    assert contents(out) == contents(whole)
    assert len(ExtractedSource(out).items()) == SCENES
    kept = sum(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert kept >= len(stamps) - 3, "what was finished is not done again"


def test_after_ctrl_c_there_is_a_folder_that_can_be_used(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(root, out)
    wait_for_scenes(out, 5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "run again goes on" in said
    records = json.loads((out / "scenes_metadata.json").read_text())
    # of the fifth perhaps only the journal's line was written
    assert 4 <= len(records) < SCENES
    assert len(ExtractedSource(out).items()) == len(records)
    assert main(["extract", "--dataroot", str(root), "--output-dir", str(out)]) == 0
    assert len(ExtractedSource(out).items()) == SCENES


def test_two_at_once_are_told_apart(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(root, tmp_path / "out")
    try:
        wait_for_scenes(tmp_path / "out", 1)
        assert main(["extract", "--dataroot", str(root), "--output-dir", str(tmp_path / "out")]) == 2
        assert "Another run writes to this folder" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_is_told_and_what_was_finished_is_kept(
    root: Path, tmp_path: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["extract", "--dataroot", str(root), "--output-dir", str(small_disk / "out")]
    for free in (0, 40_000, 150_000):
        filler = small_disk / "filler"
        filler.unlink(missing_ok=True)
        filler.write_bytes(b"0" * max(0, shutil.disk_usage(small_disk).free - free))
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "The disk is full" in said
        assert "what was finished before is kept" in said
        assert not list(small_disk.rglob("*.tmp"))
    filler.unlink()
    assert main(command) == 0
    assert main([*command[:3], "--output-dir", str(tmp_path / "whole")]) == 0
    assert contents(small_disk / "out") == contents(tmp_path / "whole")
