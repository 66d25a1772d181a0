"""From a folder of meshes to the page, in one command that can be run again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from multimodal_search.cli import main
from multimodal_search.rendering.shapes import write_sample
from multimodal_search.tables import open_vectors

pytest.importorskip("trimesh")
pytestmark = pytest.mark.slow
COUNT = 16
FLAGS = ["--encoder", "sample/vit", "--views", "4", "--size", "64", "--num-processes", "1"]
FLAGS += [
    "--min-cluster-sizes",
    "2",
    "--min-samples-values",
    "1",
    "--topk",
    "5",
    "--title",
    "Teeth & <bones>",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Meshes, one of them bad, one with an odd name, and the finished chain."""
    folder = tmp_path_factory.mktemp("specimens")
    write_sample(folder / "meshes", COUNT)
    (folder / "meshes/bone/bad.ply").write_bytes(b"")
    (folder / "meshes/ball/ball-001.ply").rename(folder / "meshes/ball/50 % & <odd>#1.ply")
    assert main(["specimens", "--in", str(folder / "meshes"), "--out", str(folder / "out"), *FLAGS]) == 0
    return folder


def test_every_step_left_its_files(home: Path) -> None:
    out = home / "out"
    vectors = open_vectors(out / "embeddings/embeddings.parquet")
    assert len(vectors) == COUNT
    assert (out / "embeddings/ids.txt").read_text().splitlines() == list(vectors.ids)
    for name in ("neighbors/neighbors.parquet", "sweep/sweep_results.csv", "clusters/clusters.csv"):
        assert (out / name).is_file()
    assert (out / "map/map.png").is_file()


def test_the_page_shows_every_specimen_and_needs_nothing_else(home: Path) -> None:
    page = (home / "out/index.html").read_text()
    assert page.count("<section id=") == COUNT
    assert page.count('class="near"') == COUNT
    assert page.count("<li><a href=") == COUNT * 5
    assert page.count("<circle") == COUNT
    assert "Teeth &amp; &lt;bones&gt;" in page
    assert "<odd>" not in page
    assert "1 could not be rendered" in page
    links = set(re.findall(r'(?:src|href)="([^"#]+)"', page))
    assert not [one for one in links if "://" in one or one.startswith("/")]
    for link in links:
        assert (home / "out" / unquote(link)).is_file(), link
    targets = set(re.findall(r'href="index\.html#(s\d+)"', page))
    assert targets <= set(re.findall(r'id="(s\d+)"', page))


def test_a_picture_finds_its_specimen_among_pooled_vectors(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pooled file knows its encoder, so a photograph can be asked about."""
    picture = home / "out/renders/cube/cube-000_view00.png"
    index = str(home / "out/embeddings/embeddings.parquet")
    capsys.readouterr()
    assert main(["search", "--index", index, "--image", str(picture), "--k", "3", "--json-output"]) == 0
    hits = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert len(hits) == 3


def test_a_rerun_goes_on_and_follows_the_folder(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home, tmp_path / "copy")
    meshes, out = tmp_path / "copy/meshes", tmp_path / "copy/out"
    before = np.load(out / "embeddings/embeddings.npy")
    command = ["specimens", "--in", str(meshes), "--out", str(out), *FLAGS]
    assert main(command) == 0
    np.testing.assert_array_equal(np.load(out / "embeddings/embeddings.npy"), before)
    (meshes / "cube/cube-000.ply").unlink()
    assert main(command) == 0
    ids = (out / "embeddings/ids.txt").read_text().splitlines()
    assert len(ids) == COUNT - 1
    assert "cube/cube-000" not in ids
    assert (out / "index.html").read_text().count("<section id=") == COUNT - 1
    assert len(list((out / "page/thumbs").iterdir())) == COUNT - 1


def test_two_specimens_are_enough(tmp_path: Path) -> None:
    write_sample(tmp_path / "meshes", 2)
    assert main(["specimens", "--in", str(tmp_path / "meshes"), "--out", str(tmp_path / "out"), *FLAGS]) == 0
    assert (tmp_path / "out/index.html").read_text().count("<section id=") == 2


def test_mistakes_end_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["specimens", "--in", str(tmp_path / "absent"), "--out", str(tmp_path / "out")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["render", "--in", str(tmp_path), "--out", str(tmp_path / "out"), "--views", "0"]) == 2
    assert main(["pool", "--features", str(tmp_path / "absent"), "--out", str(tmp_path / "out")]) == 2
