"""kill -9 while an upload runs: what was confirmed is there afterwards, and the same command finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from multimodal_search.index.backends import open_backend
from multimodal_search.tables.vectors import open_vectors

pytest.importorskip("qdrant_edge")

UPLOAD = """
import sys
from multimodal_search.index.backends import open_backend
from multimodal_search.tables.vectors import open_vectors

backend = open_backend("qdrant-edge", sys.argv[2])
backend._engine.batch_rows = 50
backend.upload(open_vectors(sys.argv[1]), progress=lambda done, _: print(done, flush=True))
print("whole", flush=True)
"""


@pytest.mark.parametrize("after_rows", [1, 400, 2500])
def test_every_confirmed_row_is_there_after_kill_9(tmp_path: Path, after_rows: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 64)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    folder = tmp_path / "edge"
    command = [sys.executable, "-c", UPLOAD, str(tmp_path / "v.npy"), str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    confirmed = 0
    for line in child.stdout:
        if line.strip() == "whole":
            break
        confirmed = int(line)
        if confirmed >= after_rows:
            time.sleep(rng.uniform(0, 0.01))
            os.kill(child.pid, signal.SIGKILL)
            break
    rest = [int(line) for line in child.stdout if line.strip().isdigit()]
    confirmed = max([confirmed, *rest])
    assert child.wait() == -signal.SIGKILL

    backend = open_backend("qdrant-edge", str(folder))
    assert backend.count() >= confirmed
    for row in {0, confirmed // 2, confirmed - 1}:
        assert backend.search(vectors[row], 1).ids.tolist() == [str(row)]
    done = backend.upload(open_vectors(tmp_path / "v.npy"))
    assert done.present >= confirmed
    assert done.sent + done.present == backend.count() == 3000
    queries = vectors[rng.integers(0, 3000, 20)] + 0.1 * rng.normal(size=(20, 64))
    found = backend.search(queries, 1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert [int(one) for one in found.ids[:, 0]] == np.argmax(queries @ unit.T, axis=1).tolist()
    backend.close()


def test_killed_while_the_collection_is_made(tmp_path: Path) -> None:
    """At any moment before the first row: the folder opens, and the upload begins again."""
    np.save(tmp_path / "v.npy", np.eye(8, dtype=np.float32))
    for attempt in range(6):
        folder = tmp_path / f"edge{attempt}"
        command = [sys.executable, "-c", UPLOAD, str(tmp_path / "v.npy"), str(folder)]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not folder.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(0.003 * attempt)
        child.kill()
        child.wait()
        backend = open_backend("qdrant-edge", str(folder))
        backend.upload(open_vectors(tmp_path / "v.npy"))
        assert backend.count() == 8
        backend.close()


@pytest.mark.slow
def test_killed_while_the_index_is_built(tmp_path: Path) -> None:
    """All rows are confirmed, and Edge builds its graph: nothing is lost, and the same upload builds it."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12_000, 256)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    folder = tmp_path / "edge"
    command = [sys.executable, "-c", UPLOAD, str(tmp_path / "v.npy"), str(folder)]
    for pause_seconds in (0.05, 1.0):
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for line in child.stdout:
            if line.strip() == "12000":
                break
        time.sleep(pause_seconds)
        child.kill()
        child.wait()
        backend = open_backend("qdrant-edge", str(folder))
        assert backend.count() == 12_000
        assert backend.search(vectors[[0, 5000, 11_999]], 1).ids[:, 0].tolist() == ["0", "5000", "11999"]
        backend.close()
    backend = open_backend("qdrant-edge", str(folder))
    assert backend.upload(open_vectors(tmp_path / "v.npy")).present == 12_000
    # whether a graph is built depends on the sizes of Edge's segments, which depend on the processors
    found = backend.search(vectors[:100], 1).ids[:, 0].tolist()
    assert sum(one == str(row) for row, one in enumerate(found)) >= 99
    backend.close()
