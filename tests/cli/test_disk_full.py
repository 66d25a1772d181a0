"""A disk that fills up, and one that cannot be written: a message, exit code 2, and what was whole stays."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multimodal_search.cli import main

Mount = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Mount]]:
    """A disk of its own of 8 MB, and how to change its options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs Linux and root")

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")

    mount("size=8m")
    yield folder, mount
    subprocess.run(["umount", "-l", str(folder)], check=True)


def sums(folder: Path) -> dict[str, str]:
    """What the bundle's own files hold."""
    names = [*folder.glob("*.json"), *folder.glob("*.pt"), *folder.glob("vectors/**/*"), folder / "report.md"]
    files = [path for path in names if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def leave(folder: Path, free: int) -> None:
    """Fill the disk up to ``free`` bytes."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    filler.write_bytes(b"0" * max(0, shutil.disk_usage(folder).free - free))


def data_of(home: Path) -> list[str]:
    """The data and features of the trained bundle, which lie on the large disk."""
    world = next((home / "output" / "sample_data").glob("world-*"))
    return ["--data-dir", str(world), "--image-encoder", "sample/vit", "--text-encoder", "sample/text"]


@pytest.mark.slow
@pytest.mark.parametrize("free", [0, 16_384, 200_000, 600_000])
def test_a_disk_that_fills_up_leaves_no_half_bundle_and_an_older_one_whole(
    free: int, disk: tuple[Path, Mount], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = disk
    flags = [*data_of(home), "--epochs", "2", "--seed", "3", "--features-dir", str(tmp_path / "features")]
    leave(folder, free)
    assert main(["train", *flags, "--output-dir", str(folder / "new")]) == 2
    said = capsys.readouterr().err
    assert "full" in said
    assert "to do" in said
    assert "Traceback" not in said
    assert not (folder / "new" / "bundle.json").exists()

    shutil.rmtree(folder / "new", ignore_errors=True)
    (folder / "filler").unlink()
    older = folder / "older"
    shutil.copytree(
        home / "output", older, ignore=shutil.ignore_patterns("sample_data", "logs", "checkpoints")
    )
    before = sums(older)
    leave(folder, free)
    assert main(["train", *flags, "--output-dir", str(older)]) == 2
    assert "full" in capsys.readouterr().err
    assert sums(older) == before
    assert not [path.name for path in older.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_features_that_do_not_fit_are_a_message_too(
    disk: tuple[Path, Mount], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = disk
    leave(folder, 12_288)
    flags = [*data_of(home), "--features-dir", str(folder / "features"), "--output-dir", str(tmp_path / "o")]
    assert main(["train", *flags]) == 2
    assert "full" in capsys.readouterr().err
    assert not (tmp_path / "o" / "bundle.json").exists()


def test_a_disk_that_is_read_only(
    disk: tuple[Path, Mount], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mount = disk
    mount("remount,ro")
    assert main(["train", *data_of(home), "--output-dir", str(folder / "new")]) == 2
    said = capsys.readouterr().err
    assert "not permitted" in said
    assert str(folder) in said
