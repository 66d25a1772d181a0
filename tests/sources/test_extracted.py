"""A folder of one's own scenes: what is read, what is skipped, what stops the run and how it says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal_search.errors import DataError, SkipInput
from multimodal_search.sources.extracted import ExtractedSource

Write = Callable[..., Path]


def record(scene_id: Any = "scene-1", **changes: Any) -> dict[str, Any]:
    whole = {"scene_id": scene_id, "description": "Rain, turn left", "image_path": f"images/{scene_id}.png"}
    return {**whole, **changes}


def refused(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        ExtractedSource(root).items()
    assert caught.value.remedy
    assert caught.value.where
    return str(caught.value)


def test_every_field_is_read(data_dir: Write) -> None:
    source = ExtractedSource(
        data_dir(
            [
                record(
                    description=["Rain, turn left", "雨、左折"],
                    location="boston",
                    timestamp="2018-07-24T03:28:47.647951Z",
                    log="n015",
                    metadata={"weather": "rain", "nested": {"a": 1}, "users": ["car", "van"], "none": None},
                    speed=3.5,
                )
            ],
            series=("scene-1",),
        )
    )
    (item,) = source.items()
    assert (item.id, item.scene_id, item.image_path) == ("scene-1", "scene-1", "images/scene-1.png")
    assert item.text == ("Rain, turn left", "雨、左折")
    assert item.timestamp_us == 1532402927647951
    assert (item.location, item.group) == ("boston", "n015")
    assert item.metadata == {
        "weather": "rain",
        "nested.a": 1,
        "users": "car, van",
        "speed": 3.5,
        "log": "n015",
    }
    assert source.image_file("images/scene-1.png").is_file()
    series = source.series(item)
    assert series is not None
    assert series.values.shape == (20, 3)
    assert source.failures == []
    assert source.items() is source.items()


def test_unicode_and_spaces_in_paths(data_dir: Write) -> None:
    source = ExtractedSource(data_dir([record("場面 ä", image_path="images/夜の 写真 (1).png")]))
    (item,) = source.items()
    assert item.image_path == "images/夜の 写真 (1).png"
    assert source.image_file(item.image_path).is_file()


def test_texts_of_any_kind(data_dir: Write) -> None:
    long = "word " * 2000
    records = [
        record("a", description="line one\nline two \n"),
        record("b", description=""),
        record("c", description=None),
        record("d", description=long),
        record("e", description=[" one ", "one", "", "two"]),
        record("f", description="half \ud83d of a pair"),
    ]
    root = data_dir(records=json.dumps(records))
    for one in "abcdef":
        (root / "images").mkdir(exist_ok=True)
        (root / "images" / f"{one}.png").touch()
    texts = {item.id: item.text for item in ExtractedSource(root).items()}
    assert texts["a"] == ("line one\nline two",)
    assert texts["b"] == texts["c"] == ()
    assert texts["d"] == (long.strip(),)
    assert texts["e"] == ("one", "two")
    texts["f"][0].encode("utf-8")


def test_a_missing_image_costs_the_image_and_the_item_only_without_a_series(data_dir: Write) -> None:
    root = data_dir([record("a"), record("b"), record("c", image_path=None)], images=False, series=("a",))
    source = ExtractedSource(root)
    (item,) = source.items()
    assert (item.id, item.image_path) == ("a", None)
    assert [(failure.id, failure.reason) for failure in source.failures] == [
        ("a", "image missing"),
        ("b", "image missing"),
        ("c", "neither an image nor a series"),
    ]


def test_images_on_s3_pass_through(data_dir: Write) -> None:
    (item,) = ExtractedSource(data_dir([record(image_path="s3://bucket/one image.jpg")])).items()
    assert item.image_path == "s3://bucket/one image.jpg"


def test_several_cameras(data_dir: Write, picture: Callable[[Path], None]) -> None:
    cameras = {"CAM_FRONT": "images/scene-1.png", "CAM_BACK": "images/back.png", "CAM_SIDE": "images/no.png"}
    root = data_dir([record(images=cameras)])
    picture(root / "images" / "back.png")
    source = ExtractedSource(root)
    (item,) = source.items()
    assert item.images == {"CAM_FRONT": "images/scene-1.png", "CAM_BACK": "images/back.png"}
    assert [failure.path for failure in source.failures] == ["images/no.png"]


def test_the_limit_counts_usable_scenes_but_every_record_is_checked(data_dir: Write) -> None:
    root = data_dir([record(name) for name in "abcd"])
    (root / "images" / "a.png").unlink()
    assert [item.id for item in ExtractedSource(root, limit=2).items()] == ["b", "c"]
    (root / "scenes_metadata.json").write_text(json.dumps([record("a"), record("b"), record("a")]))
    with pytest.raises(DataError, match="records 0 and 2"):
        ExtractedSource(root, limit=1).items()


def test_folder_or_metadata_missing(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none")
    assert "no scenes_metadata.json" in refused(tmp_path)
    (tmp_path / "scenes_metadata.json").mkdir()
    assert "cannot be read" in refused(tmp_path)


def test_malformed_json_names_line_and_column(data_dir: Write) -> None:
    # a missing comma: of a comma too many, Python 3.13 names the comma and older ones the brace after it
    text = '[{"scene_id": "a"},\n{"scene_id": "b"\n"location": "x"}]'
    assert "line 3, column 1" in refused(data_dir(text))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1, column 1"),
        (b'{"scenes": []}', "holds dict"),
        (b"[]", "No usable scene"),
        (b'["one"]', "record 0"),
        (b"\xff\xfe[\x00", "not UTF-8"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
def test_content_that_is_no_list_of_scenes(data_dir: Write, content: bytes, said: str) -> None:
    assert said in refused(data_dir(content))


def test_a_byte_order_mark_is_accepted(data_dir: Write, picture: Callable[[Path], None]) -> None:
    root = data_dir(b"\xef\xbb\xbf" + json.dumps([record()]).encode())
    picture(root / "images" / "scene-1.png")
    assert len(ExtractedSource(root).items()) == 1


@pytest.mark.parametrize("key", ["scene_id", "description", "image_path"])
def test_a_record_without_its_key_is_named(data_dir: Write, key: str) -> None:
    broken = record("b")
    del broken[key]
    message = refused(data_dir([record("a"), broken]))
    assert key in message
    assert "record 1" in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scene_id": ""}, "scene_id is empty"),
        ({"scene_id": ["a"]}, "scene_id"),
        ({"scene_id": True}, "scene_id"),
        ({"description": {"en": "x"}}, "description"),
        ({"image_path": 5}, "image_path"),
        ({"images": ["a.png"]}, "images"),
        ({"metadata": "rain"}, "metadata"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"location": ["boston"]}, "location"),
    ],
)
def test_values_of_the_wrong_kind(data_dir: Write, changes: dict[str, Any], said: str) -> None:
    message = refused(data_dir([record("a"), {**record("b"), **changes}]))
    assert said in message
    assert "record 1" in message


def test_a_duplicate_scene_id_names_both_records(data_dir: Write) -> None:
    message = refused(data_dir([record("a"), record("b"), record(7), record("7")]))
    assert "'7'" in message
    assert "2 and 3" in message


@pytest.mark.parametrize("path", ["../secret.png", "images/../../secret.png", "/etc/hostname", "a\0b.png"])
def test_a_path_that_leaves_the_folder(data_dir: Write, path: str) -> None:
    message = refused(data_dir([record(image_path=path)], images=False))
    assert "record 0" in message


def test_a_scene_id_cannot_reach_out_either(data_dir: Write) -> None:
    assert "leaves the data folder" in refused(data_dir([record("../../x", image_path="images/a.png")]))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_that_leads_out(
    data_dir: Write, tmp_path: Path, picture: Callable[[Path], None], linked: str
) -> None:
    picture(tmp_path / "outside" / "a.png")
    root = data_dir([record(image_path="images/a.png")], images=False)
    if linked == "folder":
        (root / "images").symlink_to(tmp_path / "outside")
    else:
        (root / "images").mkdir()
        (root / "images" / "a.png").symlink_to(tmp_path / "outside" / "a.png")
    assert "leaves the data folder" in refused(root)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_inside_and_a_link_to_the_folder_are_fine(
    data_dir: Write, tmp_path: Path, picture: Callable[[Path], None]
) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(tmp_path / "data")
    root = data_dir([record("a"), record("b", image_path=str(alias / "images" / "b.png"))])
    picture(root / "images" / "b.png")
    (root / "images" / "a.png").unlink()
    (root / "images" / "a.png").symlink_to(root / "images" / "b.png")
    source = ExtractedSource(alias)
    assert [item.image_path for item in source.items()] == ["images/a.png", "images/b.png"]


def test_no_item_left_says_how_many_were_skipped_and_why(data_dir: Write) -> None:
    message = refused(data_dir([record("a"), record("b")], images=False))
    assert "2 inputs skipped" in message
    assert "image missing" in message


def test_image_file_never_leaves_the_root(data_dir: Write) -> None:
    source = ExtractedSource(data_dir([record()]))
    with pytest.raises(DataError, match="leaves"):
        source.image_file("../../etc/passwd")


def test_an_unusable_series_is_skipped_with_its_reason(data_dir: Write) -> None:
    root = data_dir([record("a"), record("b")], series=("a", "b"))
    np.save(root / "timeseries" / "a.npy", np.ones(5))
    source = ExtractedSource(root)
    first, second = source.items()
    with pytest.raises(SkipInput, match=r"\(5,\)"):
        source.series(first)
    assert source.series(second) is not None


def test_channels_are_named_and_timed_by_channels_json(data_dir: Write) -> None:
    layout = {"channels": ["speed_mps", "yaw_rate_radps", "brake"], "rate_hz": 4}
    source = ExtractedSource(data_dir([record()], series=("scene-1",), channels=layout))
    series = source.series(source.items()[0])
    assert series is not None
    assert series.channels == ("speed_mps", "yaw_rate_radps", "brake")
    assert series.timestamps_seconds[-1] == pytest.approx(19 / 4)


def test_a_folder_of_ten_thousand_scenes_lists_quickly(tmp_path: Path) -> None:
    records = [record(f"scene-{index}", image_path="images/one.png") for index in range(10_000)]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.png").touch()
    (tmp_path / "scenes_metadata.json").write_text(json.dumps(records))
    assert len(ExtractedSource(tmp_path).items()) == 10_000
