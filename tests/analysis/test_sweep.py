"""A sweep: the right setting wins on blobs, its file gives the same clusters, a kill loses nothing."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from multimodal_search.analysis.sweep import run
from multimodal_search.cli import main
from multimodal_search.errors import DataError, SettingsError
from multimodal_search.settings import SweepSettings, check, parse

GRID = {"min_cluster_sizes": [5, 20], "min_samples_values": [1, 5], "num_processes": 1}


def sweep(embeddings, out, **more):
    return run(check(SweepSettings, {"embeddings": str(embeddings), "out": out, **GRID, **more}))


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_best_setting_finds_the_blobs(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(240, 4, spread=0.2)
    out = tmp_path / "out"
    best = sweep(write_vectors(tmp_path / "v.parquet", vectors, kind), out)["best"]
    rows = read(out / "sweep_results.csv")
    assert list(rows[0]) == [
        "pca", "min_samples", "min_cluster_size", "cluster_selection_method",
        "n_dimensions", "noise_ratio", "n_clusters", "mean_prob", "score", "error",
    ]  # fmt: skip
    assert len(rows) == 8
    assert best["score"] == max(float(row["score"]) for row in rows)
    found = [row["cluster_id"] for row in read(out / "best_clusters.csv")]
    assert adjusted_rand_score(found, kind) > 0.9


@pytest.mark.parametrize("more", [{}, {"pcas": [0.9], "metric": "cosine"}, {"umap": True}])
def test_cluster_takes_the_best_configuration(tmp_path, blobs, write_vectors, more):
    source = write_vectors(tmp_path / "v.parquet", *blobs(120, 4, spread=0.2))
    out = tmp_path / "out"
    sweep(source, out, **{"umap_n_components": 2, **more})
    assert main(["cluster", "--config", str(out / "best_config.yaml")]) == 0
    assert (out / "best" / "clusters.csv").read_bytes() == (out / "best_clusters.csv").read_bytes()
    assert "no label had a say" in (out / "best_config.yaml").read_text()


def test_labels_are_measured_and_do_not_choose(tmp_path, blobs, write_vectors):
    vectors, kind = blobs(240, 4, spread=0.2)
    source = write_vectors(tmp_path / "v.parquet", vectors, kind)
    labels = tmp_path / "labels.csv"
    # labels that no density shows: the score must not follow them
    labels.write_text("id,label\n" + "".join(f"s/{row},{row < 60}\n" for row in range(240)))
    plain = sweep(source, tmp_path / "a")
    measured = sweep(source, tmp_path / "b", labels=labels)
    settings = ("pca", "min_samples", "min_cluster_size", "cluster_selection_method")
    assert [plain["best"][one] for one in settings] == [measured["best"][one] for one in settings]
    rows = read(tmp_path / "b" / "sweep_results.csv")
    assert float(measured["best_by_ari"]["ari"]) == max(float(row["ari"]) for row in rows)
    assert {"ari", "nmi", "purity"} <= set(rows[0])


def test_a_rerun_does_only_what_is_missing(tmp_path, blobs, write_vectors, caplog):
    caplog.set_level("INFO", "multimodal_search")
    source = write_vectors(tmp_path / "v.parquet", *blobs(120, 4, spread=0.2))
    sweep(source, tmp_path / "out")
    first = (tmp_path / "out" / "sweep_results.csv").read_bytes()
    trials = sorted((tmp_path / "out" / "trials").iterdir())
    before = {path.name: path.stat().st_mtime_ns for path in trials[1:]}
    trials[0].write_text('{"torn')
    sweep(source, tmp_path / "out")
    assert "8 settings: 7 known, 1 to try" in caplog.text
    assert (tmp_path / "out" / "sweep_results.csv").read_bytes() == first
    assert {name: (tmp_path / "out" / "trials" / name).stat().st_mtime_ns for name in before} == before
    sweep(source, tmp_path / "out", min_cluster_sizes=[5, 20, 40])
    assert "12 settings: 8 known, 4 to try" in caplog.text
    write_vectors(source, *blobs(120, 4, spread=0.3))
    sweep(source, tmp_path / "out")
    assert "8 settings: 0 known, 8 to try" in caplog.text


def test_settings_that_cannot_be_are_listed(tmp_path, blobs, write_vectors):
    source = write_vectors(tmp_path / "v.parquet", *blobs(60, 3, spread=0.1))
    sweep(source, tmp_path / "out", min_cluster_sizes=[5, 90], min_samples_values=[1, 99], pcas=[0, 99])
    rows = read(tmp_path / "out" / "sweep_results.csv")
    assert len(rows) == 16
    worked = [row for row in rows if not row["error"]]
    assert {(row["pca"], row["min_samples"], row["min_cluster_size"]) for row in worked} == {
        ("0.0", "1", "5")
    }
    told = " ".join(row["error"] for row in rows)
    for words in ("fewer than one cluster of 90", "fewer than --min-samples 99", "more components"):
        assert words in told
    with pytest.raises(DataError, match="None of the 2 settings works"):
        sweep(source, tmp_path / "o2", min_cluster_sizes=[90], min_samples_values=[1])


def test_all_noise_everywhere(tmp_path, write_vectors, caplog):
    source = write_vectors(tmp_path / "v.parquet", np.ones((50, 4), np.float32), np.zeros(50, int))
    best = sweep(source, tmp_path / "out")["best"]
    assert best["score"] == 0
    assert "no setting found two clusters" in caplog.text


def test_lists_of_numbers_as_flags():
    places = ["--emb", "x", "--out", "y"]
    lists = ["--min-cluster-sizes", "5,10", "20", "--pcas", "0", "0.95,64", "--methods", "leaf"]
    found = parse(SweepSettings, [*places, *lists], prog="", summary="")
    assert (found.min_cluster_sizes, found.pcas, found.methods) == ([5, 10, 20], [0, 0.95, 64], ["leaf"])
    for wrong in ("--min-cluster-sizes 1", "--min-cluster-sizes 5,x", "--methods loaf", "--pcas -1"):
        with pytest.raises(SettingsError, match=wrong.split()[0]):
            parse(SweepSettings, [*places, *wrong.split()], prog="", summary="")


@pytest.mark.slow
def test_kill_minus_nine_loses_no_finished_trial(tmp_path, blobs, write_vectors):
    source = write_vectors(tmp_path / "v.parquet", *blobs(4000, 40, dim=64, spread=0.1))
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "multimodal_search", "cluster-sweep", "--emb", str(source), "--out", str(out),
        "--min-cluster-sizes", *map(str, range(5, 45)), "--min-samples-values", "1,2,5,10",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        until = time.monotonic() + 120
        while len(list((out / "trials").glob("[!.]*.json"))) < 10 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    before = {path: path.stat().st_mtime_ns for path in (out / "trials").glob("[!.]*.json")}
    assert 10 <= len(before) < 320
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "320 settings: 0 known" not in again.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before
    rows = read(out / "sweep_results.csv")
    assert len(rows) == 320
    assert not any(row["error"] for row in rows)
    assert json.loads((out / "sweep_summary.json").read_text())["n_settings"] == 320
