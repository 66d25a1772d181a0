"""The map: what the page reads, and where it comes from."""

from __future__ import annotations

import gzip
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from multimodal_search.analysis.map_files import INFO_FILE
from multimodal_search.search import Searcher
from multimodal_search.serving.map_data import MapData, _coded, _numbers, _points
from multimodal_search.serving.map_places import clusters_of, places_of


def read_points(content: bytes) -> npt.NDArray[np.float32]:
    assert content[:8] == b"MMSMAP01"
    (count,) = struct.unpack("<I", content[8:12])
    return np.frombuffer(content[12:], "<f4").reshape(2, count).T


def read_column(content: bytes) -> list[Any]:
    assert content[:8] == b"MMSCOL01"
    kind, count = struct.unpack("<II", content[8:16])
    if kind == 0:
        return list(np.frombuffer(content[16:], "<f4", count).tolist())
    codes = np.frombuffer(content[16:], "<u2", count)
    after = 16 + 2 * count + 2 * (count % 2)
    (length,) = struct.unpack("<I", content[after : after + 4])
    names = json.loads(content[after + 4 : after + 4 + length])
    assert len(content) == after + 4 + length
    return [None if one == 0xFFFF else names[one] for one in codes]


@settings(max_examples=60)
@given(st.lists(st.none() | st.text(max_size=4), max_size=40))
def test_names_come_back_as_they_were(values: list[str | None]) -> None:
    safe = [None if one is None else one.encode("utf-8", "replace").decode() for one in values]
    assert read_column(_coded(safe)) == safe


@settings(max_examples=60)
@given(st.lists(st.floats(width=32), max_size=20))
def test_numbers_come_back_as_they_were(values: list[float]) -> None:
    np.testing.assert_array_equal(read_column(_numbers(np.array(values, dtype=float))), values)


def test_the_map_has_every_moment_at_its_scenes_place(client: TestClient, bundle: Path) -> None:
    answer = client.get("/map")
    assert answer.headers["content-encoding"] == "gzip"
    places = read_points(answer.content)
    ids = client.get("/map/ids").json()
    scenes = json.loads((bundle / "scenes_with_umap.json").read_text())
    known = {one["scene_id"]: one["umap_coords"] for one in scenes}
    np.testing.assert_allclose(places, [known[one] for one in ids], atol=1e-5)
    plain = client.get("/map", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    np.testing.assert_array_equal(read_points(plain.content), places)


def test_columns(client: TestClient) -> None:
    ids = client.get("/map/ids").json()
    hits = {one["id"]: one for one in client.post("/search", json={"parts": [], "k": 1000}).json()["hits"]}
    weather = read_column(client.get("/map/column/weather").content)
    assert weather == [hits[one]["metadata"]["weather"] for one in ids]
    seconds = read_column(client.get("/map/column/timestamp_us").content)
    assert min(seconds) == 0
    first = min(one["timestamp_us"] for one in hits.values())
    expected = [(hits[one]["timestamp_us"] - first) / 1e6 for one in ids]
    np.testing.assert_allclose(seconds, expected, rtol=1e-6)
    assert client.get("/map/column/nothing").status_code == 404
    clusters = client.get("/map/clusters").json()
    assert clusters
    assert {one["name"] for one in clusters} <= set(read_column(client.get("/map/column/cluster").content))


def test_moments_of_a_scene_lie_around_it_and_apart(
    open_client: Callable[..., TestClient], drive: Path
) -> None:
    client = open_client(drive)
    places = read_points(client.get("/map").content)
    assert len(np.unique(places, axis=0)) == 24
    scenes = json.loads((drive / "scenes_with_umap.json").read_text())
    centres = np.array([one["umap_coords"] for one in scenes])
    nearest = np.linalg.norm(places[:, None] - centres[None], axis=2).argmin(axis=1)
    assert nearest.tolist() == np.repeat(np.arange(3), 8).tolist()


@pytest.mark.slow
def test_a_map_of_the_moments_goes_before(own_bundle: Path) -> None:
    from multimodal_search.cli import main

    command = ["map", "--emb", str(own_bundle), "--modality", "image", "--out", str(own_bundle / "map")]
    assert main(command) == 0
    own = Searcher.open(own_bundle, "cpu")
    made = MapData(own)
    import pyarrow.parquet as pq

    rows = pq.read_table(own_bundle / "map/map.parquet").to_pylist()
    known = {one["id"].removeprefix("image:"): (one["projection_x"], one["projection_y"]) for one in rows}
    for one in made.ids:
        assert made.place(one) == pytest.approx(known[one], abs=1e-5)


def test_without_any_map_there_are_the_principal_components(own_bundle: Path) -> None:
    for content in (None, "{", "[]", '[{"scene_id": "sample-00001", "umap_coords": ["a", "b"]}]'):
        path = own_bundle / "scenes_with_umap.json"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        made = MapData(Searcher.open(own_bundle, "cpu"))
        assert np.isfinite(made.places).all()
        assert made.places.std(axis=0).min() > 0


def test_a_damaged_map_is_passed_over(own_bundle: Path) -> None:
    (own_bundle / "map").mkdir()
    (own_bundle / "map" / INFO_FILE).write_text("{")
    assert np.isfinite(MapData(Searcher.open(own_bundle, "cpu")).places).all()


def test_clusters_of_a_file_have_its_names(own_bundle: Path) -> None:
    folder = own_bundle / "clusters"
    folder.mkdir()
    lines = [f"image:sample-{number:05d},{number % 2},1.0" for number in range(30)]
    (folder / "clusters.csv").write_text("\n".join(["specimen_id,cluster_id,prob", *lines]) + "\n")
    named = {"clusters": [{"cluster_id": 0, "name": "rain"}, {"cluster_id": 1, "name": "snow"}]}
    (folder / "summary.json").write_text(json.dumps(named))
    searcher = Searcher.open(own_bundle, "cpu")
    made = MapData(searcher)
    labels, names = clusters_of(searcher, made.moments, made.places)
    assert labels[:2] == ["0: rain", "1: snow"]
    assert {one.name: one.count for one in names} == {"0: rain": 15, "1: snow": 15}


def test_a_hundred_thousand_points(tmp_path: Path) -> None:
    """At most 2 s on a quiet machine (benchmarks/serve.py); here with room for a busy one."""
    count, scenes = 100_000, 2500
    generator = np.random.default_rng(0)
    entries = [
        {"scene_id": f"scene-{one}", "umap_coords": generator.standard_normal(2).round(5).tolist()}
        for one in range(scenes)
    ]
    (tmp_path / "scenes_with_umap.json").write_text(json.dumps(entries))
    columns = pa.table(
        {
            "type": ["image"] * count,
            "moment_id": [f"scene-{one % scenes}/{one}" for one in range(count)],
            "scene_id": [f"scene-{one % scenes}" for one in range(count)],
            "text": ["a car turns left in the rain"] * count,
            "location": ["tokyo"] * count,
            "timestamp_us": pa.array(generator.integers(0, 10**15, count)),
            "metadata": [f'{{"speed": {one}}}' for one in range(count)],
        }
    )

    class Only:
        folder = tmp_path

    only: Any = Only()
    only.columns = columns
    started = time.monotonic()
    made = MapData(only)
    content = gzip.decompress(made.points())
    assert time.monotonic() - started < 8
    assert len(read_points(content)) == count
    assert np.isfinite(places_of(only, made.moments)).all()
    assert read_column(gzip.decompress(made.column("speed")))[5] == 5


def test_no_moment_at_all() -> None:
    assert len(read_points(_points(np.zeros((0, 2), dtype=np.float32)))) == 0
