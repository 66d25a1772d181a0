"""Rows of a table made before are found by place, id or the end of the path, unless the picture changed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_search.embedding.collect import collect
from multimodal_search.embedding.given import GivenTable
from multimodal_search.errors import DataError
from multimodal_search.storage import content_key
from multimodal_search.tables import TableInfo, TableWriter, open_table
from multimodal_search.types import EncoderCard, Failure, Item, Modality, MomentFeatures

Make = Callable[..., GivenTable]
NAMES = [f"images/{kind}/{i}.png" for kind in ("front", "back") for i in range(4)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight pictures of eight sizes in two folders."""
    root = tmp_path / "data"
    for i, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8 + i, 6), (i, 10, 20)).save(root / name, compress_level=0)
        os.utime(root / name, ns=(1_000_000_000 + i, 1_000_000_000 + i))
    assert len({(root / name).stat().st_size for name in NAMES}) == len(NAMES)
    return root


@pytest.fixture
def make_table(tmp_path: Path) -> Make:
    """A table of the pictures below ``root``, ids relative to it; vector ``i`` is the i-th unit vector."""

    def make(root: Path, names: list[str], **changes: Any) -> GivenTable:
        options = {"keys": None, "modality": Modality.IMAGE, "scale": 1.0, "failures": (), "ids": names}
        options.update({key: changes.pop(key) for key in list(changes) if key in options})
        keys = options["keys"] or [content_key(root / name) for name in names]
        card = EncoderCard(
            "stub/given", "none", options["modality"], 16, normalise="normalised" not in changes
        )
        source = changes.pop("source", {"kind": "images", "root": str(root)})
        info = replace(TableInfo("f" * 64, 16, card, source=source), **changes)
        with TableWriter(tmp_path / "given table", info) as writer:
            vectors = np.eye(16, dtype=np.float32)[: len(names)] * np.float32(options["scale"])
            writer.add(options["ids"], keys, vectors)
            writer.write_failures(options["failures"])
        return GivenTable(open_table(tmp_path / "given table"), str(tmp_path / "given table"))

    return make


@pytest.fixture
def features(stub_source: Any, tmp_path: Path) -> Callable[..., MomentFeatures]:
    """What training gets from the table for these pictures below ``root``."""

    def run(root: Path, given: GivenTable, names: list[str] = NAMES) -> MomentFeatures:
        source = stub_source(root, [Item(name, name, image_path=name) for name in names])
        found = collect(source, {}, features_dir=tmp_path / "unused", given={Modality.IMAGE: given})
        assert not (tmp_path / "unused").exists()
        return found

    return run


def rows(found: MomentFeatures) -> dict[str, int]:
    """Picture -> which unit vector it got."""
    one = found.sets[Modality.IMAGE]
    links = one.row_index[one.primary_rows(0) if not found.items else np.arange(len(found.items))]
    return {one.ids[row]: int(one.vectors[row].argmax()) for row in links}


def test_the_same_folder(data: Path, make_table: Make, features: Any, caplog: Any) -> None:
    given = make_table(data, NAMES[::-1])
    with caplog.at_level(logging.INFO):
        found = features(data, given)
    assert rows(found) == {name: 7 - i for i, name in enumerate(NAMES)}
    assert found.sets[Modality.IMAGE].ids == tuple(NAMES), "named as live, in the order of the items"
    assert found.sets[Modality.IMAGE].fingerprint == "f" * 64
    assert "8 of 8 pictures" in caplog.text
    assert "8 at their place" in caplog.text
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


@pytest.mark.parametrize("below", ["images", "."])
def test_a_root_inside_and_around_the_data(below: str, data: Path, make_table: Make, features: Any) -> None:
    """embed --image-dir DIR/images, then train --data-dir DIR; and the other way round."""
    root = data / below if below == "images" else data.parent
    names = [(data / name).relative_to(root).as_posix() for name in NAMES]
    assert rows(features(data, make_table(root, names))) == {name: i for i, name in enumerate(NAMES)}


