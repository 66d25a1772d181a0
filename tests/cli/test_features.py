"""Training from a feature table, through the command: the same heads as from live features."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from multimodal_search import encoders
from multimodal_search.cli import main
from multimodal_search.tables import FeatureTable, TableWriter, open_table
from multimodal_search.types import Modality

SMALL = ["--use-sample-data", "--sample-scenes", "30", "--epochs", "2", "--include-timeseries"]
HEADS = ("text_projector.pt", "image_projector.pt", "timeseries_projector.pt")


@pytest.fixture
def no_image_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the weights of an image encoder fails."""
    load = encoders.registry.build_from_card

    def refuse(card: Any, *rest: Any, **options: Any) -> Any:
        assert card.modality is not Modality.IMAGE, "the image encoder is loaded"
        return load(card, *rest, **options)

    monkeypatch.setattr(encoders.registry, "build_from_card", refuse)
    monkeypatch.setattr(encoders, "build_from_card", refuse)


@pytest.fixture(scope="session")
def live(home: Path) -> dict[Modality, FeatureTable]:
    """The tables of the live run."""
    found = [open_table(path.parent) for path in (home / "features").rglob("manifest.json")]
    return {one.info.card.modality: one for one in found if one.info.card}


Write = Callable[..., Path]


@pytest.fixture
def bulk(home: Path, live: dict[Modality, FeatureTable], tmp_path: Path) -> Write:
    """A table as ``embed --image-dir WORLD/images`` writes it: ids below that folder, in their own order."""

    def write(dtype: str = "float32", rows: slice = slice(None), scale: float = 1.0, **changes: Any) -> Path:
        table = live[Modality.IMAGE]
        root = Path(str(table.info.source["root"])) / "images"
        order = np.argsort(table.ids)[::-1][rows]
        info = replace(
            table.info, dtype=dtype, source={"kind": "images", "root": str(root)}, settings={}, **changes
        )
        with TableWriter(tmp_path / "bulk", info, replace=True) as writer:
            writer.add(
                [table.ids[i].removeprefix("images/") for i in order],
                [table.keys[i] for i in order],
                table.gather(order.astype(np.int64)) * np.float32(scale),
            )
        return tmp_path / "bulk"

    return write


def world(home: Path) -> Path:
    """The sample world of the live run."""
    return Path(json.loads((home / "output" / "bundle.json").read_text())["data"]["root"])


def train(home: Path, output: Path, *flags: str) -> int:
    """The live run's command on its data, without its features."""
    shared = [
        "--data-dir",
        str(world(home)),
        "--image-encoder",
        "sample/vit",
        "--text-encoder",
        "sample/text",
    ]
    shared += ["--epochs", "2", "--include-timeseries", "--output-dir", str(output)]
    return main(["train", *shared, *flags])


def same_heads(one: Path, other: Path) -> None:
    for name in HEADS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.usefixtures("no_image_encoder")
def test_the_heads_are_those_of_live_training_byte_for_byte(home: Path, bulk: Write, tmp_path: Path) -> None:
    assert train(home, tmp_path / "output", "--features", str(bulk())) == 0
    same_heads(tmp_path / "output", home / "output")
    written, expected = (
        json.loads((folder / "bundle.json").read_text()) for folder in (tmp_path / "output", home / "output")
    )
    assert written["encoders"] == expected["encoders"]
    assert written["data"]["features"] == [str(tmp_path / "bulk")]
    database = "vector_db.json"
    assert (tmp_path / "output" / database).read_bytes() == (home / "output" / database).read_bytes()
    # the trained heads, also where the start was kept
    trained, expected = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]
        for folder in (tmp_path / "output", home / "output")
    )
    assert set(trained) == set(expected)
    for name, weights in expected.items():
        assert torch.equal(trained[name], weights), name


def test_text_and_image_tables_together(
    home: Path, bulk: Write, live: dict[Modality, FeatureTable], tmp_path: Path, no_image_encoder: None
) -> None:
    tables = ["--features", str(bulk()), str(live[Modality.TEXT].folder)]
    assert train(home, tmp_path / "output", *tables) == 0
    same_heads(tmp_path / "output", home / "output")


def test_float16_differs_by_its_rounding_only(home: Path, bulk: Write, tmp_path: Path) -> None:
    assert train(home, tmp_path / "output", "--features", str(bulk("float16"))) == 0
    found, expected = (
        np.array([one["vec"] for one in json.loads((folder / "vector_db.json").read_text())])
        for folder in (tmp_path / "output", home / "output")
    )
    assert (found * expected).sum(axis=1).min() > 0.999


