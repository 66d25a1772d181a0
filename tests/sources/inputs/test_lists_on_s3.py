"""Lists of paths and texts as objects on S3: what the same file on a disk gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from multimodal_search.errors import DataError, SettingsError

LINES = "\ufeffmini/a.jpg\r\nmini/夜 b.jpg\n\nmini/a.jpg\nother/c.jpg\nmini/d.jpg".encode()


def put(client: Any, bucket: str, content: bytes) -> str:
    client.put_object(Bucket=bucket, Key="lists/一覧.txt", Body=content)
    return f"s3://{bucket}/lists/一覧.txt"


@pytest.mark.parametrize("lines", [{}, {"start_line": 1}, {"start_line": 2, "end_line": 5}])
def test_paths(s3_client: Any, bucket: str, tmp_path: Path, opened: Any, lines: dict[str, int]) -> None:
    (tmp_path / "list.txt").write_bytes(LINES)
    both = [
        opened(path_file=path, storage="s3", bucket_name=bucket, dataset="mini", **lines)
        for path in (tmp_path / "list.txt", put(s3_client, bucket, LINES))
    ]
    near, far = (list(one) for one in both)
    assert far == near
    assert far[-1].location == f"s3://{bucket}/d.jpg" or lines.get("end_line")
    assert both[1].count == both[0].count
    assert [one.id for one in both[1].failures] == [one.id for one in both[0].failures] == ["other/c.jpg"]


def test_a_local_folder_by_a_list_on_s3(s3_client: Any, bucket: str, tmp_path: Path, opened: Any) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    url = put(s3_client, bucket, b"a.jpg\n")
    assert [one.location for one in opened(path_file=url, target_dir=tmp_path)] == [str(tmp_path / "a.jpg")]


def test_texts(s3_client: Any, bucket: str, opened: Any) -> None:
    url = put(s3_client, bucket, " a car \n雨\n".encode())
    inputs = opened(text_file=url)
    assert [one.id for one in inputs] == ["a car", "雨"]
    assert inputs.root == url


def test_a_list_that_cannot_be_used(s3_client: Any, bucket: str, opened: Any) -> None:
    flags = {"storage": "s3", "bucket_name": bucket}
    for missing in (f"s3://{bucket}/none.txt", "s3://not-there/list.txt"):
        with pytest.raises(DataError, match="does not exist") as caught:
            opened(path_file=missing, **flags)
        assert missing in str(caught.value)
    url = put(s3_client, bucket, b"")
    with pytest.raises(DataError, match="empty"):
        opened(path_file=url, **flags)
    put(s3_client, bucket, b"a.jpg\n")
    with pytest.raises(SettingsError, match="lies outside the file"):
        opened(path_file=url, start_line=5, **flags)
    inputs = opened(path_file=url, **flags)
    put(s3_client, bucket, b"b.jpg\nc.jpg\n")
    with pytest.raises(DataError, match="has changed"):
        list(inputs)
