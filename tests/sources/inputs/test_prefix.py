"""Pictures below an S3 prefix; a real server on loopback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multimodal_search import storage
from multimodal_search.errors import DataError
from multimodal_search.sources.inputs import Inputs

Opened = Callable[..., Inputs]


def put(client: Any, bucket: str, *keys: str) -> None:
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())


def test_pictures_below_a_prefix(s3_client: Any, bucket: str, opened: Opened) -> None:
    put(s3_client, bucket, "run/b.jpg", "run/a/1 ?#.PNG", "run/雨.webp", "run-2/c.jpg", "run/n.txt", "run/",
        "run/.hidden/x.jpg", "run//double.jpg", "run/.x.jpg")  # fmt: skip
    inputs = opened(image_dir=f"s3://{bucket}/run/")
    assert inputs.count == 4
    assert [one.id for one in inputs] == ["/double.jpg", "a/1 ?#.PNG", "b.jpg", "雨.webp"]
    assert inputs.root == f"s3://{bucket}/run"
    for one in inputs:
        content, key = storage.read_object(one.location)
        assert key == one.key == storage.content_key(one.location)
        assert content.decode() == f"run/{one.id}"


def test_a_whole_bucket_over_many_pages(
    s3_client: Any, bucket: str, opened: Opened, monkeypatch: Any
) -> None:
    names = [f"{number:04d}.jpg" for number in range(25)]
    put(s3_client, bucket, *names)
    monkeypatch.setattr(storage.s3, "_PAGE_KEYS", 10)
    inputs = opened(image_dir=f"s3://{bucket}")
    assert [one.id for one in inputs] == [one.id for one in inputs] == names
    assert inputs.root == f"s3://{bucket}"


def test_nothing_there(s3_client: Any, bucket: str, opened: Opened) -> None:
    put(s3_client, bucket, "other/a.jpg", "run/a.txt")
    with pytest.raises(DataError, match=r"found: 1 other file \(1 \.txt\)"):
        opened(image_dir=f"s3://{bucket}/run")
    with pytest.raises(DataError, match="found: nothing"):
        opened(image_dir=f"s3://{bucket}/none")


def test_buckets_and_credentials(
    s3: str, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="'not-there' does not exist"):
        opened(image_dir="s3://not-there/x")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    storage.configure_s3(storage.S3Options())
    with pytest.raises(DataError, match="No AWS credentials"):
        opened(image_dir="s3://not-there/x")
