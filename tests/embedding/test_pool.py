"""Views' vectors to one a specimen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from multimodal_search.embedding.pool import pooled, run
from multimodal_search.errors import DataError, SkipInput
from multimodal_search.settings import PoolSettings
from multimodal_search.tables import open_vectors


@pytest.fixture
def features(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in ("shells/a", "bones/b", "bones/a"):
        path = tmp_path / "features" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, generator.normal(size=(12, 8)).astype(np.float16))
    hidden = tmp_path / "features" / ".parts"
    hidden.mkdir()
    np.save(hidden / "part.npy", np.zeros((2, 2)))
    return tmp_path / "features"


@pytest.mark.parametrize("how", ["mean", "max", "gem", "concat"])
def test_rows_ids_and_parquet_agree(features: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    assert run(PoolSettings(features=features, out=out, pool=how)) == 3
    vectors = np.load(out / "embeddings.npy")
    ids = (out / "ids.txt").read_text().splitlines()
    assert ids == ["bones/a", "bones/b", "shells/a"]
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, 96 if how == "concat" else 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    views = np.load(features / "bones/b.npy").astype(np.float64)
    slow = {
        "mean": sum(views) / 12,
        "max": [max(column) for column in views.T],
        "gem": [np.cbrt(sum(value**3 for value in column) / 12) for column in views.T],
        "concat": [value for view in views for value in view],
    }[how]
    np.testing.assert_allclose(vectors[1], slow / np.linalg.norm(slow), atol=1e-6)
    for place in (out / "embeddings.npy", out / "embeddings.parquet"):
        opened = open_vectors(place)
        assert list(opened.ids) == ids
        np.testing.assert_array_equal(opened.array(), vectors)


def test_bad_arrays_are_listed(features: Path, tmp_path: Path) -> None:
    (features / "cut.npy").write_bytes((features / "bones/a.npy").read_bytes()[:100])
    np.save(features / "nan.npy", np.full((12, 8), np.nan))
    np.save(features / "other.npy", np.ones((12, 9)))
    np.save(features / "flat.npy", np.ones(8))
    np.save(features / "cancel.npy", np.concatenate([np.ones((6, 8)), -np.ones((6, 8))]))
    assert run(PoolSettings(features=features, out=tmp_path / "out")) == 3
    lines = (tmp_path / "out/failures.jsonl").read_text().splitlines()
    reasons = {one["id"]: one["reason"] for one in map(json.loads, lines)}
    assert set(reasons) == {"cut", "nan", "other", "flat", "cancel"}
    assert "9 dimensions" in reasons["other"]
    assert "cancel" in reasons["cancel"]


def test_concat_needs_as_many_views(features: Path, tmp_path: Path) -> None:
    np.save(features / "few.npy", np.ones((11, 8)))
    assert run(PoolSettings(features=features, out=tmp_path / "mean")) == 4
    assert run(PoolSettings(features=features, out=tmp_path / "concat", pool="concat")) == 3
    assert "11 views, most have 12" in (tmp_path / "concat/failures.jsonl").read_text()


def test_gem_goes_from_mean_to_maximum() -> None:
    views = np.abs(np.random.default_rng(1).normal(size=(12, 5)))
    np.testing.assert_allclose(pooled(views, "gem", 1.0), pooled(views, "mean"), rtol=1e-6)
    np.testing.assert_allclose(pooled(views, "gem", 100.0), pooled(views, "max"), atol=0.03)
    assert np.isfinite(pooled(views - 1, "gem", 2.5)).all()
    raw = pooled(views, "mean", normalize=False)
    np.testing.assert_allclose(raw, views.mean(axis=0), rtol=1e-6)
    with pytest.raises(SkipInput):
        pooled(np.zeros((2, 3)), "mean")


def test_nothing_to_pool(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        run(PoolSettings(features=tmp_path / "absent", out=tmp_path / "out"))
    with pytest.raises(DataError, match=r"No \.npy"):
        run(PoolSettings(features=tmp_path, out=tmp_path / "out"))
