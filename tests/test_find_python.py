"""What runs the tests on another Python finds it, or says clearly that it is not here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).with_name("find_python.sh")


def find(wanted: str, home: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it with an empty home, and at most one folder before the system's path."""
    environment = {
        "HOME": str(home),
        "PATH": os.pathsep.join([*([str(path)] if path else []), "/usr/bin:/bin"]),
    }
    return subprocess.run(
        ["bash", SCRIPT, wanted], env=environment, capture_output=True, text=True, check=False
    )


def an_interpreter(place: Path, *lines: str) -> Path:
    """A program that is called as Python is."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    place.chmod(0o755)
    return place


def test_the_first_on_the_path_is_taken(tmp_path: Path) -> None:
    an_interpreter(tmp_path / "bin" / "python3.98", "echo /first")
    assert find("3.98", tmp_path, tmp_path / "bin").stdout == "/first\n"


def test_a_shim_of_a_version_that_is_off_is_passed_over(tmp_path: Path) -> None:
    an_interpreter(tmp_path / "shims" / "python3.98", "exit 127")
    an_interpreter(tmp_path / ".pyenv" / "versions" / "3.98.4" / "bin" / "python", "echo /by/pyenv")
    an_interpreter(tmp_path / ".pyenv" / "versions" / "3.980.1" / "bin" / "python", "echo /another")
    assert find("3.98", tmp_path, tmp_path / "shims").stdout == "/by/pyenv\n"


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    mine = an_interpreter(tmp_path / "mine" / "python", "echo /mine")
    assert find(str(mine), tmp_path).stdout == "/mine\n"


def test_an_absent_one_is_said_with_what_to_do(tmp_path: Path) -> None:
    done = find("3.98", tmp_path)
    assert done.returncode == 3
    assert not done.stdout
    assert "Python 3.98 is not here" in done.stderr
    assert "Install it" in done.stderr
    assert "or give its path" in done.stderr
