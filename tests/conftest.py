"""What every test needs: no network, no state left behind, real data where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feature tables of one test never serve another."""
    monkeypatch.setenv("MULTIMODAL_SEARCH_FEATURES_DIR", str(tmp_path_factory.mktemp("features")))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files; tests that need it are skipped where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MULTIMODAL_SEARCH_REAL_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (MULTIMODAL_SEARCH_REAL_DATA names another place)")
    return folder