def test_a_folder_behind_a_link(data: Path, make_table: Make, features: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data)
    given = make_table(tmp_path / "link", NAMES)
    assert len(rows(features(data, given))) == 8
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "images").symlink_to(data / "images")
    assert len(rows(features(tmp_path / "other", given))) == 8


def test_names_with_every_character(data: Path, make_table: Make, features: Any, caplog: Any) -> None:
    odd = ["images/夜 #1?.png", "images/a%20b.png", "images/-x'.png"]
    for name, old in zip(odd, NAMES, strict=False):
        (data / old).rename(data / name)
    with caplog.at_level(logging.INFO):
        found = features(data, make_table(data / "images", [name[7:] for name in odd]), odd)
    assert rows(found) == {name: i for i, name in enumerate(odd)}
    assert "3 at their place" in caplog.text


def moved(data: Path) -> Path:
    """The pictures elsewhere, with other times, and the old place gone: another machine."""
    other = data.with_name("elsewhere")
    shutil.copytree(data, other, copy_function=shutil.copyfile)
    shutil.rmtree(data)
    return other


def test_another_machine_with_the_same_layout(
    data: Path, make_table: Make, features: Any, caplog: Any
) -> None:
    given = make_table(data, NAMES)
    with caplog.at_level(logging.INFO):
        found = features(moved(data), given)
    assert rows(found) == {name: i for i, name in enumerate(NAMES)}
    assert "8 by their id" in caplog.text
    assert "8 with another time but the same size" in caplog.text


def test_another_machine_and_another_root(data: Path, make_table: Make, features: Any, caplog: Any) -> None:
    given = make_table(data / "images", [name.removeprefix("images/") for name in NAMES])
    with caplog.at_level(logging.INFO):
        found = features(moved(data), given)
    assert rows(found) == {name: i for i, name in enumerate(NAMES)}
    assert "8 by the end of their path" in caplog.text


def test_the_same_place_on_another_machine(data: Path, make_table: Make, features: Any) -> None:
    """Not one time agrees: the whole folder is a copy, and its sizes tell."""
    given = make_table(data, NAMES)
    for name in NAMES:
        os.utime(data / name)
    assert len(rows(features(data, given))) == 8


def test_a_changed_picture_is_not_used(data: Path, make_table: Make, features: Any, caplog: Any) -> None:
    given = make_table(data, NAMES)
    Image.new("RGB", (50, 6)).save(data / NAMES[0])
    os.utime(data / NAMES[1])  # the same size: only its time tells, and the others' times hold
    found = features(data, given)
    assert rows(found) == {name: i for i, name in enumerate(NAMES) if i > 1}
    assert [(one.id, one.reason) for one in found.failures] == [
        (name, "it changed after the feature table was made") for name in NAMES[:2]
    ]
    assert "has older content of 2 of the 8 pictures" in caplog.text
    command = f"multimodal-search embed --image-dir {data} --encoder stub/given --weights none --out"
    assert command in caplog.text


def test_a_picture_embedded_again_is_used(data: Path, make_table: Make, features: Any) -> None:
    given = make_table(data, NAMES)
    Image.new("RGB", (50, 6)).save(data / NAMES[0])
    with TableWriter(given.table.folder, given.table.info) as writer:
        writer.add([NAMES[0]], [content_key(data / NAMES[0])], np.eye(16, dtype=np.float32)[[9]])
    again = GivenTable(open_table(given.table.folder), given.place)
    assert rows(features(data, again))[NAMES[0]] == 9


def test_copies_that_changed_are_told_by_their_size(data: Path, make_table: Make, features: Any) -> None:
    given = make_table(data / "images", [name.removeprefix("images/") for name in NAMES])
    other = moved(data)
    Image.new("RGB", (50, 6)).save(other / NAMES[3])
    assert rows(features(other, given)) == {name: i for i, name in enumerate(NAMES) if i != 3}


