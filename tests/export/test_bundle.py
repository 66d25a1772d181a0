"""The folder that training leaves: every file, consistent, whole or not at all."""

from __future__ import annotations

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from multimodal_search.errors import OutputError
from multimodal_search.export import bundle as bundle_module
from multimodal_search.export.bundle import write_bundle
from multimodal_search.index import load
from multimodal_search.projectors.bundle import load_projectors, read_bundle_info
from multimodal_search.settings import TrainSettings, read_config
from multimodal_search.tables import open_table
from multimodal_search.types import Modality


@pytest.fixture(scope="module")
def written(features, contents, history, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    made = contents(features(), history())
    return write_bundle(made, folder), made


def test_every_file_of_the_contract_is_there_and_nothing_is_left_over(written):
    folder, _ = written
    assert {path.name for path in folder.iterdir()} == {
        "text_projector.pt", "image_projector.pt", "timeseries_projector.pt", "bundle.json", "vector_db.json",
        "scenes_with_umap.json", "vectors", "metrics.json", "report.md", "umap.png", "training.png",
        "settings.yaml", "failures.jsonl",
    }  # fmt: skip
    assert not list(folder.rglob("*.tmp"))


def test_the_database_holds_what_the_heads_give(written):
    folder, made = written
    entries = json.loads((folder / "vector_db.json").read_text(encoding="utf-8"))
    # 24 scenes of two moments; the first scene has no text
    assert len(entries) == 48 + 48 + 46
    one = next(e for e in entries if e["id"] == "scene-0005/1" and e["type"] == "image")
    assert one["scene_id"] == "scene-0005"
    assert one["text"] == 'A car "turns"\nright 5'
    assert one["image_path"] == "images/場面 5_1.jpg"
    assert one["location"] == "singapore"
    assert one["timestamp_us"] == 1_532_407_927_500_000
    assert one["metadata"] == {"manoeuvre": "right", "weather": "fog", "odd": None}
    row = made.features.sets[Modality.IMAGE].vectors[[11]]
    np.testing.assert_allclose(one["vec"], made.projectors[Modality.IMAGE].project(row)[0], atol=1e-7)
    assert next(e for e in entries if e["scene_id"] == "scene-0000")["text"] == ""


def test_projectors_load_with_weights_only(written):
    folder, made = written
    state = torch.load(folder / "image_projector.pt", weights_only=True)
    assert torch.equal(state["linear.weight"], made.projectors[Modality.IMAGE].linear.weight)
    heads = load_projectors(folder, read_bundle_info(folder))
    assert set(heads) == set(Modality)


def test_the_table_and_the_index_number_the_same_vectors(written):
    faiss = pytest.importorskip("faiss")
    folder, _ = written
    table = open_table(folder / "vectors")
    index = faiss.read_index(str(folder / "vectors" / "index.faiss"))
    assert len(table) == index.ntotal == 142
    np.testing.assert_allclose(np.linalg.norm(table.gather(), axis=1), 1.0, atol=1e-5)
    for row in (0, 60, 141):
        np.testing.assert_allclose(index.reconstruct(row), table.gather(np.array([row]))[0], atol=1e-6)
    opened = load(folder / "vectors" / "index.faiss")
    assert opened.columns["id"].to_pylist() == table.ids
    assert opened.fingerprint == table.info.fingerprint
    allowed = np.array(table.columns()["type"].to_pylist()) == "text"
    assert allowed[opened.search(table.gather(np.array([3]))[0], 20, allowed=allowed).rows].all()
    assert table.columns()["type"].to_pylist()[0] == "image"
    assert table.ids[0] == "image:scene-0000/0"


def test_the_map_has_a_place_for_each_scene(written):
    folder, made = written
    entries = json.loads((folder / "scenes_with_umap.json").read_text(encoding="utf-8"))
    assert [entry["scene_id"] for entry in entries] == list(made.features.scenes())
    assert set(entries[3]) == {
        "scene_id", "text", "description", "image_path", "location", "umap_coords", "metadata"
    }  # fmt: skip
    assert np.isfinite([entry["umap_coords"] for entry in entries]).all()
    assert entries[3]["description"].endswith("車が曲がる 3")


def test_settings_are_read_back_as_they_were(written):
    folder, made = written
    values = read_config(folder / "settings.yaml", tuple(TrainSettings.model_fields))
    assert TrainSettings(**values) == made.settings


def test_the_metrics_are_those_that_were_given(written):
    folder, made = written
    assert json.loads((folder / "metrics.json").read_text()) == made.metrics


def test_pictures_can_be_opened(written):
    folder, _ = written
    for name in ("umap.png", "training.png"):
        with Image.open(folder / name) as picture:
            picture.load()
            assert min(picture.size) > 500


def test_the_report_says_what_a_person_asks(written):
    text = (written[0] / "report.md").read_text(encoding="utf-8")
    for wanted in (
        "48 moments of 24 scenes in 8 logs", "boston, singapore", "CC-BY-4.0", "Too few to tell",
        "text->image", "ridge", "shuffled", "stub/image", "trained (epoch 7)", "timeseries/kernels: 0.500",
        "the heads are untrained", "2 | image missing | images/x.jpg", "umap.png", "training.png",
        "multimodal_search.load",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_a_bundle_over_an_older_one_leaves_nothing_of_it(features, contents, history, tmp_path):
    write_bundle(contents(features(), history()), tmp_path)
    (tmp_path / "checkpoints").mkdir()
    smaller = features(scenes=6, modalities=(Modality.IMAGE, Modality.TEXT))
    write_bundle(contents(smaller, [{"epoch": 0.0}]), tmp_path)
    assert not (tmp_path / "timeseries_projector.pt").exists()
    assert not (tmp_path / "training.png").exists()
    assert "training.png" not in (tmp_path / "report.md").read_text()
    assert len(open_table(tmp_path / "vectors")) == 12 + 10
    assert (tmp_path / "checkpoints").is_dir()


def test_every_skipped_input_is_listed_not_only_an_example(written, features, contents, tmp_path):
    folder, _ = written
    lines = [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]
    assert lines == [{"id": one, "path": f"images/{one}.jpg", "reason": "image missing"} for one in "xy"]
    assert "failures.jsonl" in (folder / "report.md").read_text()
    (tmp_path / "failures.jsonl").write_text("of an older bundle")
    write_bundle(contents(replace(features(), failures=()), [{"epoch": 0.0}]), tmp_path)
    assert not (tmp_path / "failures.jsonl").exists()


def test_heads_of_an_earlier_run_keep_their_curves(features, contents, history, tmp_path):
    write_bundle(contents(features(scenes=8), history()), tmp_path)
    before = (tmp_path / "training.png").read_bytes()
    write_bundle(contents(features(scenes=6), history=()), tmp_path)
    assert (tmp_path / "training.png").read_bytes() == before
    assert "training.png" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("step", ["write_vector_db", "write_vectors", "plot_map", "write_json"])
def test_a_full_disk_leaves_the_older_bundle_as_it_was(
    features, contents, history, tmp_path, monkeypatch, step
):
    write_bundle(contents(features(scenes=6), history()), tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*_args, **_keywords):
        raise OutputError("The disk is full.", where=tmp_path)

    monkeypatch.setattr(bundle_module, step, full)
    with pytest.raises(OutputError, match="full"):
        write_bundle(contents(features(scenes=9)), tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_failure_between_the_renames_leaves_no_bundle_json(features, contents, tmp_path, monkeypatch):
    write_bundle(contents(features(scenes=6)), tmp_path)

    def refuse(_folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bundle_module, "fsync_folder", refuse)
    with pytest.raises(OutputError, match="full"):
        write_bundle(contents(features(scenes=6)), tmp_path)
    assert not (tmp_path / "bundle.json").exists()
    monkeypatch.undo()
    write_bundle(contents(features(scenes=6)), tmp_path)
    assert read_bundle_info(tmp_path).licence == "CC-BY-4.0"


def test_two_writings_give_the_same_bytes(features, contents, history, tmp_path):
    for name in ("one", "two"):
        write_bundle(contents(features(), history()), tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    # beside the index: names that no file ever had, and how long a query took
    files = [p for p in files if p.parent.name != "index.faiss.files"]
    different = [
        str(p) for p in files if (tmp_path / "one" / p).read_bytes() != (tmp_path / "two" / p).read_bytes()
    ]
    # the lock names the process; everything else is a function of its input
    assert [p for p in different if not p.endswith(".lock")] == []


def test_other_heads_give_another_fingerprint(features, contents, tmp_path):
    """An index of the vectors of other heads is of another space, though the encoders are the same."""
    found = []
    for change in (0.0, 0.5):
        made = contents(features())
        with torch.no_grad():
            made.projectors[Modality.IMAGE].linear.weight += change
        write_bundle(made, tmp_path / str(change))
        found.append(open_table(tmp_path / str(change) / "vectors").info.fingerprint)
    assert found[0] != found[1]


@pytest.mark.parametrize("scenes", [1, 2, 3, 5])
def test_a_handful_of_scenes_makes_a_bundle(features, contents, tmp_path, scenes):
    write_bundle(contents(features(scenes=scenes)), tmp_path)
    assert len(json.loads((tmp_path / "scenes_with_umap.json").read_text())) == scenes


def test_a_file_in_the_way_is_named(features, contents, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out"):
        write_bundle(contents(features(scenes=3)), tmp_path / "out")
