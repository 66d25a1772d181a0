"""Pictures with captions from every format, and faults named by their lines."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.embedding.images import decode
from multimodal_search.errors import DataError
from multimodal_search.sources.pairs import PairsSource
from multimodal_search.sources.rows import read_rows

Picture = Callable[[Path], None]

ROWS = [
    {"image_path": "img/one.png", "text": "a red car, at night", "weather": "dry"},
    {"image_path": "img/two ü.png", "text": 'says "stop",\nthen goes', "weather": "rain"},
    {"image_path": "img/one.png", "text": "夜の赤い車", "weather": "ignored"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text(
            "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8"
        )
    else:
        buffer = io.StringIO()
        delimiter = "\t" if path.suffix == ".tsv" else ","
        writer = csv.DictWriter(buffer, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    return path


@pytest.fixture
def images(tmp_path: Path, picture: Picture) -> Path:
    for name in ("one.png", "two ü.png", "three.png"):
        picture(tmp_path / "img" / name)
    return tmp_path


def refused(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        PairsSource(file).items()
    assert caught.value.remedy
    assert caught.value.where
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_every_format_gives_the_same_items(images: Path, suffix: str) -> None:
    source = PairsSource(write(images / f"pairs{suffix}", ROWS))
    first, second = source.items()
    assert first.image_path == first.id == first.scene_id == "img/one.png"
    assert first.text == ("a red car, at night", "夜の赤い車")
    assert second.text == ('says "stop",\nthen goes',)
    assert second.metadata == {"weather": "rain"}
    assert source.image_file(second.image_path or "").is_file()
    assert source.series(first) is None
    assert source.failures == []


@pytest.mark.parametrize("image", ["image_path", "image", "filepath", "file", "FILE_NAME"])
@pytest.mark.parametrize("text", ["text", "caption", "title", "Description"])
def test_names_of_columns(images: Path, image: str, text: str) -> None:
    (item,) = PairsSource(write(images / "a.csv", [{image: "img/one.png", text: "words"}])).items()
    assert (item.image_path, item.text, dict(item.metadata)) == ("img/one.png", ("words",), {})


def test_optional_columns_and_scenes_together(images: Path) -> None:
    rows = [
        {"id": 1, "scene_id": "s", "log": "l", "location": "boston", "timestamp": 1532402927647951},
        {"id": 2, "scene_id": "t", "log": "m", "location": None, "timestamp": "2018-07-24"},
        {"id": 3, "scene_id": "s", "log": "l", "location": "", "timestamp": None},
    ]
    paths = ["img/one.png", "img/two ü.png", "img/three.png"]
    rows = [{**row, "file": path, "caption": "words"} for row, path in zip(rows, paths, strict=True)]
    for suffix in (".jsonl", ".parquet"):
        table = rows if suffix == ".jsonl" else [{**row, "timestamp": None} for row in rows]
        items = PairsSource(write(images / f"a{suffix}", table)).items()
        assert [(item.id, item.scene_id, item.group) for item in items] == [
            ("1", "s", "l"),
            ("3", "s", "l"),
            ("2", "t", "m"),
        ]
        assert [item.location for item in items] == ["boston", None, None]
    items = PairsSource(images / "a.jsonl").items()
    assert [item.timestamp_us for item in items] == [1532402927647951, None, 1532390400000000]
    assert [item.id for item in PairsSource(images / "a.jsonl", limit=1).items()] == ["1", "3"]


def test_several_texts_in_one_row(images: Path) -> None:
    row = {"image": "img/one.png", "captions": ["one", "two", " one "]}
    for suffix in (".jsonl", ".parquet"):
        (item,) = PairsSource(write(images / f"a{suffix}", [row])).items()
        assert item.text == ("one", "two")


def test_excel_files(images: Path) -> None:
    (images / "a.csv").write_bytes("\ufeffimage;caption\r\nimg/two ü.png;a, b\r\n\r\n".encode())
    (item,) = PairsSource(images / "a.csv").items()
    assert (item.image_path, item.text) == ("img/two ü.png", ("a, b",))


def test_missing_images_and_empty_cells_are_skipped_and_counted(images: Path) -> None:
    rows = [ROWS[0], {**ROWS[0], "image_path": "img/no.png"}, {**ROWS[0], "image_path": ""}]
    source = PairsSource(write(images / "a.csv", rows))
    assert len(source.items()) == 1
    assert sorted((failure.path or "", failure.reason) for failure in source.failures) == [
        ("", "the row names no image"),
        ("img/no.png", "image missing"),
    ]


def test_images_on_s3_pass_through(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", [{"image": "s3://bucket/a.jpg", "text": "words"}])
    assert PairsSource(file).items()[0].image_path == "s3://bucket/a.jpg"


def test_missing_columns_name_those_found(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "a.csv", [{"picture": "a.png", "words": "b"}]))
    assert "picture, words" in message
    assert "caption" in message
    assert "a text" in refused(write(tmp_path / "b.jsonl", [{"image": "a.png"}]))
    (tmp_path / "c.csv").touch()
    assert "found: none" in refused(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"image,text\na.png,one\nb.png,one,two\n\nc.png\n", "line 3 has 3, line 5 has 1"),
        ("a.csv", b'image,text\na.png,"one\ntwo"\nb.png,"three" four\n', "Line 4"),
        ("a.csv", b'image,text\na.png,"never closed\n', "Line 2"),
        ("a.tsv", b"image,text\na.png,one\n", "No column"),
        ("a.csv", b"image,text,text\na.png,one,two\n", "same name"),
        ("a.csv", "image,text\na.png,Straße\n".encode("latin-1"), "line 2"),
        ("a.jsonl", b'{"image": "a", "text": "b"}\n{"image": }\n', "line 2, column 11"),
        ("a.jsonl", b'\n["a"]\n', "Line 2"),
        ("a.parquet", b"PAR1 no PAR1", "Parquet"),
        ("a.parquet", b"", "Parquet"),
        ("a.xlsx", b"", ".jsonl"),
        ("a.jsonl", b'{"image": {"bytes": "x"}, "text": "b"}\n', "must hold paths"),
        ("a.jsonl", b'{"image": "a.png", "text": {"en": "b"}}\n', "line 1"),
        ("a.csv", b"image,text,timestamp\na.png,b,soon\n", "soon"),
    ],
)
def test_malformed_files_name_the_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refused(tmp_path / name)


def test_no_file_and_no_usable_pair(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.csv")
    assert "none of the files" in refused(write(tmp_path / "a.csv", ROWS))
    (tmp_path / "b.csv").write_text("image,text\n")
    assert "no rows" in refused(tmp_path / "b.csv")


def test_a_path_that_leaves_the_folder(images: Path) -> None:
    message = refused(write(images / "a.csv", [ROWS[0], {**ROWS[0], "image_path": "../../etc/passwd"}]))
    assert "leaves" in message
    assert "line 3" in message


def test_one_id_for_two_pictures(images: Path) -> None:
    rows = [{"id": "x", "image": f"img/{name}.png", "text": "words"} for name in ("one", "three")]
    message = refused(write(images / "a.csv", rows))
    assert "line 2" in message
    assert "line 3" in message


plain = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=30)


@settings(max_examples=60)
@given(texts=st.lists(plain, min_size=1, max_size=5), suffix=st.sampled_from([".csv", ".tsv", ".jsonl"]))
def test_texts_survive_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    rows = [{"image": f"{index}.png", "text": text} for index, text in enumerate(texts)]
    read = read_rows(write(folder / f"a{suffix}", rows))
    assert [row["text"] for _, row in read] == texts


def test_real_photographs_with_their_captions(real_data: Path, tmp_path: Path) -> None:
    captions = json.loads((real_data / "driving_photos" / "CAPTIONS.json").read_text(encoding="utf-8"))
    for one in captions:
        (tmp_path / one["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(real_data / "driving_photos" / one["file"], tmp_path / one["file"])
    rows = [{"image": one["file"], "text": [one["caption"], *one.get("references", [])]} for one in captions]
    source = PairsSource(write(tmp_path / "captions.jsonl", rows))
    items = source.items()
    assert len(items) == 102
    assert source.failures == []
    assert max(len(item.text) for item in items) == 4
    assert all(decode(source.image_file(item.image_path or "")).mode == "RGB" for item in items[::15])
