"""``index --backend`` and ``search --backend``: the same hits from an engine as from the bundle itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from multimodal_search.cli import main

pytest.importorskip("qdrant_client")
pytest.importorskip("qdrant_edge")

QUERIES = [
    ["--text", "turn left in the rain"],
    ["--text", "雨の夜", "--against", "text", "--k", "3"],
    ["--text", "hard braking", "--where", "location != 'nowhere' and timestamp_us > 0"],
]


def hits(capsys: pytest.CaptureFixture[str], *flags: str) -> list[tuple[str, float]]:
    capsys.readouterr()
    assert main(["search", *flags, "--json-output"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(row["id"], round(row["score"], 4)) for row in rows]


@pytest.mark.parametrize("backend", ["qdrant-edge", "qdrant"])
def test_a_bundle_asked_through_an_engine(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    bundle = str(home / "output")
    there = ["--backend", backend, "--url", str(tmp_path / "engine")]
    assert main(["index", "--embeddings", bundle, *there]) == 0
    assert " 0 were there" in capsys.readouterr().out
    assert main(["index", "--embeddings", bundle, *there]) == 0
    assert "0 rows sent" in capsys.readouterr().out
    for query in QUERIES:
        assert hits(capsys, "--bundle", bundle, *query, *there) == hits(capsys, "--bundle", bundle, *query)
    gone = hits(capsys, "--bundle", bundle, *QUERIES[0])[0][0]
    (tmp_path / "gone.txt").write_text(f"image:{gone}\n")
    assert main(["index", "--embeddings", bundle, "--delete", str(tmp_path / "gone.txt"), *there]) == 0
    assert "1 rows deleted" in capsys.readouterr().out


def test_rows_of_other_heads_are_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained again, a bundle has the same encoders' fingerprint and other vectors."""
    bundle = tmp_path / "output"
    shutil.copytree(home / "output", bundle)
    there = ["--backend", "qdrant-edge", "--url", str(tmp_path / "engine")]
    assert main(["search", "--bundle", str(bundle), "--text", "rain", *there]) == 2
    assert "no collection" in capsys.readouterr().err
    assert main(["index", "--embeddings", str(bundle), *there]) == 0
    for file in (bundle / "vectors").glob("part-*.npy"):
        vectors = np.load(file)
        np.save(file, vectors[:, ::-1])
    assert main(["search", "--bundle", str(bundle), "--text", "rain", *there]) == 2
    assert "other content" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--backend", "qdrant-edge"], "needs an address"),
        (["--backend", "qdrant"], "needs an address"),
        (["--backend", "qdrant", "--url", "http://127.0.0.1:9"], "did not answer"),
        (["--backend", "qdrant-edge", "--url", "x", "--out", "y.faiss"], "local index"),
        (["--backend", "qdrant-edge", "--url", "x", "--shards", "2"], "--backend qdrant"),
        (["--format", "lancedb"], "Parquet"),
        (
            ["--format", "cosmos", "--out", "x.parquet", "--backend", "qdrant-edge", "--url", "x"],
            "one of them",
        ),
    ],
)
def test_flags_that_do_not_go_together(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", np.eye(3, dtype=np.float32))
    assert main(["index", "--embeddings", "v.npy", "--collection", "mine", *flags]) == 2
    assert said in capsys.readouterr().err
    assert not Path("x").exists()


def test_plain_files(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("lancedb", "cosmos"):
        out = tmp_path / f"{form}.parquet"
        flags = ["index", "--embeddings", str(home / "output"), "--format", form, "--out", str(out)]
        assert main(flags) == 0
        said = capsys.readouterr().out
        assert f"{pq.read_table(out).num_rows} rows in" in said
    assert "256 numbers" in said
