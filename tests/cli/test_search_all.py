"""``search-all``: the neighbours of every row, as files; goes on after a kill; odd input is explained."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from multimodal_search.analysis import neighbors_all
from multimodal_search.analysis.neighbors_paths import file_paths
from multimodal_search.cli import main
from multimodal_search.types import FloatArray

ROOT = Path(__file__).parents[2]


def write(folder: Path, array: FloatArray, ids: list[str] | None = None) -> list[str]:
    """The flags that name vectors written into the folder."""
    np.save(folder / "e.npy", array)
    flags = ["--emb", str(folder / "e.npy")]
    if ids is not None:
        (folder / "ids.txt").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
        flags += ["--ids", str(folder / "ids.txt")]
    return flags


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_csv_a_row_in_the_items_own_folders_and_one_parquet(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    array[7] = 0
    ids = [f'drive {i // 20}/{"車" * (i % 3)}{i},"x".jpg' for i in range(60)]
    flags = write(tmp_path, array, ids)
    assert main(["search-all", *flags, "--out", str(tmp_path / "o"), "--topk", "4"]) == 0
    unit = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-9)
    away = 1 - unit @ unit.T
    np.fill_diagonal(away, np.inf)
    away[:, 7] = np.inf
    for row, path in enumerate(file_paths(ids)):
        found = rows_of(tmp_path / "o" / path)
        if row == 7:
            assert found == []
            continue
        expected = np.argsort(away[row])[:4]
        assert [one["neighbor_id"] for one in found] == [ids[other] for other in expected]
        assert {one["query_id"] for one in found} == {ids[row]}
        assert np.allclose([float(one["distance"]) for one in found], away[row][expected], atol=1e-6)
    table = pq.read_table(tmp_path / "o" / "neighbors.parquet")
    assert table.column_names == ["query_id", "neighbor_id", "distance"]
    assert table.num_rows == 59 * 4
    assert table["query_id"].to_pylist()[:4] == [ids[0]] * 4
    assert "1 rows have no neighbours" in (tmp_path / "o" / "search_all.log").read_text()


def test_ids_cannot_leave_the_folder(tmp_path: Path) -> None:
    ids = ["../escape", "/tmp/escape", "a", "a.csv/b", "A", "x" * 3000, "neighbors.parquet/c"]
    flags = write(tmp_path, np.eye(7, dtype=np.float32), ids)
    assert main(["search-all", *flags, "--out", str(tmp_path / "o" / "p")]) == 0
    assert (
        sum(len(rows_of(path)) == 6 for path in (tmp_path / "o" / "p").rglob("*.csv") if path.is_file()) == 7
    )
    assert sorted(one.name for one in (tmp_path / "o").iterdir()) == [".neighbours", "p"]


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    array = np.random.default_rng(1).normal(size=(20_000, 4)).astype(np.float32)
    flags = write(tmp_path, array, [f"{i % 50}/{i}" for i in range(len(array))])
    command = [sys.executable, "-m", "multimodal_search", "search-all", *flags, "--topk", "2"]
    running = subprocess.Popen(
        [*command, "--out", str(tmp_path / "o")], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while running.poll() is None and not (tmp_path / "o/3/9003.csv").exists():
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not (tmp_path / "o/49/19999.csv").exists()
    arguments = ["search-all", *flags, "--topk", "2", "--out"]
    assert main([*arguments, str(tmp_path / "o")]) == 0
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    for one in ("3/9003", "0/0", "49/19999"):
        found = (tmp_path / f"o/{one}.csv").read_bytes()
        assert found == (tmp_path / f"whole/{one}.csv").read_bytes()
    assert len(list((tmp_path / "o").rglob("*.csv"))) == len(array)


def test_a_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = write(tmp_path, np.random.default_rng(2).normal(size=(300, 4)).astype(np.float32))
    arguments = ["search-all", *flags, "--out", str(tmp_path / "o")]
    monkeypatch.setattr("multimodal_search.analysis.neighbors_write._SYNC_ROWS", 100)
    real = os.sync
    turns = iter([real, real])
    monkeypatch.setattr(os, "sync", lambda: next(turns)())
    with pytest.raises((StopIteration, RuntimeError)):
        main(arguments)
    monkeypatch.setattr(os, "sync", real)
    (tmp_path / "o/5.csv").unlink()
    assert main(arguments) == 0
    assert not (tmp_path / "o/5.csv").exists(), "rows noted as written are not written again"
    assert (tmp_path / "o/299.csv").exists()
    assert "going on after row 200 of 300" in (tmp_path / "o" / neighbors_all.LOG).read_text()


def test_without_csvs_there_is_the_parquet_alone_and_csvs_can_follow(tmp_path: Path) -> None:
    flags = write(tmp_path, np.eye(5, dtype=np.float32))
    arguments = ["search-all", *flags, "--out", str(tmp_path / "o"), "--topk", "2"]
    assert main([*arguments, "--no-csv"]) == 0
    assert not list((tmp_path / "o").glob("*.csv"))
    assert main(arguments) == 0
    assert len(list((tmp_path / "o").glob("*.csv"))) == 5


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_other_metrics(tmp_path: Path, metric: str) -> None:
    array = np.array([[1, 0], [2, 0], [0, 3]], np.float32)
    flags = write(tmp_path, array)
    assert main(["search-all", *flags, "--out", str(tmp_path / "o"), "--metric", metric, "--topk", "9"]) == 0
    found = rows_of(tmp_path / "o/0.csv")
    expected = {"l2": [("1", 1.0), ("2", 10**0.5)], "ip": [("1", -2.0), ("2", 0.0)]}[metric]
    assert [one["neighbor_id"] for one in found] == [name for name, _ in expected]
    assert np.allclose([float(one["distance"]) for one in found], [away for _, away in expected], atol=1e-6)


def test_other_settings_and_others_files_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write(tmp_path, np.eye(5, dtype=np.float32))
    arguments = ["search-all", *flags, "--out", str(tmp_path / "o")]
    assert main(arguments) == 0
    assert main([*arguments, "--topk", "3"]) == 2
    assert "other settings" in capsys.readouterr().err
    write(tmp_path, np.ones((5, 5), dtype=np.float32))
    assert main(arguments) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    assert main(["search-all", *flags, "--out", str(tmp_path / "mine")]) == 2
    assert "thesis.txt" in capsys.readouterr().err


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(tmp_path: Path, rows: int) -> None:
    flags = write(tmp_path, np.ones((rows, 3), dtype=np.float32))
    assert main(["search-all", *flags, "--out", str(tmp_path / "o")]) == 0
    assert pq.read_table(tmp_path / "o" / "neighbors.parquet").num_rows == 0


def test_bad_input_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = write(tmp_path, np.eye(3, dtype=np.float32), ["a", "b"])
    for given, words in (
        (flags, "2 ids for 3 vectors"),
        (["--emb", str(tmp_path / "absent.npy")], "no such file"),
        ([], "--embeddings is required"),
        ([*flags, "--topk", "0"], "--topk"),
        ([*flags, "--metric", "hamming"], "--metric"),
    ):
        assert main(["search-all", *given, "--out", str(tmp_path / "o")]) == 2
        assert words in capsys.readouterr().err
