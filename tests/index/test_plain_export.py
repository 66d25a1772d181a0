"""Plain Parquet: what is in the file, as LanceDB and Cosmos Dataset Search read it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multimodal_search.errors import DataError
from multimodal_search.index.plain_export import export_plain
from multimodal_search.tables.vectors import VectorSet, open_vectors


def made(columns: pa.Table | None, ids: list[str] | None = None) -> VectorSet:
    vectors = np.array([[3, 4], [0, 0], [np.nan, 1], [0, 2]], dtype=np.float32)
    names = ids or ["a", "b", "c", "夜"]
    return VectorSet("here", names, 2, lambda rows: vectors[rows], fingerprint="f" * 64, columns=columns)


COLUMNS = pa.table(
    {
        "scene_id": ["s0", "s1", "s2", None],
        "when": pa.array([0, 1, 2, 1_600_000_000_000_001], pa.timestamp("us", "UTC")),
        "frame": [1, 2, 3, 4],
        "metadata": ['{"speed": 3, "tags": ["x"]}', "{}", "{}", '{"speed": 2.5, "wet": true, "tags": "y"}'],
    }
)


def test_lancedb(tmp_path: Path) -> None:
    assert export_plain(made(COLUMNS), tmp_path / "x.parquet", "lancedb") == 2
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.schema.field("id").type == pa.string()
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 2)
    assert {one.name: one.type for one in table.schema if one.name not in ("id", "embedding")} == {
        "scene_id": pa.string(),
        "when": pa.timestamp("us", "UTC"),
        "frame": pa.int64(),
        "speed": pa.float64(),
        "wet": pa.bool_(),
        "tags": pa.string(),
    }
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == ["a", "夜"]
    assert rows[0]["embedding"] == [3.0, 4.0]
    assert rows[0]["tags"] == '["x"]'
    assert (rows[1]["tags"], rows[1]["wet"], rows[1]["speed"], rows[1]["frame"]) == ("y", True, 2.5, 4)
    assert rows[1]["when"].isoformat() == "2020-09-13T12:26:40.000001+00:00"
    assert rows[1]["scene_id"] is None


def test_cosmos(tmp_path: Path) -> None:
    """The columns and types of its own ``generate_data.py``."""
    assert export_plain(made(COLUMNS), tmp_path / "x.parquet", "cosmos") == 2
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.schema.names == ["id", "embedding", "$meta"]
    assert table.schema.types == [pa.string(), pa.list_(pa.float32()), pa.string()]
    rows = table.to_pylist()
    np.testing.assert_allclose(rows[0]["embedding"], [0.6, 0.8], rtol=1e-6)
    assert json.loads(rows[0]["$meta"])["tags"] == ["x"]
    assert json.loads(rows[1]["$meta"])["speed"] == 2.5


def test_it_can_be_read_back(tmp_path: Path) -> None:
    export_plain(made(COLUMNS), tmp_path / "x.parquet", "lancedb")
    again = open_vectors(tmp_path / "x.parquet")
    assert list(again.ids) == ["a", "夜"]
    assert again.fingerprint is None
    np.testing.assert_array_equal(again.array(), [[3, 4], [0, 2]])


def test_without_metadata_and_without_rows(tmp_path: Path) -> None:
    for form in ("lancedb", "cosmos"):
        assert export_plain(made(None), tmp_path / f"{form}.parquet", form) == 2
        none = made(None).select(np.array([], dtype=np.int64))
        assert export_plain(none, tmp_path / f"{form}-empty.parquet", form) == 0
        assert pq.read_table(tmp_path / f"{form}-empty.parquet").num_rows == 0


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="255"):
        export_plain(made(None, ["夜" * 86, "b", "c", "d"]), tmp_path / "x.parquet", "cosmos")
    with pytest.raises(DataError, match="embedding"):
        export_plain(made(pa.table({"embedding": [1, 2, 3, 4]})), tmp_path / "x.parquet", "lancedb")
    assert not (tmp_path / "x.parquet").exists()
