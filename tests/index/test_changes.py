"""Append and delete: seen at once, on the disk when they return, whatever kills the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from multimodal_search import index
from multimodal_search.errors import DataError, EncoderError
from multimodal_search.index import changes
from multimodal_search.tables.vectors import VectorSet

KINDS = ("flat", "hnsw", "ivfflat", "ivfpq", "sq8")


@pytest.mark.parametrize("kind", KINDS)
def test_appended_rows_are_found_and_deleted_ones_are_not(tmp_path, vectors_of, clusters, kind, monkeypatch):
    monkeypatch.setattr(changes, "_TAIL_ROWS", 250)
    array = clusters(2600)
    place = tmp_path / "a.faiss"
    built = index.build(vectors_of(array[:2000]), place, kind=kind, target_recall=0.99)
    for first in range(2000, 2600, 100):
        assert built.append(vectors_of(array[first : first + 100], first=first)) == 100
        for opened in (built, index.load(place)):
            assert len(opened) == first + 100
            assert opened.search(array[first + 50], 1).ids.tolist() == [f"id{first + 50}"]
    assert built.delete(["id7", "id2050"]) == 2
    for opened in (built, index.load(place)):
        assert not {7, 2050} & set(opened.search(array[[7, 2050]], 20).rows.ravel().tolist())
        assert opened.rows_of(["id7", "id8"]).tolist() == [-1, 8]
        assert opened.columns["number"].to_pylist() == list(range(2600))
        np.testing.assert_allclose(
            opened.vectors(np.array([2599, 0])),
            array[[2599, 0]] / np.linalg.norm(array[[2599, 0]], axis=1, keepdims=True),
            atol=1e-3,
        )
    # an id that was deleted may come again
    assert built.append(vectors_of(array[7:8], first=7)) == 1
    assert built.search(array[7], 1).rows.tolist() == [2600]
    assert built.rows_of(["id7"]).tolist() == [2600]


def test_many_small_appends_do_not_leave_many_files(tmp_path, vectors_of, clusters):
    array = clusters(200)
    built = index.build(vectors_of(array[:100]), tmp_path / "a.faiss")
    for row in range(100, 200):
        built.append(vectors_of(array[row : row + 1], first=row))
    assert built.search(array[150], 1).ids.tolist() == ["id150"]
    assert len(list((tmp_path / "a.faiss.files").iterdir())) < 90


def test_ids_that_are_there_are_refused_or_skipped(tmp_path, vectors_of, clusters):
    array = clusters(60)
    built = index.build(vectors_of(array[:50]), tmp_path / "a.faiss")
    with pytest.raises(DataError, match="10 ids are in the index already, 'id40'"):
        built.append(vectors_of(array[40:60], first=40))
    assert len(built) == 50
    assert built.append(vectors_of(array[40:60], first=40), skip_known=True) == 10
    assert built.append(vectors_of(array[40:60], first=40), skip_known=True) == 0
    assert built.columns["id"].to_pylist() == [f"id{row}" for row in range(60)]


def test_what_does_not_belong_is_refused_and_changes_nothing(tmp_path, vectors_of, clusters):
    built = index.build(vectors_of(clusters(50)), tmp_path / "a.faiss")
    with pytest.raises(DataError, match="length 16"):
        built.append(vectors_of(clusters(5, dim=16), first=50))
    with pytest.raises(EncoderError, match="another encoder"):
        built.append(vectors_of(clusters(5), first=50, fingerprint="e" * 64))
    with pytest.raises(DataError, match="2 of these ids are not in the index, 'x' first"):
        built.delete(["id1", "x", "y"])
    twice = VectorSet("memory", ["n", "n"], 32, lambda some: clusters(2)[some])
    with pytest.raises(DataError, match="comes twice"):
        built.append(twice)
    odd = VectorSet("memory", ["n"], 32, lambda some: clusters(1)[some], columns=pa.table({"number": ["x"]}))
    with pytest.raises(DataError, match="metadata do not fit"):
        built.append(odd)
    assert len(index.load(tmp_path / "a.faiss")) == 50
    assert index.load(tmp_path / "a.faiss").usable.all()


def test_rows_may_bring_new_columns_and_lack_old_ones(tmp_path, vectors_of, clusters):
    built = index.build(vectors_of(clusters(3)), tmp_path / "a.faiss")
    more = VectorSet("memory", ["n"], 32, lambda some: clusters(1)[some], columns=pa.table({"new": [1.5]}))
    built.append(more)
    assert built.columns.column_names == ["id", "number", "place", "new"]
    assert built.columns["number"].to_pylist() == [0, 1, 2, None]
    assert built.columns["new"].to_pylist() == [None] * 3 + [1.5]


def test_unusable_rows_that_are_appended_are_listed(tmp_path, vectors_of, clusters):
    array = clusters(6)
    array[4] = 0
    built = index.build(vectors_of(array[:3]), tmp_path / "a.faiss")
    built.append(vectors_of(array[3:], first=3))
    built.delete(["id1"])
    assert built.left_out == ["id4"]
    assert sorted(built.search(array[0], 10).rows.tolist()) == [0, 2, 3, 5]


WRITER = """
import sys
import numpy as np
from multimodal_search import index
from multimodal_search.index import backup, changes
from multimodal_search.tables.vectors import VectorSet

