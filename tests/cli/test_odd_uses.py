"""What people do that no manual foresees: other folders, moved data, copies, cameras, odd queries."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import multimodal_search
from multimodal_search.cli import main

SAMPLE = ["--image-encoder", "sample/vit", "--text-encoder", "sample/text", "--epochs", "1"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``my data/``, twelve scenes, and ``バンドル/`` made from it by relative paths."""
    folder = tmp_path_factory.mktemp("someone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["sample", "--scenes", "12", "--out", "my data/"]) == 0
        assert main(["train", "--data-dir", "my data/", *SAMPLE, "--output-dir", "バンドル/"]) == 0
    return folder


def test_a_bundle_is_measured_from_another_folder(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my data").mkdir()  # the same relative path leads to something else here
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "--bundle", str(world / "バンドル"), "--json-output"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["splits"] == json.loads((world / "バンドル" / "metrics.json").read_text())["splits"]


def test_a_copy_answers_and_data_that_moved_is_asked_for(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, copy = shutil.copytree(world / "my data", tmp_path / "data"), tmp_path / "copy"
    assert main(["train", "--data-dir", str(data), *SAMPLE, "--output-dir", str(tmp_path / "out")]) == 0
    shutil.copytree(tmp_path / "out", copy)
    here, there = (multimodal_search.load(one).search(text="rain", k=99) for one in (tmp_path / "out", copy))
    assert here == there
    assert len(here) == 12  # k may be larger than the data
    data.rename(tmp_path / "moved")
    assert multimodal_search.load(copy).search(text="rain", k=99) == here
    capsys.readouterr()
    assert main(["evaluate", "--bundle", str(copy)]) == 2
    told = capsys.readouterr().err
    assert str(data) in told
    assert "--data-dir" in told
    assert main(["evaluate", "--bundle", str(copy), "--data-dir", str(tmp_path / "moved")]) == 0


def test_the_data_folder_may_hold_the_bundle(world: Path, tmp_path: Path) -> None:
    folder = str(shutil.copytree(world / "my data", tmp_path / "data"))
    for _ in range(2):  # the second run reads what it read before, and not the bundle
        assert main(["train", "--data-dir", folder, *SAMPLE, "--output-dir", folder]) == 0
        assert len(multimodal_search.load(folder)) == 12


def test_six_pictures_a_scene_train_and_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--use-sample-data", "--sample-scenes", "6", "--epochs", "1", "--cameras", "all"]
    assert main(["train", *flags]) == 0
    assert main(["search", "--bundle", "output", "--text", "rain", "--k", "6", "--json-output"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert len({one["scene_id"] for one in found}) == 6
    capsys.readouterr()
    flags[-1] = "CAM_FORNT"
    assert main(["train", *flags, "--output-dir", "other"]) == 2
    assert "CAM_FORNT" in capsys.readouterr().err


def picture_of_a_signal(folder: Path) -> list[str]:
    return ["--image", str(next((folder / "my data" / "timeseries").glob("*.npy")))]


def signal_of_nothing(folder: Path) -> list[str]:
    np.save(folder / "nothing.npy", np.full((50, 6), np.nan))
    return ["--series", str(folder / "nothing.npy")]


QUERIES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "empty": (lambda folder: ["--text", ""], "empty"),
    "blank": (lambda folder: ["--text", " \n"], "empty"),
    "a folder": (lambda folder: ["--image", str(folder)], "no picture"),
    "no picture": (picture_of_a_signal, "not an image"),
    "a signal where none was learned": (signal_of_nothing, "without timeseries"),
    "k": (lambda folder: ["--text", "rain", "--k", "0"], "at least 1"),
    "against": (lambda folder: ["--text", "rain", "--against", "timeseries"], "timeseries"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_that_cannot_be_answered_is_explained(
    name: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, word = QUERIES[name]
    capsys.readouterr()
    assert main(["search", "--bundle", str(world / "バンドル"), *make(world)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert word in told


def test_a_file_is_not_taken_for_a_folder_nor_a_folder_for_a_file(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--output-dir", str(tmp_path / "out")]
    metadata = str(world / "my data" / "scenes_metadata.json")
    assert main(["train", "--data-dir", metadata, *SAMPLE, *out]) == 2
    assert "is a file" in capsys.readouterr().err
    assert main(["train", "--pairs", str(world / "my data"), *SAMPLE, *out]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_heads_are_not_kept_for_another_encoder(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data-dir", str(world / "my data"), "--output-dir", str(world / "バンドル"), "--skip-training"]
    assert main(["train", *flags, "--image-encoder", "hf/facebook/dinov2-small"]) == 2
    told = capsys.readouterr().err
    assert "sample/vit (shipped), not on hf/facebook/dinov2-small." in told


@pytest.mark.parametrize("form", ["extracted", "nuscenes", "pairs"])
def test_what_the_commands_say_to_do_next_works_when_pasted(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if form == "nuscenes":
        pytest.importorskip("nuscenes", reason="the extra nuscenes is not installed")
    monkeypatch.chdir(tmp_path)
    assert main(["sample", "--format", form, "--scenes", "4", "--out", "my world"]) == 0
    hint = capsys.readouterr().out.splitlines()[-1]
    words = shlex.split(hint.removeprefix("next: python train.py "))
    assert main(["train", *words, "--epochs", "1", "--output-dir", "my bundle"]) == 0
    printed = capsys.readouterr().out
    for command in ("search", "evaluate"):
        line = next(line for line in printed.splitlines() if f" {command} --bundle" in line)
        words = shlex.split(line)
        words = words[words.index(command) :]
        # four scenes leave one to measure
        assert main(words) == 0, line
