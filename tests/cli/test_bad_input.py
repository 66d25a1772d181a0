"""A mistake gives one clear message and exit code 2; one bad input among many is skipped and listed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_search.cli import main

SAMPLE = ["--image-encoder", "sample/vit", "--text-encoder", "sample/text"]
Records = list[dict[str, Any]]


def write_folder(folder: Path, n: int = 12, edit: Callable[[Records], Any] | None = None) -> Path:
    """An extracted folder of n plain scenes; ``edit`` may change or replace the records."""
    (folder / "images").mkdir(parents=True)
    (folder / "timeseries").mkdir()
    rng = np.random.default_rng(0)
    records: Records = []
    for k in range(n):
        colour = tuple(int(part) for part in rng.integers(0, 255, 3))
        Image.new("RGB", (64, 36), colour).save(folder / "images" / f"{k}.png")
        np.save(folder / "timeseries" / f"s{k}.npy", rng.normal(size=(50, 3)).cumsum(0))
        records.append(
            {"scene_id": f"s{k}", "description": f"scene number {k}", "image_path": f"images/{k}.png"}
        )
    edited = edit(records) if edit else None
    (folder / "scenes_metadata.json").write_text(json.dumps(records if edited is None else edited))
    return folder


def train(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    code = main(["train", *flags, "--epochs", "2"] if "--epochs" not in flags else ["train", *flags])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def edited(change: Callable[[Records], Any]) -> Callable[[Path], list[str]]:
    def make(tmp: Path) -> list[str]:
        return ["--data-dir", str(write_folder(tmp / "data", edit=change))]

    return make


def set_key(index: int, key: str, value: Any) -> Callable[[Records], None]:
    def change(records: Records) -> None:
        records[index][key] = value

    return change


def broken_json(tmp: Path) -> list[str]:
    folder = write_folder(tmp / "data")
    (folder / "scenes_metadata.json").write_text('[\n{"scene_id": "a",}\n]')
    return ["--data-dir", str(folder)]


def no_metadata(tmp: Path) -> list[str]:
    folder = write_folder(tmp / "data")
    (folder / "scenes_metadata.json").unlink()
    return ["--data-dir", str(folder)]


def file_as_output(tmp: Path) -> list[str]:
    (tmp / "taken").write_text("")
    return ["--data-dir", str(write_folder(tmp / "data")), "--output-dir", str(tmp / "taken" / "bundle")]


CASES: dict[str, tuple[Callable[[Path], list[str]], list[str]]] = {
    "no source": (lambda tmp: [], ["--use-sample-data", "--data-dir", "--nuscenes-path", "--pairs"]),
    "two sources": (lambda tmp: ["--use-sample-data", "--pairs", "x.csv"], ["--use-sample-data", "--pairs"]),
    "folder missing": (lambda tmp: ["--data-dir", str(tmp / "none")], ["none", "to do"]),
    "metadata missing": (no_metadata, ["scenes_metadata.json", "to do"]),
    "malformed JSON": (broken_json, ["scenes_metadata.json", "line 2", "column"]),
    "not a list": (edited(lambda records: {"scenes": 1}), ["list", "scenes_metadata.json"]),
    "record without its key": (
        edited(lambda records: records[4].pop("scene_id") and None),
        ["scene_id", "4"],
    ),
    "duplicate scene": (edited(set_key(7, "scene_id", "s2")), ["s2", "7"]),
    "path leaves the folder": (
        edited(set_key(3, "image_path", "../../etc/passwd")),
        ["../../etc/passwd", "s3"],
    ),
    "no item": (edited(lambda records: []), ["scenes_metadata.json"]),
    "unknown encoder": (
        lambda tmp: ["--data-dir", str(write_folder(tmp / "data")), "--image-encoder", "open_clip/ViT-L14"],
        ["ViT-L14", "ViT-L-14"],
    ),
    "unknown family": (
        lambda tmp: ["--data-dir", str(write_folder(tmp / "data")), "--image-encoder", "openclip/ViT-L-14"],
        ["openclip", "open_clip"],
    ),
    "unknown weights tag": (
        lambda tmp: ["--data-dir", str(write_folder(tmp / "data")), "--image-weights", "laion3b"],
        ["laion3b", "laion2b_s32b_b82k"],
    ),
    "epochs 0": (lambda tmp: ["--use-sample-data", "--epochs", "0"], ["--epochs"]),
    "cuda without one": (
        lambda tmp: ["--data-dir", str(write_folder(tmp / "data")), *SAMPLE, "--device", "cuda"],
        ["--device cuda", "--device cpu"],
    ),
    "output not writable": (file_as_output, ["taken"]),
    "signals where there are none": (
        lambda tmp: ["--pairs", str(pairs_file(tmp)), *SAMPLE, "--include-timeseries"],
        ["--include-timeseries"],
    ),
    "pairs file missing": (lambda tmp: ["--pairs", str(tmp / "none.csv")], ["none.csv"]),
    "s3 address malformed": (
        lambda tmp: ["--data-dir", str(write_folder(tmp / "data")), "--s3-output", "bucket/x"],
        ["s3://"],
    ),
}


def pairs_file(tmp: Path) -> Path:
    folder = write_folder(tmp / "data")
    rows = "".join(f"images/{k}.png,picture {k}\n" for k in range(12))
    (folder / "pairs.csv").write_text("image,text\n" + rows)
    return folder / "pairs.csv"


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_explained(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SM_MODEL_DIR", raising=False)
    make, words = CASES[name]
    code, _, err = train(capsys, *make(tmp_path))
    assert code == 2, err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert not (tmp_path / "output" / "bundle.json").exists()


def test_unreachable_weights_name_the_ways_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    code, _, err = train(capsys, "--data-dir", str(write_folder(tmp_path / "data")))
    assert code == 2
    for word in ("laion2b_s32b_b82k", "--image-weights", "HF_ENDPOINT", "sample/vit"):
        assert word in err


def test_bad_inputs_among_good_ones_are_listed_and_the_job_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "データ と 空白", n=24)
    images, series = folder / "images", folder / "timeseries"
    (images / "0.png").unlink()
    (images / "1.png").write_bytes((images / "1.png").read_bytes()[:60])
    (images / "2.png").write_text("not a picture")
    np.save(series / "s3.npy", np.zeros(7))
    np.save(series / "s4.npy", np.zeros((0, 3)))
    np.save(series / "s5.npy", np.array([["a", "b", "c"]] * 4))
    np.save(series / "s6.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    np.save(series / "s7.npy", np.full((50, 3), np.nan))
    (series / "s8.npy").write_bytes(b"\x93NUMPY broken")
    repaired = np.load(series / "s9.npy")
    repaired[4, 1] = np.inf
    np.save(series / "s9.npy", repaired)
    output = tmp_path / "output"
    flags = ["--data-dir", str(folder), *SAMPLE, "--include-timeseries", "--output-dir", str(output)]
    code, _, err = train(capsys, *flags)
    assert code == 0, err
    report = (output / "report.md").read_text()
    for name in ("s3", "s4", "s5", "s6", "s7", "s8"):
        assert name in report, name
    for picture in ("images/0.png", "images/1.png", "images/2.png"):
        assert picture in report, picture
    ids = {(one["scene_id"], one["type"]) for one in json.loads((output / "vector_db.json").read_text())}
    assert ("s9", "timeseries") in ids
    assert not {(f"s{k}", "timeseries") for k in range(3, 9)} & ids
    assert not {(f"s{k}", "image") for k in range(3)} & ids


def test_odd_texts_survive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["", "a\nb\r\nc", "x" * 10_000, "  ", "交差点で停車", ["one", "two"], "\u0000odd", "🚗" * 40]

    def change(records: Records) -> None:
        for record, text in zip(records, texts, strict=False):
            record["description"] = text

    folder = write_folder(tmp_path / "data", edit=change)
    code, _, err = train(capsys, "--data-dir", str(folder), *SAMPLE, "--output-dir", str(tmp_path / "out"))
    assert code == 0, err
    entries = json.loads((tmp_path / "out" / "vector_db.json").read_text())
    assert len({one["scene_id"] for one in entries if one["type"] == "image"}) == 12
    assert len([one for one in entries if one["type"] == "text"]) == 10


@pytest.mark.parametrize("scenes", [1, 2, 3, 5])
def test_few_scenes_train_and_say_what_cannot_be_told(
    scenes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "data", n=scenes)
    flags = [
        "--data-dir",
        str(folder),
        *SAMPLE,
        "--include-timeseries",
        "--output-dir",
        str(tmp_path / "out"),
    ]
    code, out, err = train(capsys, *flags)
    assert code == 0, err
    assert "too few" in out


def test_a_python_that_is_too_old_is_told_which_to_take() -> None:
    """Before an import fails on something that the old one does not know."""
    program = Path(__file__).parents[2] / "train.py"
    run = f"runpy.run_path({str(program)!r}, run_name='__main__')"
    pretended = f"import runpy, sys; sys.version_info = (3, 10, 4); {run}"
    done = subprocess.run([sys.executable, "-c", pretended], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer; this is 3.10" in done.stderr
    assert "py312" in done.stderr
    assert "Traceback" not in done.stderr
