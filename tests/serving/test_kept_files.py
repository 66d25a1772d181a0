"""Thumbnails are kept until they are too many; then those unseen for longest go."""

from __future__ import annotations

import os
from pathlib import Path

from multimodal_search.serving.kept_files import KeptFiles

KB = bytes(1000)


def test_the_longest_unread_go_first(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path, 10_000)
    for number in range(10):
        kept.write(f"{number}-a", KB)
        os.utime(tmp_path / f"{number}-" / f"{number}-a", (number, number))
    assert kept.read("0-a") == KB  # and so it is the latest
    kept.write("x-new", KB)
    left = {path.name for path in tmp_path.rglob("*-*") if path.is_file()}
    assert {"0-a", "x-new"} < left
    assert len(left) == 8
    assert "1-a" not in left
    assert kept.read("1-a") is None


def test_what_an_earlier_process_kept_counts(tmp_path: Path) -> None:
    earlier = KeptFiles(tmp_path, 10**9)
    for number in range(20):
        earlier.write(f"{number:02d}-a", KB)
    later = KeptFiles(tmp_path, 10_000)
    assert later.read("07-a") == KB
    later.write("zz-a", KB)
    assert len([path for path in tmp_path.rglob("*-a") if path.is_file()]) == 8


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = KeptFiles(tmp_path / "file" / "cache", 10**9)
    kept.write("a", KB)
    assert kept.read("a") is None
