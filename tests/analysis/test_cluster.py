"""Clusters: the same as scikit-learn's exact HDBSCAN, files, names, labels, and what cannot be clustered."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.cluster import HDBSCAN
from sklearn.metrics import adjusted_rand_score

from multimodal_search.analysis import cluster_tree
from multimodal_search.analysis.cluster import cut, density_graph, density_tree
from multimodal_search.analysis.cluster_run import run
from multimodal_search.analysis.cluster_tree import spanning_tree
from multimodal_search.analysis.graph import Graph
from multimodal_search.analysis.layout import lay_out
from multimodal_search.errors import DataError, SettingsError
from multimodal_search.settings import ClusterSettings, check


def cluster(embeddings, out, **more):
    return run(check(ClusterSettings, {"embeddings": str(embeddings), "out": out, **more}))


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def settings(**more):
    return check(ClusterSettings, {"embeddings": "x", "out": "y", **more})


@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("min_samples", [1, 5, 20])
@pytest.mark.parametrize("spread", [0.05, 0.25])
def test_the_same_clusters_as_scikit_learn(blobs, method, min_samples, spread):
    vectors, _ = blobs(600, 6, spread=spread)
    ours = cut(density_tree(vectors, settings(), min_samples), 10, method)
    theirs = HDBSCAN(10, min_samples=min_samples, cluster_selection_method=method, copy=True).fit(vectors)
    assert adjusted_rand_score(ours.labels, theirs.labels_) > 0.98


def test_the_tree_is_the_minimum_one(blobs):
    from scipy.sparse.csgraph import minimum_spanning_tree

    vectors, _ = blobs(300, 6, spread=0.05)
    tree = density_tree(vectors, settings(), 4)
    away = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2)
    core = np.sort(away, axis=1)[:, 3]
    reach = np.maximum(away, np.maximum(core[:, None], core))
    np.fill_diagonal(reach, 0)
    assert len(tree.lengths) == 299
    assert tree.lengths.sum() == pytest.approx(minimum_spanning_tree(reach).sum(), rel=1e-5)


def test_parts_joined_by_samples_are_the_same_parts(blobs, monkeypatch):
    vectors, kind = blobs(600, 6, spread=0.03)
    monkeypatch.setattr(cluster_tree, "_MOST_JOINED", 120)
    found = cut(density_tree(vectors, settings(), 5), 20, "eom")
    assert adjusted_rand_score(found.labels, kind) == 1.0


def test_a_graph_that_misses_neighbours(blobs):
    vectors, kind = blobs(300, 4, spread=0.05)
    whole = density_graph(vectors, settings(), 32)
    rows, distances = whole.rows.copy(), whole.distances.copy()
    for row in range(0, 300, 3):
        rows[row, row % 30 :], distances[row, row % 30 :] = -1, np.inf
    graph = Graph(rows, distances, whole.metric, False, 0.8)
    found = cut(spanning_tree(vectors, graph, 10), 10, "eom")
    assert adjusted_rand_score(found.labels, kind) > 0.98
    places = lay_out(vectors, 0, n_neighbors=20, metric="l2", graph=graph)
    middles = np.stack([np.median(places[kind == one], axis=0) for one in range(4)])
    assert (np.linalg.norm(places[:, None] - middles, axis=2).argmin(axis=1) == kind).mean() > 0.98


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("method", ["hdbscan", "kmeans"])
def test_files_of_clusters(tmp_path, blobs, write_vectors, method, metric):
    vectors, kind = blobs(200, 4, spread=0.05)
    source = write_vectors(tmp_path / "v.parquet", vectors, kind)
    out = tmp_path / "out"
    summary = cluster(source, out, method=method, n_clusters=4, metric=metric)
    rows = read(out / "clusters.csv")
    assert list(rows[0]) == ["specimen_id", "cluster_id", "prob"]
    assert [row["specimen_id"] for row in rows] == [f"s/{row}" for row in range(200)]
    assert adjusted_rand_score([row["cluster_id"] for row in rows], kind) == 1.0
    assert all(0 <= float(row["prob"]) <= 1 for row in rows)
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert {key: summary[key] for key in ("n_total", "n_noise", "noise_ratio", "n_clusters")} == {
        "n_total": 200, "n_noise": 0, "noise_ratio": 0.0, "n_clusters": 4,
    }  # fmt: skip
    assert 0.5 < summary["mean_prob"] <= 1
    sizes = [one["size"] for one in summary["clusters"]]
    assert sizes == sorted(sizes, reverse=True)


def test_clusters_are_named_from_texts_and_show_their_middle(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(200, 5, spread=0.05)
    summary = cluster(write_vectors(tmp_path / "v.parquet", vectors, kind), tmp_path / "out")
    names = {one["name"] for one in summary["clusters"]}
    assert names == {"night, rain", "bridge, snow", "highway, truck", "交差点, 夜, 雨", "走行, 高速道路"}
    for one in summary["clusters"]:
        mine = {kind[int(name.removeprefix("s/"))] for name in one["representatives"]}
        assert len(mine) == 1
        middle = vectors[kind == mine.pop()].mean(axis=0)
        away = np.linalg.norm(vectors - middle, axis=1)
        assert one["representatives"][0] == f"s/{away.argmin()}"


def test_pca_by_count_and_by_share_with_a_report(tmp_path, blobs, write_vectors):
    source = write_vectors(tmp_path / "v.parquet", *blobs(200, 4, spread=0.05))
    report = tmp_path / "pca.csv"
    assert cluster(source, tmp_path / "out", pca=3)["n_dimensions"] == 3
    found = cluster(source, tmp_path / "out", pca=0.9, pca_report=report)
    rows = read(report)
    assert list(rows[0]) == ["component", "explained_variance_ratio", "cumulative"]
    kept = found["n_dimensions"]
    assert float(rows[kept - 1]["cumulative"]) >= 0.9 > float(rows[kept - 2]["cumulative"])
    assert float(rows[-1]["cumulative"]) == pytest.approx(1)
    for wrong, words in ((2.5, "neither a count nor a share"), (17, "more components")):
        with pytest.raises(SettingsError, match=words):
            cluster(source, tmp_path / "out", pca=wrong)
    with pytest.raises(SettingsError, match="without --pca"):
        cluster(source, tmp_path / "out", pca_report=report)


def test_umap_first(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(200, 4, spread=0.2)
    source = write_vectors(tmp_path / "v.parquet", vectors, kind)
    found = cluster(source, tmp_path / "out", umap=True, umap_n_components=3, umap_n_neighbors=15)
    assert (found["n_clusters"], found["n_dimensions"]) == (4, 3)


def test_against_labels(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(100, 4, spread=0.05)
    source = write_vectors(tmp_path / "v.parquet", vectors, kind)
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\n" + "".join(f"s/{row},kind{kind[row]}\n" for row in range(90)))
    found = cluster(source, tmp_path / "out", labels=labels)["against_labels"]
    assert found == {"n_labelled": 90, "ari": 1.0, "nmi": 1.0, "purity": 1.0}
    labels.write_text("id,label\nelse,1\n")
    with pytest.raises(DataError, match="such as 's/0', there such as 'else'"):
        cluster(source, tmp_path / "out", labels=labels)
    labels.write_text("name;label\n")
    with pytest.raises(DataError, match="id,label"):
        cluster(source, tmp_path / "out", labels=labels)
    with pytest.raises(DataError, match="cannot be read"):
        cluster(source, tmp_path / "out", labels=tmp_path / "none.csv")


def test_rows_that_cannot_be_clustered_are_listed(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(100, 4, spread=0.05)
    vectors[1], vectors[2, 0] = 0, np.inf
    found = cluster(write_vectors(tmp_path / "v.parquet", vectors, kind), tmp_path / "out")
    assert (found["n_total"], found["n_left_out"]) == (98, 2)
    assert "s/1,zero" in (tmp_path / "out" / "left_out.csv").read_text()
    assert len(read(tmp_path / "out" / "clusters.csv")) == 98


@pytest.mark.parametrize("more", [{}, {"pca": 2}, {"normalize": "none"}, {"umap": True}])
def test_constant_rows_are_noise_not_a_crash(tmp_path, write_vectors, caplog, more):
    source = write_vectors(tmp_path / "v.parquet", np.ones((40, 8), np.float32), np.zeros(40, int))
    found = cluster(source, tmp_path / "out", **more)
    assert found["n_clusters"] in (0, 1)
    assert np.isfinite(found["score"])


def test_repeated_rows_are_clusters(tmp_path, write_vectors):
    vectors = np.repeat(np.eye(4, dtype=np.float32), 25, axis=0)
    source = write_vectors(tmp_path / "v.parquet", vectors, np.arange(100) // 25)
    found = cluster(source, tmp_path / "out")
    assert [one["size"] for one in found["clusters"]] == [25] * 4
    few = cluster(source, tmp_path / "out", method="kmeans", n_clusters=9)
    assert few["n_clusters"] == 4


def test_all_noise_says_what_to_try(tmp_path, blobs, write_vectors, caplog):
    source = write_vectors(tmp_path / "v.parquet", *blobs(60, 1, spread=1.0))
    found = cluster(source, tmp_path / "out", min_cluster_size=30)
    assert (found["n_clusters"], found["noise_ratio"], found["score"]) == (0, 1.0, 0.0)
    assert "all rows are noise" in caplog.text


def test_too_few_rows(tmp_path, blobs, write_vectors):
    source = write_vectors(tmp_path / "v.parquet", *blobs(8))
    with pytest.raises(DataError, match="8 usable rows are fewer than one cluster of 10"):
        cluster(source, tmp_path / "out")
    with pytest.raises(DataError, match="fewer than --min-samples 9"):
        cluster(source, tmp_path / "out", min_cluster_size=4, min_samples=9)
    with pytest.raises(DataError, match="cannot make 9 clusters"):
        cluster(source, tmp_path / "out", method="kmeans", n_clusters=9)