def test_search_and_evaluate_on_such_a_bundle(
    home: Path, bulk: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """Trained from vectors that were not normalised, searched by an encoder that is built from the card."""
    card = replace(open_table(bulk()).info.card, normalise=False)
    table = bulk(scale=3.0, normalised=False, card=card)
    output = tmp_path / "output"
    assert train(home, output, "--features", str(table)) == 0
    capsys.readouterr()
    picture = next(iter(sorted((world(home) / "images").iterdir())))
    found = []
    for bundle in (output, home / "output"):
        query = ["--image", str(picture), "--k", "3", "--json-output"]
        assert main(["search", "--bundle", str(bundle), *query]) == 0
        found.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert [one["id"] for one in found[0]] == [one["id"] for one in found[1]]
    assert found[0][0]["image_path"].endswith(picture.name)
    assert found[0][0]["score"] > 0.999

    figures = []
    for flags in ([], ["--features", str(table)], ["--data-dir", str(world(home)), "--include-timeseries"]):
        assert main(["evaluate", "--bundle", str(output), "--json-output", *flags]) == 0
        printed = capsys.readouterr().out  # training, in this process, left its log lines on
        figures.append(json.loads(printed[printed.index("{") :])["directions"]["text->image"]["MRR"])
    assert figures[0] == figures[1]
    assert figures[0] == pytest.approx(figures[2], abs=1e-6)


@pytest.mark.usefixtures("no_image_encoder")
def test_measuring_again_reads_the_bundles_own_table(
    home: Path, bulk: Write, tmp_path: Path, capsys: Any
) -> None:
    assert train(home, tmp_path / "output", "--features", str(bulk())) == 0
    assert main(["evaluate", "--bundle", str(tmp_path / "output"), "--json-output"]) == 0
    assert train(home, tmp_path / "output", "--features", str(bulk()), "--skip-training") == 0
    same_heads(tmp_path / "output", home / "output")


def test_a_table_that_lacks_some(home: Path, bulk: Write, tmp_path: Path, capsys: Any) -> None:
    assert train(home, tmp_path / "output", "--features", str(bulk(rows=slice(0, 27)))) == 0
    failures = (tmp_path / "output" / "failures.jsonl").read_text().splitlines()
    assert len(failures) == 3
    assert "not in the feature table" in failures[0]
    assert "3 inputs were skipped" in (tmp_path / "output" / "report.md").read_text()
    assert train(home, tmp_path / "other", "--features", str(bulk(rows=slice(0, 10)))) == 2
    told = capsys.readouterr().err
    assert "lacks 20 of the 30 pictures" in told
    assert "multimodal-search embed --image-dir" in told
    assert not list((tmp_path / "other").glob("*.pt"))


def test_mistakes_are_errors_with_exit_code_2(home: Path, bulk: Write, tmp_path: Path, capsys: Any) -> None:
    table, output = str(bulk()), tmp_path / "output"
    for flags, words in (
        (["--features", str(tmp_path / "absent")], "no whole feature table"),
        (["--features", table, table], "Two tables of image"),
        (["--features", table, "--image-encoder", "open_clip/ViT-B-32"], "made by sample/vit"),
    ):
        assert train(home, output, *flags) == 2
        assert words in capsys.readouterr().err
    moved = shutil.copytree(table, tmp_path / "grid")
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["card"]["pool"] = "grid"
    (moved / "manifest.json").write_text(json.dumps(manifest))
    assert train(home, output, "--features", str(moved)) == 2
    assert "--pool mean" in capsys.readouterr().err


def embed(out: Path | str, *flags: str) -> str:
    """``--features`` for a table made by the real command."""
    exact = ["--dtype", "float32", "--decode", "exact", "--precision", "fp32"]
    command = ["embed", *flags, "--encoder", "sample/vit", "--out", str(out), "--engine", "local", *exact]
    assert main(command) == 0
    return str(out)


def test_embed_a_folder_then_train_on_the_data_around_it(home: Path, tmp_path: Path) -> None:
    table = embed(tmp_path / "table", "--image-dir", str(world(home) / "images"))
    assert train(home, tmp_path / "output", "--features", table) == 0
    same_heads(tmp_path / "output", home / "output")


def test_embed_and_train_with_the_same_data_flag(home: Path, tmp_path: Path) -> None:
    table = embed(tmp_path / "table.parquet", "--data-dir", str(world(home)))
    texts = tmp_path / "texts.txt"
    known = json.loads((world(home) / "scenes_metadata.json").read_text())
    texts.write_text("\n".join(text for scene in known for text in scene["description"]), encoding="utf-8")
    words = str(tmp_path / "words")
    command = ["embed", "--text-file", str(texts), "--encoder", "sample/text", "--out", words]
    assert main([*command, "--dtype", "float32", "--engine", "local"]) == 0
    assert train(home, tmp_path / "output", "--features", table, "--features", words) == 0
    same_heads(tmp_path / "output", home / "output")


def test_each_command_may_draw_its_own_sample_world(home: Path, tmp_path: Path, capsys: Any) -> None:
    table = embed(tmp_path / "table", "--use-sample-data", "--sample-scenes", "30")
    assert main(["train", *SMALL, "--features", table, "--output-dir", str(tmp_path / "output")]) == 0
    assert "30 by their id; 30 with another time but the same size" in capsys.readouterr().out
    same_heads(tmp_path / "output", home / "output")


def test_a_changed_picture_is_embedded_again_by_the_command_that_is_told(
    home: Path, tmp_path: Path, capsys: Any
) -> None:
    data = tmp_path / "data"
    shutil.copytree(world(home), data)
    table = embed(tmp_path / "table", "--image-dir", str(data / "images"))
    first, second = sorted((data / "images").iterdir())[:2]
    shutil.copyfile(second, first)
    flags = ["--image-encoder", "sample/vit", "--text-encoder", "sample/text", "--epochs", "1"]
    shared = ["train", "--data-dir", str(data), *flags, "--features", table]
    assert main([*shared, "--output-dir", str(tmp_path / "before")]) == 0
    told = capsys.readouterr().out
    assert "has older content of 1 of the 30 pictures" in told
    command = shlex.split(told.partition("multimodal-search ")[2].splitlines()[0])
    exact = ["--engine", "local", "--dtype", "float32", "--decode", "exact", "--precision", "fp32"]
    assert main([*command, *exact]) == 0
    assert main([*shared, "--output-dir", str(tmp_path / "after")]) == 0
    assert "older content" not in capsys.readouterr().out


def test_grids_are_for_other_models(home: Path, tmp_path: Path, capsys: Any) -> None:
    table = embed(tmp_path / "table", "--image-dir", str(world(home) / "images"), "--pool", "grid")
    assert train(home, tmp_path / "output", "--features", table) == 2
    assert "--pool mean" in capsys.readouterr().err
    table = embed(tmp_path / "mean", "--image-dir", str(world(home) / "images"), "--pool", "mean")
    assert train(home, tmp_path / "output", "--features", table) == 0
    picture = str(min((world(home) / "images").iterdir()))
    query = ["--image", picture, "--k", "1", "--json-output"]
    capsys.readouterr()
    assert main(["search", "--bundle", str(tmp_path / "output"), *query]) == 0
    assert json.loads(capsys.readouterr().out)["image_path"].endswith(Path(picture).name)


def test_real_nuscenes_through_a_table(real_data: Path, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("nuscenes", reason="the extra nuscenes is not installed")
    root = real_data / "nuscenes" / "v1.0-mini-rebuilt"
    data = ["--nuscenes-path", str(root), "--use-devkit"]
    table = embed(tmp_path / "table", "--image-dir", str(root / "samples"))
    own = embed(tmp_path / "own", *data)
    encoders = ["--image-encoder", "sample/vit", "--text-encoder", "sample/text", "--epochs", "2"]
    ways = {"live": [], "folder": ["--features", table], "source": ["--features", own]}
    for name, flags in ways.items():
        assert main(["train", *data, *encoders, *flags, "--output-dir", str(tmp_path / name)]) == 0
    assert "39 at their place" in capsys.readouterr().out
    for file in ("image_projector.pt", "text_projector.pt", "vector_db.json", "failures.jsonl"):
        assert (tmp_path / "source" / file).read_bytes() == (tmp_path / "live" / file).read_bytes(), file
    # the folder holds more pictures, in other batches, where a matrix product rounds otherwise
    found, expected = (
        np.array([one["vec"] for one in json.loads((tmp_path / name / "vector_db.json").read_text())])
        for name in ("folder", "live")
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_table_in_s3(home: Path, bucket: str, tmp_path: Path, capsys: Any) -> None:
    table = embed(f"s3://{bucket}/table", "--image-dir", str(world(home) / "images"))
    assert train(home, tmp_path / "output", "--features", table) == 0
    same_heads(tmp_path / "output", home / "output")
    assert f"30 of 30 pictures are in {table}" in capsys.readouterr().out
    info = json.loads((tmp_path / "output" / "bundle.json").read_text())
    assert info["data"]["features"] == [table]
