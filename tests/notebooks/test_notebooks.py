"""Every notebook runs from top to bottom, and is committed without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

import multimodal_search

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "colab").glob("*.ipynb")])


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from multimodal_search.cli import main

    folder = tmp_path_factory.mktemp("notebooks") / "output"
    argv = ["--use-sample-data", "--sample-scenes", "40", "--epochs", "2", "--include-timeseries"]
    assert main(["train", *argv, "--output-dir", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_it_is_committed_without_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_it_runs(notebook: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    papermill = pytest.importorskip("papermill")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    papermill.execute_notebook(
        str(notebook),
        str(tmp_path / "out.ipynb"),
        parameters={"bundle": str(bundle)},
        kernel_name="python3",
        cwd=str(tmp_path),
        progress_bar=False,
        log_output=False,
    )
    cells = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    assert any(cell.get("outputs") for cell in cells)
    if notebook.parts[-2:] == ("colab", "train.ipynb"):
        with ZipFile(tmp_path / "bundle.zip") as archive:
            archive.extractall(tmp_path / "taken")
        assert multimodal_search.load(tmp_path / "taken").search(text="rain", k=1)
