"""Searching and measuring a bundle from the command line and from Python."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import multimodal_search
from multimodal_search.cli import main
from multimodal_search.errors import BundleError, EncoderError


def hits(capsys: pytest.CaptureFixture[str], *flags: str) -> list[dict[str, object]]:
    assert main(["search", *flags, "--json-output"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_search_by_words_picture_and_signal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = str(home / "output")
    world = next((home / "output" / "sample_data").glob("*/scenes_metadata.json")).parent
    record = json.loads((world / "scenes_metadata.json").read_text())[3]
    picture, signal = (
        str(world / record["image_path"]),
        str(world / "timeseries" / f"{record['scene_id']}.npy"),
    )
    found = hits(capsys, "--bundle", bundle, "--text", "turn left in the rain", "--k", "4")
    assert len(found) == 4
    assert {"id", "scene_id", "score", "text", "image_path", "metadata"} <= set(found[0])
    assert hits(capsys, "--bundle", bundle, "--image", picture)[0]["scene_id"] == record["scene_id"]
    near = hits(capsys, "--bundle", bundle, "--series", signal, "--against", "timeseries")
    assert near[0]["scene_id"] == record["scene_id"]
    assert (
        len(hits(capsys, "--bundle", bundle, "--text", "雨の夜", "--image", picture, "--series", signal))
        == 10
    )


def test_the_python_call_gives_the_same(home: Path) -> None:
    bundle = multimodal_search.load(home / "output")
    first, second = (bundle.search(text="hard braking", k=5) for _ in range(2))
    assert [hit.id for hit in first] == [hit.id for hit in second]
    assert all(a.score >= b.score for a, b in itertools.pairwise(first))


def test_a_human_reads_scores_ids_and_texts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--bundle", str(home / "output"), "--text", "snow", "--k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].split() == ["#", "score", "moment", "time", "text"]
    assert "sample-" in lines[1]


def test_evaluate_prints_what_metrics_json_holds(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--bundle", str(home / "output"), "--features-dir", str(home / "features"), "--json-output"]
    assert main(["evaluate", *flags]) == 0
    again = json.loads(capsys.readouterr().out)
    held = json.loads((home / "output" / "metrics.json").read_text())
    assert again["splits"] == held["splits"]
    for name, entry in held["directions"].items():
        assert np.isclose(again["directions"][name]["R@10"], entry["R@10"]), name


def test_evaluate_on_other_data_measures_all_of_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ["--use-sample-data", "--sample-scenes", "20", "--sample-seed", "5", "--include-timeseries"]
    assert main(["evaluate", "--bundle", str(home / "output"), *other]) == 0
    assert "R@10" in capsys.readouterr().out


def test_no_bundle_no_query_and_an_edited_encoder_are_explained(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "--bundle", str(tmp_path), "--text", "x"]) == 2
    assert "to do" in capsys.readouterr().err
    assert main(["search", "--bundle", str(home / "output")]) == 2
    assert "--text" in capsys.readouterr().err
    with pytest.raises(BundleError):
        multimodal_search.load(tmp_path / "absent")
    for file in (home / "output").glob("*"):
        (tmp_path / file.name).symlink_to(file)
    info = json.loads((home / "output" / "bundle.json").read_text())
    info["encoders"]["text"]["fingerprint"] = "0" * 64
    (tmp_path / "bundle.json").unlink()
    (tmp_path / "bundle.json").write_text(json.dumps(info))
    with pytest.raises(EncoderError):
        multimodal_search.load(tmp_path).search(text="x")
