"""A trained sample bundle, and servers over it: in this process, and as a command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

import httpx
import numpy as np
from starlette.testclient import TestClient

from multimodal_search.export.moments import MomentVectors
from multimodal_search.export.scenes_map import write_scenes_map
from multimodal_search.export.vectors import write_vectors
from multimodal_search.projectors.bundle import read_bundle_info
from multimodal_search.serving.app import build
from multimodal_search.settings.serving import ServeSettings
from multimodal_search.tables import open_vectors
from multimodal_search.types import Item, Modality

ROOT = Path(__file__).parents[2]
TRAIN = ["train", "--use-sample-data", "--sample-scenes", "30", "--epochs", "2", "--include-timeseries"]
HOME = "http://127.0.0.1"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of thirty scenes; do not write into it. A variable names one that was made before."""
    if made := os.environ.get("MULTIMODAL_SEARCH_TEST_BUNDLE"):
        return Path(made)
    home = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "multimodal_search", *TRAIN, "--features-dir", "features"]
    done = subprocess.run(command, cwd=home, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "output"


@pytest.fixture
def own_bundle(bundle: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(bundle, tmp_path / "own"))


@pytest.fixture
def open_client(bundle: Path, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of an application over a bundle, in this process; settings by name."""
    entered: list[TestClient] = []

    def make(folder: Path = bundle, **settings: Any) -> TestClient:
        given = {"cache_dir": tmp_path / "cache", "rate_per_second": 10_000, "device": "cpu", **settings}
        uploads = tmp_path / f"uploads-{len(entered)}"
        uploads.mkdir()
        app, services = build(ServeSettings(bundle=folder, **given), uploads)
        client = TestClient(app, base_url=HOME, raise_server_exceptions=False)
        client.services = services  # type: ignore[attr-defined]
        entered.append(client.__enter__())
        return client

    yield make
    for client in entered:
        client.__exit__(None, None, None)


@pytest.fixture
def client(open_client: Callable[..., TestClient]) -> TestClient:
    """A client of the shared bundle."""
    return open_client()


class Running:
    """``multimodal-search serve`` in a process of its own."""

    def __init__(self, bundle: Path, *flags: str, **more: str) -> None:
        command = [sys.executable, "-m", "multimodal_search", "serve", "--bundle", str(bundle), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--device", "cpu", *flags],
            env=environment(XDG_CACHE_HOME=str(bundle.parent / "cache"), **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"http://\S+", line):
                self.url = found.group()
                break
        else:
            raise AssertionError(self.said)

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.said += self.process.stdout.read()
        self.process.stdout.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts servers, which end with the test."""
    running: list[Running] = []

    def go(bundle: Path, *flags: str, **more: str) -> Running:
        running.append(Running(bundle, *flags, **more))
        return running[-1]

    yield go
    for one in running:
        one.end()


def with_moments(bundle: Path, out: Path, items: list[Item], seed: int = 0) -> Path:
    """The bundle's encoders and heads over other moments, whose vectors are near those of its own."""
    shutil.copytree(
        bundle, out, ignore=shutil.ignore_patterns("vectors", "sample_data", "checkpoints", "logs")
    )
    own = open_vectors(bundle / "vectors")
    kinds = np.asarray(own.columns["type"].to_pylist()) if own.columns is not None else np.array([])
    generator = np.random.default_rng(seed)
    vectors = {}
    for modality in Modality:
        rows = np.flatnonzero(kinds == modality.value)
        chosen = own.gather(rows[np.arange(len(items)) % len(rows)])
        moved = chosen + 0.02 * generator.standard_normal(chosen.shape).astype(np.float32)
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        vectors[modality] = MomentVectors(moved, np.arange(len(items)))
    write_vectors(out / "vectors", items, vectors, read_bundle_info(bundle))
    scenes, first = np.unique([one.scene_id for one in items], return_index=True)
    places = generator.standard_normal((len(scenes), 2))
    write_scenes_map(out / "scenes_with_umap.json", items, first.astype(np.int64), places)
    return out


@pytest.fixture(scope="session", name="with_moments")
def with_moments_fixture() -> Callable[..., Path]:
    """``with_moments``: tests are no package."""
    return with_moments


@pytest.fixture(scope="session")
def drive(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drives of eight keyframes, half a second apart, with ids that a browser has to encode."""
    items = [
        Item(
            id=f"drive {scene}/a?b#c&日本/{frame:02d}",
            scene_id=f"drive {scene}",
            timestamp_us=1_532_402_927_000_000 + scene * 3_600_000_000 + frame * 500_000,
            image_path=f"images/sample-{8 * scene + frame:05d}.jpg",
            text=(f"<script>alert({frame})</script> turn left",),
            metadata={"wet": frame % 2 == 0, "speed_max": float(frame), "<b>": "</script>"},
        )
        for scene in range(3)
        for frame in range(8)
    ]
    return with_moments(bundle, tmp_path_factory.mktemp("drive") / "bundle", items)