def test_names_that_fit_several_rows_fit_none(data: Path, make_table: Make, features: Any) -> None:
    other = moved(data)
    names = ["x/front/0.png", "y/front/0.png", *NAMES[1:]]
    keys = [content_key(other / name) for name in [NAMES[0], *NAMES]]
    given = make_table(data, names, keys=keys, source={"kind": "images", "root": "/gone"})
    assert rows(features(other, given)) == {name: i + 1 for i, name in enumerate(NAMES) if i}


def test_one_row_never_serves_two_pictures_by_the_end_of_their_path(
    data: Path, make_table: Make, features: Any
) -> None:
    flat = ["1.png", "2.png", "3.png"]  # front's or back's?
    keys = [content_key(data / NAMES[i]) for i in (1, 2, 3)]
    names = [*flat, *NAMES[4:]]
    keys += [content_key(data / name) for name in NAMES[4:]]
    given = make_table(data, names, keys=keys, source={"kind": "images", "root": "/gone"})
    expected = {f"images/front/{one}": i for i, one in enumerate(flat)}
    assert rows(features(data, given)) == {**expected, **{name: i for i, name in enumerate(names) if i > 2}}
    shutil.rmtree(given.table.folder)
    for i in (1, 2, 3):
        shutil.copy2(data / NAMES[i], data / NAMES[i + 4])  # now back's has front's size, and time
    given = make_table(data, flat, keys=keys[:3], source={"kind": "images", "root": "/gone"})
    with pytest.raises(DataError, match="lacks 8 of the 8"):
        features(data, given)


def test_keys_that_nobody_knew(data: Path, make_table: Make, features: Any) -> None:
    given = make_table(data, NAMES, keys=[""] * 8, source={})
    assert len(rows(features(data, given))) == 8


def test_a_list_of_paths_with_a_dataset_before_them(data: Path, make_table: Make, features: Any) -> None:
    names = [f"mini/{name}" for name in NAMES]
    given = make_table(data, names, keys=[""] * 8, source={"kind": "paths", "root": str(data)})
    assert rows(features(data, given)) == {name: i for i, name in enumerate(NAMES)}


@pytest.mark.parametrize("name", ["{i}.png", "other/front/{i}.png"])
def test_half_a_name_without_a_size_is_no_name(
    name: str, data: Path, make_table: Make, features: Any
) -> None:
    names = [name.format(i=i) for i in range(4)]
    given = make_table(data, names, keys=[""] * 4, source={})
    with pytest.raises(DataError, match="lacks 8 of the 8 pictures"):
        features(data, given)


def test_few_missing_are_left_out_and_many_are_an_error(
    data: Path, make_table: Make, features: Any, caplog: Any
) -> None:
    given = make_table(data, NAMES[:4])
    found = features(data, given)
    assert [item.id for item in found.items] == NAMES[:4], "half of them is enough"
    assert "lacks 4 of the 8 pictures" in caplog.text
    assert {one.reason for one in found.failures} == {"it is not in the feature table"}
    with pytest.raises(DataError, match="lacks 4 of the 7 pictures") as caught:
        features(data, given, NAMES[1:])
    assert f"--image-dir {data} --encoder stub/given --weights none --out '{given.table.folder}'" in str(
        caught.value
    )


def test_pictures_outside_the_tables_root_need_a_table_of_their_own(
    data: Path, make_table: Make, features: Any
) -> None:
    given = make_table(data / "images" / "front", ["0.png"])
    with pytest.raises(DataError, match="a table of its own") as caught:
        features(data, given)
    assert "--image-dir" not in str(caught.value)


def test_what_embedding_could_not_use_keeps_its_reason(
    data: Path, make_table: Make, features: Any, caplog: Any
) -> None:
    failures = [Failure(name, name, "the file is truncated") for name in NAMES[2:]]
    found = features(data, make_table(data, NAMES[:2], failures=failures))
    assert [(one.id, one.path, one.reason) for one in found.failures] == [
        (name, name, "the file is truncated") for name in NAMES[2:]
    ]
    assert "lacks" not in caplog.text


