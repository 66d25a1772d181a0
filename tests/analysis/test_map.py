"""The map's files, from vectors on the disk: who opens them, what they say, what is refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from multimodal_search.analysis.map import run
from multimodal_search.errors import DataError, EncoderError, SettingsError
from multimodal_search.settings import MapSettings, check

FEW = {"n_neighbors": 8}


def draw(embeddings, out, **more):
    return run(check(MapSettings, {"embeddings": str(embeddings), "out": out, **FEW, **more}))


def places(file):
    table = pq.read_table(file)
    rows = np.stack([table["projection_x"].to_numpy(), table["projection_y"].to_numpy()], axis=1)
    return dict(zip(table["id"].to_pylist(), rows, strict=True))


def test_parquet_with_places_neighbours_and_metadata(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(60, 3)
    file = draw(write_vectors(tmp_path / "v.parquet", vectors, kind), tmp_path / "map", color="location")
    table = pq.read_table(file)
    assert file.name == "map.parquet"
    assert table.column_names == [
        "id", "text", "location", "speed_max", "kind", "projection_x", "projection_y", "neighbors",
    ]  # fmt: skip
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -2)
    for row, near in enumerate(table["neighbors"].to_pylist()):
        assert near["ids"][0] == cosine[row].argmax()
        assert near["distances"][0] == pytest.approx(1 - cosine[row].max(), abs=1e-5)
        assert len(near["ids"]) == 7
    with Image.open(tmp_path / "map" / "map.png") as picture:
        assert min(picture.size) > 500
    info = json.loads((tmp_path / "map" / "map_info.json").read_text())
    assert (info["method"], info["n_rows"], info["n_left_out"]) == ("umap", 60, 0)


def test_the_same_seed_gives_the_same_files(tmp_path, blobs, write_vectors):
    file = write_vectors(tmp_path / "v.parquet", *blobs(40, 3))
    first, second = draw(file, tmp_path / "a"), draw(file, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    other = draw(file, tmp_path / "c", seed=1)
    assert other.read_bytes() != first.read_bytes()


def test_json_replaces_parquet_in_the_same_folder(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(30, 3)
    source = write_vectors(tmp_path / "v.parquet", vectors, kind)
    draw(source, tmp_path / "map")
    file = draw(source, tmp_path / "map", format="json")
    assert file.name == "scenes_with_umap.json"
    assert not (tmp_path / "map" / "map.parquet").exists()
    first = json.loads(file.read_text())[0]
    assert first["id"] == "s/0"
    assert first["text"] == "rain at night"
    assert first["speed_max"] == 0.5
    assert {"projection_x", "projection_y", "neighbors"} <= set(first)


def test_the_page_works_offline_and_escapes_what_the_data_says(tmp_path, blobs):
    pytest.importorskip("plotly")
    vectors, _ = blobs(20, 3)
    np.save(tmp_path / "v.npy", vectors)
    names = [f"<script>alert({row})</script>" for row in range(20)]
    (tmp_path / "v.ids.txt").write_text("".join(f"{name}\n" for name in names))
    draw(tmp_path / "v.npy", tmp_path / "map")
    page = (tmp_path / "map" / "map.html").read_text()
    assert "scattergl" in page
    assert "alert(7)" in page
    assert "<script>alert" not in page
    assert not re.search(r'<script[^>]+src="http', page)
    assert not re.search(r'<link[^>]+href="http', page)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_few_rows_are_drawn_by_pca_with_a_notice(tmp_path, blobs, write_vectors, caplog, n):
    caplog.set_level("INFO", "multimodal_search")
    file = draw(write_vectors(tmp_path / "v.parquet", *blobs(n)), tmp_path / "map")
    assert len(places(file)) == n
    assert "PCA" in caplog.text


def test_rows_without_a_place_are_listed(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(30, 3)
    vectors[4], vectors[7, 2] = 0, np.nan
    file = draw(write_vectors(tmp_path / "v.parquet", vectors, kind), tmp_path / "map")
    assert len(places(file)) == 28
    listed = (tmp_path / "map" / "left_out.csv").read_text().splitlines()
    assert listed == ["id,reason", "s/4,zero", "s/7,not finite"]
    draw(write_vectors(tmp_path / "v.parquet", *blobs(30, 3)), tmp_path / "map")
    assert not (tmp_path / "map" / "left_out.csv").exists()


def test_nothing_but_zeros(tmp_path, write_vectors):
    file = write_vectors(tmp_path / "v.parquet", np.zeros((6, 4), np.float32), np.zeros(6, int))
    with pytest.raises(DataError, match="All 6 rows"):
        draw(file, tmp_path / "map")


def test_an_unknown_field_is_told_before_the_layout(tmp_path, blobs, write_vectors):
    file = write_vectors(tmp_path / "v.parquet", *blobs(20))
    with pytest.raises(SettingsError, match="speed_max"):
        draw(file, tmp_path / "map", color="sped_max")
    np.save(tmp_path / "v.npy", blobs(20)[0])
    with pytest.raises(SettingsError, match="no metadata"):
        draw(tmp_path / "v.npy", tmp_path / "map", color="location")


def test_clusters_name_the_points(tmp_path, blobs, write_vectors):
    file = write_vectors(tmp_path / "v.parquet", *blobs(20, 2))
    clusters = tmp_path / "clusters.csv"
    clusters.write_text(
        "specimen_id,cluster_id,prob\n" + "".join(f"s/{row},{row % 3 - 1},1\n" for row in range(18))
    )
    (tmp_path / "summary.json").write_text('{"clusters": [{"cluster_id": 1, "name": "rain, night"}]}')
    found = pq.read_table(draw(file, tmp_path / "map", clusters=clusters))["cluster"].to_pylist()
    assert found[:3] == ["noise", "0", "1: rain, night"]
    assert found[18:] == [None, None]
    clusters.write_text("specimen_id,cluster_id\nother,1\n")
    with pytest.raises(DataError, match="None of the 1 ids"):
        draw(file, tmp_path / "map", clusters=clusters)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("form", ["parquet", "json"])
def test_new_rows_are_placed_and_old_ones_stay(tmp_path, blobs, write_vectors, whole, form):
    vectors, kind = blobs(120, 4)
    before = places(draw(write_vectors(tmp_path / "old.parquet", vectors[:100], kind[:100]), tmp_path / "a"))
    if form == "json":
        draw(tmp_path / "old.parquet", tmp_path / "a", format="json")
    start = 0 if whole else 100
    more = write_vectors(tmp_path / "new.parquet", vectors[start:], kind[start:], first=start)
    file = draw(more, tmp_path / "b", add_to=tmp_path / "a")
    after = places(file)
    assert len(after) == 120
    for name, place in before.items():
        np.testing.assert_allclose(after[name], place, atol=1e-5)
    old = np.array(list(before.values()))
    for row in range(100, 120):
        nearest = np.linalg.norm(old - after[f"s/{row}"], axis=1).argsort()[:5]
        assert (kind[nearest] == kind[row]).mean() > 0.5
    assert sum(pq.read_table(file)["new"].to_pylist()) == 20


def test_a_map_of_other_vectors_takes_no_rows(tmp_path, blobs, write_vectors):
    draw(write_vectors(tmp_path / "old.parquet", *blobs(30)), tmp_path / "a")
    other = write_vectors(tmp_path / "new.parquet", *blobs(30, dim=8))
    with pytest.raises(EncoderError, match="16 dimensions"):
        draw(other, tmp_path / "b", add_to=tmp_path / "a")
    with pytest.raises(DataError, match="no map"):
        draw(other, tmp_path / "b", add_to=tmp_path / "nothing")
    (tmp_path / "old.parquet").unlink()
    late = write_vectors(tmp_path / "new.parquet", *blobs(5), first=100)
    with pytest.raises(DataError, match="map's own vectors cannot be read"):
        draw(late, tmp_path / "b", add_to=tmp_path / "a")
