"""What the notebooks install in Colab fits what Colab brings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLAB = Path(__file__).with_name("colab-2026-08.txt")


def installed_extras(notebook: Path) -> set[str]:
    """Extras that the notebook's first cell asks for."""
    source = json.dumps(json.loads(notebook.read_text(encoding="utf-8"))["cells"])
    found = re.findall(r"multimodal-search\[([\w,]+)\] @ git", source)
    assert len(found) == 1, notebook
    return set(found[0].split(","))


@pytest.mark.slow
def test_the_library_resolves_without_replacing_what_colab_brings() -> None:
    pytest.importorskip("uv", reason="uv is not installed")
    notebooks = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "colab").glob("*.ipynb")]
    extras = set.union(*(installed_extras(one) for one in notebooks))
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header"]
    command += ["--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_28", "-c", str(COLAB)]
    command += [word for extra in sorted(extras) for word in ("--extra", extra)]
    done = subprocess.run([*command, str(ROOT / "pyproject.toml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    resolved = dict(line.split("==", 1) for line in done.stdout.splitlines() if "==" in line)
    for name in ("torch", "numpy", "protobuf"):
        pinned = re.search(rf"^{name}==(\S+)", COLAB.read_text(), re.M)
        assert pinned
        assert resolved.get(name, pinned[1]) == pinned[1]
