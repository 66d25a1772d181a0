"""Prints what pyproject.toml needs, with some extras, one requirement a line: ``... s3,serve``."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
for extra in filter(None, sys.argv[1].split(",")):
    wanted += project["project"]["optional-dependencies"][extra]
print("\n".join(wanted))
