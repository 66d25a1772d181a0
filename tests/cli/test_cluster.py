"""map, cluster and cluster-sweep through the real command, on a table of the sample world's pictures."""

from __future__ import annotations

import json

import pytest

from multimodal_search.cli import main


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """A feature table of 40 drawn pictures."""
    home = tmp_path_factory.mktemp("world")
    assert main(["sample", "--scenes", "40", "--out", str(home / "world")]) == 0
    command = [
        "embed",
        "--image-dir",
        str(home / "world"),
        "--encoder",
        "sample/vit",
        "--out",
        str(home / "f"),
    ]
    assert main(command) == 0
    return home / "f"


def test_map_then_clusters_then_both(features, tmp_path, capsys):
    emb = ["--emb", str(features)]
    assert (
        main(["cluster", *emb, "--out", str(tmp_path / "c"), "--min-cluster-size", "3", "--min-samples", "1"])
        == 0
    )
    clusters = str(tmp_path / "c" / "clusters.csv")
    assert main(["map", *emb, "--out", str(tmp_path / "m"), "--clusters", clusters]) == 0
    assert json.loads((tmp_path / "m" / "map_info.json").read_text())["n_rows"] == 40
    assert (tmp_path / "m" / "map.png").stat().st_size > 10_000
    assert "40 rows in" in capsys.readouterr().out


def test_sweep_then_cluster(features, tmp_path, capsys):
    argv = [
        "cluster-sweep",
        "--emb",
        str(features),
        "--out",
        str(tmp_path / "s"),
        "--min-cluster-sizes",
        "3,5",
    ]
    assert main([*argv, "--min-samples-values", "1", "--num-processes", "1"]) == 0
    assert main(["cluster", "--config", str(tmp_path / "s" / "best_config.yaml")]) == 0
    assert "best by score" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["map", "--emb", "nowhere", "--out", "x"], "no such file or folder"),
        (["map", "--emb", "{features}", "--out", "x", "--color", "colour"], "colour"),
        (["map", "--emb", "{features}", "--out", "x", "--n-neighbors", "1"], "--n-neighbors"),
        (
            ["cluster", "--emb", "{features}", "--out", "x", "--min-cluster-size", "99"],
            "fewer than one cluster",
        ),
        (["cluster", "--emb", "{features}", "--out", "x", "--labels", "none.csv"], "cannot be read"),
        (["cluster", "--emb", "{features}", "--out", "x", "--pca", "-1"], "--pca"),
        (["cluster-sweep", "--emb", "{features}", "--out", "x", "--methods", "loaf"], "--methods"),
    ],
)
def test_mistakes_end_with_a_message(features, tmp_path, monkeypatch, capsys, argv, words):
    monkeypatch.chdir(tmp_path)
    assert main([one.replace("{features}", str(features)) for one in argv]) == 2
    assert words in capsys.readouterr().err
