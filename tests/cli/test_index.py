"""``multimodal-search index``: every form of vectors, what it prints, changes, copies, mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multimodal_search import index
from multimodal_search.cli import main
from multimodal_search.cli.index import memory_bytes
from multimodal_search.errors import SettingsError

pytest.importorskip("faiss")


@pytest.fixture
def vectors(tmp_path: Path) -> np.ndarray:
    """``v.npy`` with ``names.txt``; returns the array."""
    array = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    array[7] = 0
    np.save(tmp_path / "v.npy", array)
    (tmp_path / "names.txt").write_text("".join(f"a/{row}.jpg\n" for row in range(200)))
    return array


def run(*words: object) -> int:
    return main(["index", *map(str, words)])


def test_npy_with_ids_becomes_an_index_that_says_what_it_is(tmp_path, vectors, capsys):
    out = tmp_path / "deep.faiss"
    assert run("--embeddings", tmp_path / "v.npy", "--ids", tmp_path / "names.txt", "--out", out) == 0
    told = capsys.readouterr().out
    for words in ("flat", "one by one", "recall@10  1.000", "ms", "bytes", "200 of 16", "1 rows", "a/7.jpg"):
        assert words in told
    found = index.load(out).search(vectors[3], k=10)
    assert found.ids[0] == "a/3.jpg"
    assert len(found.ids) == len(found.scores) == 10


def test_append_and_delete_take_what_is_new(tmp_path, vectors, capsys):
    out = tmp_path / "x.faiss"
    np.save(tmp_path / "half.npy", vectors[:100])
    run("--emb", tmp_path / "half.npy", "--out", out)
    assert run("--emb", tmp_path / "v.npy", "--out", out, "--append") == 0
    assert "200 rows" in capsys.readouterr().out
    (tmp_path / "gone.txt").write_text("3\n150\n")
    assert run("--out", out, "--delete", tmp_path / "gone.txt") == 0
    assert "2 rows deleted" in capsys.readouterr().out
    assert not {"3", "150"} & set(index.load(out).search(vectors[3], 300).ids)
    assert run("--out", out, "--delete", tmp_path / "gone.txt") == 2
    assert "are not in the index" in capsys.readouterr().err


def test_parquet_brings_its_columns(tmp_path, vectors):
    table = pa.table({"id": [f"m{row}" for row in range(200)], "speed": np.arange(200.0)})
    table = table.append_column("embedding", pa.array(list(vectors)))
    pq.write_table(table, tmp_path / "v.parquet")
    assert (
        run("--embeddings", tmp_path / "v.parquet", "--out", tmp_path / "x.faiss", "--type", "ivfflat") == 0
    )
    opened = index.load(tmp_path / "x.faiss")
    assert opened.columns["speed"][5].as_py() == 5.0
    assert opened.info["kind"] == "ivfflat"


def test_a_copy_on_s3_comes_back(tmp_path, vectors, bucket, capsys):
    out = tmp_path / "x.faiss"
    target = f"s3://{bucket}/indexes"
    assert run("--emb", tmp_path / "v.npy", "--out", out, "--backup", target) == 0
    (tmp_path / "gone.txt").write_text("3\n")
    assert run("--out", out, "--delete", tmp_path / "gone.txt", "--backup", target) == 0
    assert "1 files copied" in capsys.readouterr().out.splitlines()[-1]
    back = tmp_path / "back" / "x.faiss"
    assert run("--out", back, "--restore", target) == 0
    assert index.load(back).search(vectors[5], 3).ids[0] == "5"
    assert index.load(back).rows_of(["3"]).tolist() == [-1]
    assert run("--out", tmp_path / "other.faiss", "--restore", target) == 2
    assert "no copy of an index of this name" in capsys.readouterr().err


def test_a_damaged_copy_is_told_and_replaces_nothing(tmp_path, vectors, bucket, s3_client, capsys):
    out = tmp_path / "x.faiss"
    run("--emb", tmp_path / "v.npy", "--out", out, "--backup", f"s3://{bucket}/p")
    listed = s3_client.list_objects_v2(Bucket=bucket)["Contents"]
    key = next(one["Key"] for one in listed if "index-" in one["Key"])
    size = next(one["Size"] for one in listed if one["Key"] == key)
    s3_client.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
    assert run("--out", tmp_path / "back" / "x.faiss", "--restore", f"s3://{bucket}/p") == 2
    assert "another checksum" in capsys.readouterr().err
    assert not index.is_index(tmp_path / "back" / "x.faiss")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--out is required"),
        (["--out", "x.faiss"], "Nothing to do"),
        (["--out", "x.faiss", "--append"], "no index here"),
        (["--emb", "absent.npy", "--out", "x.faiss"], "no such file"),
        (["--emb", "v.npy"], "--out is required"),
        (["--emb", "v.npy", "--out", "x.faiss", "--memory-budget", "lots"], "is no size"),
        (["--emb", "v.npy", "--out", "x.faiss", "--type", "ivf"], "--type"),
        (["--emb", "v.npy", "--out", "x.faiss", "--target-recall", "1.5"], "--target-recall"),
        (["--emb", "v.npy", "--ids", "short.txt", "--out", "x.faiss"], "ids for 200 vectors"),
        (["--out", "x.faiss", "--delete", "absent.txt"], "absent.txt"),
    ],
)
def test_mistakes_are_explained(tmp_path, vectors, capsys, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_text("a\nb\n")
    assert run(*words) == 2
    assert told in capsys.readouterr().err


def test_sizes():
    assert memory_bytes("2GB") == 2 * 10**9
    assert memory_bytes("1.5 gib") == 3 * 2**29
    assert memory_bytes("300m") == 300 * 10**6
    for text in ("0", "GB", "-1GB", "2TBs", ""):
        with pytest.raises(SettingsError):
            memory_bytes(text)