def test_missing_files_are_missing(data: Path, make_table: Make, features: Any) -> None:
    given = make_table(data, NAMES)
    (data / NAMES[0]).unlink()
    found = features(data, given)
    assert [one.reason for one in found.failures] == ["the image is missing"]
    assert NAMES[0] not in rows(found)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_as_the_model_gave_them_are_normalised_on_reading(
    dtype: str, data: Path, make_table: Make, features: Any
) -> None:
    given = make_table(data, NAMES, scale=5.0, normalised=False, dtype=dtype)
    vectors = features(data, given).sets[Modality.IMAGE].vectors
    np.testing.assert_array_equal(vectors, np.eye(16, dtype=np.float32)[:8])
    assert given.card.normalise


def test_float16_stays_as_it_is(data: Path, make_table: Make, features: Any) -> None:
    vectors = features(data, make_table(data, NAMES, dtype="float16")).sets[Modality.IMAGE].vectors
    assert vectors.dtype == np.float16


def test_texts_by_the_text_itself(make_table: Make, stub_source: Any, tmp_path: Path) -> None:
    texts = ["rain", "雪\nand wind"]
    given = make_table(tmp_path, texts, keys=["1", "2"], modality=Modality.TEXT, source={"kind": "texts"})
    items = [Item(str(i), str(i), text=(f" {text} ",)) for i, text in enumerate([*texts, "unknown"])]
    found = collect(stub_source(tmp_path, items), {}, features_dir=tmp_path, given={Modality.TEXT: given})
    assert found.sets[Modality.TEXT].ids == tuple(texts)
    np.testing.assert_array_equal(found.sets[Modality.TEXT].vectors, np.eye(16, dtype=np.float32)[:2])
    assert [one.id for one in found.failures] == ["2"]


def test_pictures_in_s3_by_their_address(
    make_table: Make, stub_source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub_source, "image_key", lambda self, path: "7:tag")
    source = {"kind": "prefix", "root": "s3://bucket/data"}
    given = make_table(tmp_path, ["a#1.png", "b.png"], keys=["7:tag", "8:tag"], source=source)
    items = [Item(name, name, image_path=f"s3://bucket/data/{name}") for name in ("a#1.png", "b.png")]
    found = collect(stub_source(tmp_path, items), {}, features_dir=tmp_path, given={Modality.IMAGE: given})
    assert rows(found) == {"s3://bucket/data/a#1.png": 0}


def test_paths_in_a_bucket_with_a_dataset_before_them(
    make_table: Make, stub_source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--path-file --storage s3 --dataset NAME: no key is known, and the bucket is no part of the id."""
    monkeypatch.setattr(stub_source, "image_key", lambda self, path: "7:tag")
    names = ["mini/x/a.png", "mini/x/b.png"]
    given = make_table(tmp_path, names, keys=["", ""], source={"kind": "paths", "root": "s3://bucket"})
    items = [Item(name, name, image_path=f"s3://bucket/x/{name}.png") for name in "ab"]
    found = collect(stub_source(tmp_path, items), {}, features_dir=tmp_path, given={Modality.IMAGE: given})
    assert rows(found) == {"s3://bucket/x/a.png": 0, "s3://bucket/x/b.png": 1}


def test_texts_come_live_beside_given_pictures(
    data: Path, make_table: Make, stub_source: Any, stub_encoder: Any, tmp_path: Path
) -> None:
    items = [Item(name, name, image_path=name, text=("words",)) for name in NAMES]
    found = collect(
        stub_source(data, items),
        {Modality.TEXT: stub_encoder(Modality.TEXT)},
        features_dir=tmp_path / "features",
        given={Modality.IMAGE: make_table(data, NAMES[:6])},
    )
    assert set(found.sets) == {Modality.IMAGE, Modality.TEXT}
    assert len(found.items) == 6, "text alone keeps no item"
