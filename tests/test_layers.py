"""A module imports only from strictly lower layers, proved from the import statements."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "multimodal_search"

# docs/design.md has the same table. Modules of one layer do not import each other; parts of one package may.
LAYERS = {
    "types": 0,
    "errors": 0,
    "settings": 1,
    "storage": 1,
    "splits": 1,
    "signals": 1,
    "engines": 1,
    "tables": 2,
    "filters": 2,
    "closed_form": 3,
    "encoders": 3,
    "projectors": 3,
    "sources": 3,
    "index": 3,
    "rendering": 3,
    "embedding": 4,
    "metrics": 4,
    "analysis": 4,
    "extraction": 4,
    "search": 5,
    "export": 5,
    "specimens": 5,
    "training": 6,
    "serving": 6,
    "cli": 7,
}

# The only module (or package) that may import each of these.
ONLY_HERE = {
    "lightning": {"training"},
    "faiss": {"index"},
    "boto3": {"storage"},
    "botocore": {"storage"},
    "nuscenes": {"sources"},
    "open_clip": {"encoders"},
    "transformers": {"encoders"},
    "umap": {"export", "analysis"},
    "matplotlib": {"export", "analysis"},
    "pydantic": {"settings", "serving"},
    "yaml": {"settings"},
    "ray": {"engines"},
    "h5py": {"tables"},
    "imagehash": {"embedding"},
    "simplejpeg": {"embedding"},
    "qdrant_client": {"index"},
    "qdrant_edge": {"index"},
    "plotly": {"analysis", "serving"},
    "mcap": {"extraction"},
    "mcap_ros1": {"extraction"},
    "mcap_ros2": {"extraction"},
    "mcap_protobuf": {"extraction"},
    "google": {"extraction"},
    "fastapi": {"serving"},
    "starlette": {"serving"},
    "uvicorn": {"serving"},
    "prometheus_client": {"serving"},
    "trimesh": {"rendering"},
    "numba": {"rendering"},
    "vtk": {"rendering"},
    "vtkmodules": {"rendering"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


def _owner(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; use the full name"
            names.add(node.module or "")
            if node.module == "multimodal_search":
                names.update(f"multimodal_search.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                names.add(str(first.value))
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_downwards(file: Path) -> None:
    owner = _owner(file)
    if owner in ("__init__", "__main__"):
        return
    assert owner in LAYERS, f"{owner} has no layer: add it to docs/design.md and to this test"
    for name in _imports(file):
        parts = name.split(".")
        if parts[0] == "multimodal_search" and len(parts) > 1 and parts[1] != owner:
            if parts[1] in ("__version__", "load"):
                continue
            assert LAYERS[parts[1]] < LAYERS[owner], f"{owner} imports {name}"
        if parts[0] in ONLY_HERE:
            assert owner in ONLY_HERE[parts[0]], f"{owner} imports {parts[0]}"


def test_the_design_page_has_the_same_layers() -> None:
    page = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.M)
    assert [(name, int(layer)) for layer, name in rows] == list(LAYERS.items())
    there = {_owner(file) for file in FILES} - {"__init__", "__main__"}
    assert there == set(LAYERS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_stay_small(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize(
    "statement",
    [
        "import multimodal_search",
        "import multimodal_search.cli.train; import multimodal_search.settings",
        "import multimodal_search.sources",
        "from multimodal_search.cli import main; main(['train', '--help'])",
        "from multimodal_search.cli import main; main(['--help'])",
    ],
)
def test_light_imports_bring_no_torch(statement: str) -> None:
    code = (
        f"{statement}\nimport sys\n"
        "names = {'torch', 'lightning', 'transformers', 'open_clip', 'umap', 'matplotlib'}\n"
        "heavy = names & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
