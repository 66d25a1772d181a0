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
from multimodal_search.settings import SearchSettings, parse


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


def test_parts_weights_filters_and_files(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = ["--bundle", str(home / "output")]
    found = hits(
        capsys, *bundle, "--text", "rain, at night", "--text", "bus", "--not-text", "snow", "--topk", "3"
    )
    assert len(found) == 3
    python = multimodal_search.load(home / "output").search(
        text=["rain, at night", "bus", ("snow", -1.0)], k=3
    )
    assert [one["id"] for one in found] == [one.id for one in python]
    weights = ["--weights", "text=1:0.25", "not-text=0.5"]
    found = hits(
        capsys, *bundle, "--text", "rain", "--text", "bus", "--not-text", "snow", *weights, "-k", "3"
    )
    python = multimodal_search.load(home / "output").search(text=["rain", ("bus", 0.25), ("snow", -0.5)], k=3)
    assert [one["id"] for one in found] == [one.id for one in python]
    me = str(found[0]["id"])
    assert hits(capsys, *bundle, "--id", me, "-k", "1")[0]["id"] == me
    assert hits(capsys, *bundle, "--id", me, "--where", f"id != '{me}'")[0]["id"] != me
    np.save(tmp_path / "v.npy", multimodal_search.load(home / "output").vectors([me]))
    assert hits(capsys, *bundle, "--vector", str(tmp_path / "v.npy"), "-k", "1")[0]["id"] == me
    out = tmp_path / "hits.json"
    assert main(["search", *bundle, "--text", "bus", "--modality", "text", "--out", str(out)]) == 0
    assert len(json.loads(out.read_text())) == 10


def test_yaml_may_say_one_text_or_several(tmp_path: Path) -> None:
    for text, parts in (("rain, at night", ["rain, at night"]), ("[rain, fog]", ["rain", "fog"])):
        (tmp_path / "q.yaml").write_text(f"text: {text}\nk: 3\n")
        settings = parse(SearchSettings, ["--config", str(tmp_path / "q.yaml")], prog="", summary="")
        assert (settings.text, settings.k) == (parts, 3)


def test_plain_vectors_are_searched_without_a_bundle(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "v.npy", np.eye(4, dtype=np.float32))
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    plain = ["--index", str(tmp_path / "v.npy"), "--ids", str(tmp_path / "names.txt")]
    assert [one["id"] for one in hits(capsys, *plain, "--id", "c", "--metric", "l2", "-k", "2")] == ["c", "a"]
    assert hits(capsys, "--index", str(home / "output"), "--id", "sample-00003", "-k", "1")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--text", "bus", "--where", "lokation == 'x'"], ["'lokation'", "'location'"]),
        (["--text", "bus", "--where", "location = 'x'"], ["^", "write =="]),
        (["--text", "bus", "--weights", "text"], ["NAME=NUMBER"]),
        (["--text", "bus", "--weights", "image=2"], ["no --image"]),
        (["--text", "bus", "--weights", "smell=2"], ["no part of a query"]),
        (["--text", "bus", "--weights", "text=1:2"], ["2 weights for 1 parts"]),
        (["--text", "bus", "--out", "hits.xlsx"], [".parquet"]),
        (["--id", "sample-0000"], ["did you mean 'sample-0"]),
        (["--text", "bus", "--after", "soon"], ["ISO 8601"]),
        (["--index", "absent.faiss", "--id", "x"], ["no index here"]),
    ],
)
def test_mistakes_are_explained(
    home: Path, capsys: pytest.CaptureFixture[str], flags: list[str], words: list[str]
) -> None:
    assert main(["search", "--bundle", str(home / "output"), *flags]) == 2
    told = capsys.readouterr().err
    for word in words:
        assert word in told


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
