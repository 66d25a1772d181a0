"""The folder that is uploaded: the program and what it needs installed; no data, no .git, no tests."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from checkout import ROOT

from multimodal_search.errors import DataError

CONFIG = "job.yaml"
_OF_THE_IMAGE = {"torch"}  # another torch than the image's would not know its CUDA


def stage(folder: Path, script: Path, extras: Iterable[str], config: Mapping[str, Any]) -> None:
    """Fill a new folder with the program.

    Args:
        script: the file that the job starts; it is put at the top.
        extras: of pyproject.toml, installed in the job beside the library's own dependencies.
        config: settings that no flag can carry; ``job.yaml``, where there are any.

    Raises:
        DataError: this is not a whole checkout.
    """
    package = ROOT / "multimodal_search"
    if not (ROOT / "pyproject.toml").is_file() or not package.is_dir():
        raise DataError("The launcher is not inside a checkout.", where=ROOT, remedy="clone the repository")
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    shutil.copytree(package, folder / "multimodal_search", ignore=skipped)
    shutil.copy(script, folder / script.name)
    (folder / "requirements.txt").write_text("".join(f"{one}\n" for one in requirements(extras)))
    if config:
        (folder / CONFIG).write_text(yaml.safe_dump(dict(config), allow_unicode=True), encoding="utf-8")


def requirements(extras: Iterable[str]) -> list[str]:
    """What pip installs in the job: pyproject.toml's own list, without what the image brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return [one for one in wanted if re.split(r"[^A-Za-z0-9_.-]", one)[0] not in _OF_THE_IMAGE]
