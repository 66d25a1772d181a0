"""The same vectors come out of every place they are kept in; what is no set of vectors is said to be none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multimodal_search.errors import DataError, ProjectError
from multimodal_search.storage import fetching
from multimodal_search.tables import TableInfo, open_vectors, write_single_file, write_table

IDS = ["a/1", "b\n2", "車 3", "d 4"]
VECTORS = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    columns = {"type": ["image", "text", "image", "text"], "place": ["x", "y", "z", "x"]}
    table = write_table(
        tmp_path / "table",
        TableInfo("f" * 64, 6),
        [(IDS[:3], VECTORS[:3], {n: v[:3] for n, v in columns.items()}),
         (IDS[3:], VECTORS[3:], {n: v[3:] for n, v in columns.items()})],
    )  # fmt: skip
    write_single_file(table, tmp_path / "file.parquet")
    write_single_file(table, tmp_path / "file.npy")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/vectors").symlink_to(tmp_path / "table")
    return tmp_path


@pytest.mark.parametrize("name", ["table", "bundle", "file.parquet", "file.npy"])
def test_every_place_gives_the_same_vectors(home: Path, name: str) -> None:
    found = open_vectors(home / name)
    assert list(found.ids) == IDS
    assert found.dim == 6
    assert np.array_equal(found.array(), VECTORS)
    assert np.array_equal(found.gather(np.array([2, 0])), VECTORS[[2, 0]])
    assert [start for start, _ in found.blocks(3)] == [0, 3]
    if name != "file.npy":
        assert found.fingerprint == "f" * 64
        assert found.columns is not None
        assert found.columns["place"].to_pylist() == ["x", "y", "z", "x"]
    some = found.select(np.array([3, 1]))
    assert list(some.ids) == [IDS[3], IDS[1]]
    assert np.array_equal(some.array(), VECTORS[[3, 1]])


@pytest.mark.parametrize("name", ["table", "bundle", "file.parquet", "file.npy"])
def test_places_on_s3_give_them_too(
    home: Path, name: str, new_bucket: Callable[[], str], s3_client: Any
) -> None:
    bucket = new_bucket()
    for path in sorted(home.glob("file.*")):
        s3_client.upload_file(str(path), bucket, path.name)
    for folder in ("table", "bundle/vectors"):
        for path in sorted((home / folder).iterdir()):
            if path.is_file():
                s3_client.upload_file(str(path), bucket, f"{folder}/{path.name}")
    found = open_vectors(f"s3://{bucket}/{name}")
    assert list(found.ids) == IDS
    assert np.array_equal(found.array(), VECTORS)
    with pytest.raises(ProjectError, match=r"no such object|no whole feature table"):
        open_vectors(f"s3://{bucket}/nowhere/{name}")


def test_a_file_on_s3_is_fetched_again_where_it_was_replaced(
    home: Path, new_bucket: Callable[[], str], s3_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_bucket()
    url = f"s3://{bucket}/file.parquet"
    s3_client.upload_file(str(home / "file.parquet"), bucket, "file.parquet")
    assert len(open_vectors(url).ids) == 4
    with monkeypatch.context() as patch:
        patch.setattr(fetching, "fetch_object", None)  # nothing is asked for again
        assert len(open_vectors(url).ids) == 4
    pq.write_table(pa.table({"id": ["new"], "embedding": [[1.0, 2.0]]}), home / "other.parquet")
    s3_client.upload_file(str(home / "other.parquet"), bucket, "file.parquet")
    assert list(open_vectors(url).ids) == ["new"]


@pytest.mark.parametrize("name", ["bundle", "table", "file.parquet"])
def test_a_modality_can_be_chosen(home: Path, name: str) -> None:
    assert list(open_vectors(home / name, modality="text").ids) == [IDS[1], IDS[3]]


def test_a_modality_that_nothing_tells_is_refused(home: Path) -> None:
    with pytest.raises(DataError, match="do not say of which modality"):
        open_vectors(home / "file.npy", modality="text")


def test_unusable_rows_are_told_apart(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[1, 0], [0, 0], [np.nan, 1], [np.inf, 1]], np.float32))
    found = open_vectors(tmp_path / "x.npy")
    assert found.usable().tolist() == [True, False, False, False]
    assert list(found.ids) == ["0", "1", "2", "3"]


def test_ids_beside_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "embeddings.npy", VECTORS)
    (tmp_path / "ids.txt").write_text("p\nq\nr\ns\n")
    assert list(open_vectors(tmp_path / "embeddings.npy").ids) == ["p", "q", "r", "s"]
    (tmp_path / "other.txt").write_text("p\nq\nr\n")
    with pytest.raises(DataError, match="3 ids for 4 vectors"):
        open_vectors(tmp_path / "embeddings.npy", ids=tmp_path / "other.txt")
    (tmp_path / "other.txt").write_text("p\nq\nr\nq\n")
    with pytest.raises(DataError, match="'q' stands there twice"):
        open_vectors(tmp_path / "embeddings.npy", ids=tmp_path / "other.txt")


def test_parquet_of_other_programs(tmp_path: Path) -> None:
    rows = pa.array(VECTORS.astype(np.float64).tolist())
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "embedding": rows}), tmp_path / "x.parquet")
    found = open_vectors(tmp_path / "x.parquet")
    assert list(found.ids) == ["1", "2", "3", "4"]
    assert np.allclose(found.array(), VECTORS)
    pq.write_table(pa.table({"id": [1, 2], "embedding": [[1.0], [1.0, 2.0]]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="differ in length"):
        open_vectors(tmp_path / "x.parquet")


@pytest.mark.parametrize("name", ["nowhere", "empty", "x.npy", "x.parquet", "shape.npy", "plain.parquet"])
def test_what_is_no_set_of_vectors_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.npy").write_bytes(b"no array")
    (tmp_path / "x.parquet").write_bytes(b"no table")
    np.save(tmp_path / "shape.npy", np.zeros((2, 3, 4)))
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "plain.parquet")
    with pytest.raises(ProjectError) as caught:
        open_vectors(tmp_path / name)
    assert name in str(caught.value)
