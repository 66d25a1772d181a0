"""``duplicates``: its files, its messages, and two real clips of a dashcam."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multimodal_search.cli import main
from multimodal_search.tables import read_ids

IDS = ["a/1.jpg", 'b,"2"', "a/3.jpg", "車\n4", "zero", "a\\6"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six rows: the first three are near-duplicates, one is zero."""
    array = np.array([[1, 0, 0], [1, 0.01, 0], [1, 0, 0.01], [0, 1, 0], [0, 0, 0], [0, 0, 1]], np.float32)
    columns = {
        "id": IDS,
        "embedding": pa.FixedSizeListArray.from_arrays(array.ravel(), 3),
        "split": ["train", "test", "train", "test", "train", "train"],
        "phash": ["0" * 16] * 3 + ["0f" * 8, None, "0f" * 8],
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


def groups_of(folder: Path) -> dict[str, list[dict[str, str]]]:
    with (folder / "duplicates.csv").open(newline="", encoding="utf-8") as file:
        found: dict[str, list[dict[str, str]]] = {}
        for row in csv.DictReader(file):
            found.setdefault(row["group"], []).append(row)
    return found


def test_groups_keep_list_leaks_and_summary(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.parent / "o"
    assert main(["duplicates", "--emb", str(table), "--out", str(out), "--split-column", "split"]) == 0
    groups = groups_of(out)
    assert [[row["id"] for row in group] for group in groups.values()] == [IDS[:3], [IDS[3], IDS[5]]]
    assert {row["representative"] for row in groups["0"]} == {IDS[0]}
    assert [row["by"] for row in groups["0"]] == ["", "both", "both"]
    assert float(groups["0"][0]["similarity"]) == 1
    assert float(groups["0"][1]["similarity"]) == pytest.approx(1 / 1.0001**0.5, abs=1e-6)
    assert read_ids(out / "keep.txt") == [IDS[0], IDS[3], IDS[4]]
    with (out / "leaks.csv").open(newline="", encoding="utf-8") as file:
        leaks = [
            (row["id"], row["split"], row["other_id"], row["other_split"]) for row in csv.DictReader(file)
        ]
    assert leaks == [
        (IDS[0], "train", IDS[1], "test"),
        (IDS[1], "test", IDS[2], "train"),
        (IDS[3], "test", IDS[5], "train"),
    ]
    summary = json.loads((out / "duplicates_summary.json").read_text())
    assert summary["n_total"] == 6
    assert (summary["n_groups"], summary["n_duplicates"], summary["n_keep"]) == (2, 3, 3)
    assert (summary["n_unusable"], summary["n_leaks"], summary["exact"]) == (1, 3, True)
    said = capsys.readouterr().out
    assert "2 groups with 3 near-duplicates, 3 to keep" in said
    assert "3 pairs leak between splits" in said
    assert main(["duplicates", "--emb", str(table), "--out", str(out), "--by", "embedding"]) == 0
    assert len(groups_of(out)) == 1
    assert not (out / "leaks.csv").exists()


def test_the_graph_is_shared_with_search_all(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = table.parent
    assert main(["duplicates", "--emb", str(table), "--out", str(home / "dups")]) == 0
    monkeypatch.setattr("multimodal_search.analysis.graph.neighbour_graph", None)
    assert main(["search-all", "--emb", str(table), "--out", str(home / "near"), "--topk", "3"]) == 0
    assert pq.read_table(home / "near/neighbors.parquet").num_rows == 5 * 3


def test_bad_input_is_explained(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, words in (
        (["--emb", str(table), "--split-column", "spilt"], "'split'"),
        (["--emb", str(table), "--threshold", "1.2"], "--threshold"),
        (["--emb", str(table), "--hash-distance", "17"], "--hash-distance"),
        (["--emb", str(table.parent)], "no vectors"),
    ):
        assert main(["duplicates", *flags, "--out", str(table.parent / "o")]) == 2
        assert words in capsys.readouterr().err
    np.save(table.parent / "e.npy", np.eye(3, dtype=np.float32))
    flags = ["--emb", str(table.parent / "e.npy"), "--by", "phash", "--out", str(table.parent / "o")]
    assert main(["duplicates", *flags]) == 2
    assert "--hash phash" in capsys.readouterr().err


@pytest.mark.parametrize(("threshold", "share"), [("0.9", 0.4), ("0.98", 0.05)])
def test_real_clips_are_groups_and_never_mix(
    real_data: Path, tmp_path: Path, threshold: str, share: float
) -> None:
    photos = real_data / "driving_photos"
    features = str(tmp_path / "features")
    embed = [
        "embed",
        "--image-dir",
        str(photos),
        "--encoder",
        "sample/vit",
        "--hash",
        "phash",
        "--out",
        features,
    ]
    assert main(embed) == 0
    flags = ["--embeddings", features, "--out", str(tmp_path / "o"), "--threshold", threshold]
    assert main(["duplicates", *flags]) == 0
    clips: dict[str, list[int]] = {}
    for group in groups_of(tmp_path / "o").values():
        folders = {row["id"].rpartition("/")[0] for row in group}
        if any("pexels_dashcam" in folder for folder in folders):
            assert len(folders) == 1, "frames of a clip are grouped with their clip alone"
            clips.setdefault(folders.pop(), []).append(len(group))
    assert len(clips) == 2
    assert all(max(sizes) >= share * 50 for sizes in clips.values())
