"""A moment: its scene, its pictures, its signal, its recording."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from multimodal_search.search.hits import Hit
from multimodal_search.search.searcher import Searcher
from multimodal_search.serving.recordings import links_of


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_a_moment_and_its_scene(client: TestClient) -> None:
    found = client.get("/moments/sample-00002").json()
    assert found["id"] == "sample-00002"
    assert [one["id"] for one in found["timeline"]] == ["sample-00002"]
    assert found["recording"] is None
    assert client.get("/moments/nothing").status_code == 404


def test_ids_with_slashes_and_signs(open_client: Callable[..., TestClient], drive: Path) -> None:
    client = open_client(drive)
    hits = client.post("/search", json={"parts": [{"text": "left"}], "k": 3}).json()["hits"]
    for hit in hits:
        assert client.get(hit["thumbnail_url"]).status_code == 200
        found = client.get(hit["thumbnail_url"].replace("thumbnails", "moments")).json()
        assert found["id"] == hit["id"]
        times = [one["timestamp_us"] for one in found["timeline"]]
        assert len(times) > 1
        assert times == sorted(times)


def test_thumbnails_are_small_and_the_frame_is_never_sent(client: TestClient, bundle: Path) -> None:
    frame = Searcher.open(bundle, "cpu").root / "images/sample-00002.jpg"
    full = Image.open(frame).width
    for wanted, width in ((1, 160), (160, 160), (200, 320), (640, min(640, full))):
        answer = client.get("/thumbnails/sample-00002", params={"w": wanted})
        assert answer.headers["content-type"] == "image/jpeg"
        assert picture(answer.content).width == min(width, full)
    assert client.get("/thumbnails/sample-00002", params={"w": 641}).status_code == 422
    assert client.get("/images/sample-00002").content != frame.read_bytes()


def test_a_thumbnail_is_made_once_and_known_by_its_tag(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get("/thumbnails/sample-00001")
    monkeypatch.setattr("multimodal_search.serving.pictures.encoded", None)  # nothing can be made any more
    again = client.get("/thumbnails/sample-00001")
    assert again.content == first.content
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 1
    tag = {"If-None-Match": first.headers["etag"]}
    assert client.get("/thumbnails/sample-00001", headers=tag).status_code == 304


def test_a_changed_picture_gets_another_thumbnail(
    open_client: Callable[..., TestClient], own_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "root/images").mkdir(parents=True)
    file = tmp_path / "root/images/sample-00001.jpg"
    client = open_client(own_bundle, images_root=str(tmp_path / "root"))
    assert client.get("/thumbnails/sample-00001").status_code == 404
    tags = []
    for colour in ("red", "blue"):
        Image.new("RGB", (800, 400), colour).save(file)
        answer = client.get("/thumbnails/sample-00001")
        assert picture(answer.content).size == (320, 160)
        tags.append(answer.headers["etag"])
    assert tags[0] != tags[1]


def test_without_a_writable_cache_thumbnails_are_still_made(
    open_client: Callable[..., TestClient], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    client = open_client(cache_dir=tmp_path / "file" / "cache")
    assert client.get("/thumbnails/sample-00001").status_code == 200


def test_odd_pictures(open_client: Callable[..., TestClient], tmp_path: Path, bundle: Path) -> None:
    images = tmp_path / "root/images"
    images.mkdir(parents=True)
    client = open_client(images_root=str(tmp_path / "root"))
    file = images / "sample-00001.jpg"
    for content in (b"", b"no picture", b"\xff\xd8\xff\xe0broken"):
        file.write_bytes(content)
        answer = client.get("/thumbnails/sample-00001")
        assert answer.status_code == 404
        assert str(tmp_path) not in answer.text
    exif = Image.Exif()
    exif[0x0112], exif[0x8825] = 6, {1: "N"}  # turned, and with a place
    Image.new("CMYK", (300, 100)).save(file, "JPEG", exif=exif)
    turned = picture(client.get("/images/sample-00001").content)
    assert turned.size == (100, 300)
    assert not dict(turned.getexif())


def test_pictures_of_a_bucket(
    open_client: Callable[..., TestClient], bundle: Path, bucket: str, s3_client: Any
) -> None:
    frame = Searcher.open(bundle, "cpu").root / "images/sample-00001.jpg"
    s3_client.upload_file(str(frame), bucket, "drives/images/sample-00001.jpg")
    client = open_client(images_root=f"s3://{bucket}/drives")
    assert picture(client.get("/thumbnails/sample-00001").content).width == 320
    assert client.get("/thumbnails/sample-00002").status_code == 404


def test_a_signal(client: TestClient, bundle: Path) -> None:
    found = client.get("/signals/sample-00003").json()
    own = Searcher.open(bundle, "cpu")
    series = own.series(own.having("sample-00003").hit("sample-00003"))
    assert series is not None
    assert [one["name"] for one in found["channels"]] == list(series.channels)
    values = np.array(found["values"], dtype=float)
    np.testing.assert_allclose(values, series.values, rtol=1e-5, atol=1e-5)
    assert client.get("/signals/nothing").status_code == 404


def test_recordings_have_links() -> None:
    def hit(**metadata: Any) -> Hit:
        return Hit("a", "a", 1.0, "", None, metadata, timestamp_us=1_532_402_927_647_951)

    assert links_of(hit(weather="rain")) is None
    assert links_of(hit(mcap="drive.txt")) is None
    links = links_of(hit(mcap="https://data.example/drive 1.mcap"))
    assert links is not None
    assert links[0].startswith("https://app.foxglove.dev/")
    assert "time=2018-07-24T03%3A28%3A47.647951Z" in links[0]
    assert links[1] == "https://app.rerun.io/?url=https%3A%2F%2Fdata.example%2Fdrive%201.mcap"
    local = links_of(hit(recording="drives/one.mcap"))
    assert local is not None
    assert local[0].startswith("foxglove://open?")