changes._TAIL_ROWS = 60
place, log, target = sys.argv[1:4]
opened = index.load(place)
confirmed = open(log, "a")
number = len(opened)
while True:
    array = np.random.default_rng(number).standard_normal((20, 8)).astype(np.float32)
    ids = [f"id{row}" for row in range(number, number + 20)]
    opened.append(VectorSet("memory", ids, 8, lambda some: array[some]))
    print("+", number, file=confirmed, flush=True)
    opened.delete([f"id{number + 3}"])
    print("-", number + 3, file=confirmed, flush=True)
    number += 20
    backup(place, target)
    print("b", number, file=confirmed, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["flat", "ivfflat"])
def test_kill_9_at_any_moment_loses_nothing_that_was_confirmed(tmp_path, kind):
    array = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    place, log, target = tmp_path / "a.faiss", tmp_path / "log", tmp_path / "copy"
    first = VectorSet("memory", [f"id{row}" for row in range(100)], 8, lambda some: array[some])
    index.build(first, place, kind=kind)
    log.touch()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    generator = np.random.default_rng(1)
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place), str(log), str(target)],
            env=environment,
        )
        size = log.stat().st_size
        while log.stat().st_size == size:
            assert writer.poll() is None
            time.sleep(0.005)
        time.sleep(float(generator.uniform(0, 0.2)))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        _check(place, log)
    copied = [line for line in log.read_text().splitlines() if line.startswith("b")]
    assert copied
    index.restore(target, tmp_path / "back" / "a.faiss")
    back = index.load(tmp_path / "back" / "a.faiss")
    assert len(back) >= int(copied[-1].split()[1])
    # and as a plain copy of the folder
    assert len(index.load(target / "a.faiss")) == len(back)


def _check(place: Path, log: Path) -> None:
    opened = index.load(place)
    for line in log.read_text().splitlines():
        what, number = line.split()
        if what == "+":
            array = np.random.default_rng(int(number)).standard_normal((20, 8)).astype(np.float32)
            row = opened.rows_of([f"id{int(number) + 5}"])
            assert row[0] >= 0
            np.testing.assert_allclose(opened.vectors(row)[0], array[5] / np.linalg.norm(array[5]), atol=1e-3)
            assert opened.search(array[5], 1).ids.tolist() == [f"id{int(number) + 5}"]
        elif what == "-":
            assert opened.rows_of([f"id{number}"]).tolist() == [-1]


def test_a_rebuild_that_is_cut_off_leaves_the_old_index(tmp_path, vectors_of, clusters, monkeypatch):
    place = tmp_path / "a.faiss"
    array = clusters(100)
    index.build(vectors_of(array), place)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("multimodal_search.index.state.Files.commit", die)
        with pytest.raises(KeyboardInterrupt):
            index.build(vectors_of(clusters(50, seed=3), first=500), place)
    assert index.load(place).search(array[3], 1).ids.tolist() == ["id3"]
    with monkeypatch.context() as patched:
        # the state holds, the Faiss file still waits
        patched.setattr("multimodal_search.index.state.Files.tidy", die)
        with pytest.raises(KeyboardInterrupt):
            index.build(vectors_of(clusters(50, seed=3), first=500), place)
    opened = index.load(place)
    assert opened.columns["id"][0].as_py() == "id500"
    assert len(opened.search(array[3], 100)) == 50
    opened.delete(["id500"])
    assert len(index.load(place).search(array[3], 100)) == 49
    assert not list((tmp_path / "a.faiss.files").glob("index-*"))
