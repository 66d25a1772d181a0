"""Which recordings were named: files, folders, S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcap")

from multimodal_search.cli import main
from multimodal_search.errors import DataError
from multimodal_search.extraction.mcap_inputs import find_recordings
from multimodal_search.storage import open_object

Write = Callable[..., Path]


def test_folders_files_and_names(tmp_path: Path) -> None:
    for name in ("a/x.mcap", "a/deep/er/x.MCAP", "b/x.mcap", "b/ünlaut (1).mcap", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_recordings(
        [str(tmp_path / "a"), str(tmp_path / "b/ünlaut (1).mcap"), str(tmp_path / "a/x.mcap")]
    )
    assert [one.name for one in found] == ["deep_er_x", "x", "ünlaut_1"]
    both = find_recordings([str(tmp_path / "a"), str(tmp_path / "b/x.mcap")])
    names = [one.name for one in both]
    assert len(set(names)) == 3
    assert sum(name.startswith("x-") for name in names) == 2  # told apart by a hash of the place


def test_places_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "drive.mcap").write_bytes(b"")
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag/metadata.yaml").write_text("x")
    with pytest.raises(DataError, match=r"drive\.mcap"):
        find_recordings([str(tmp_path / "drvie.mcap")])
    with pytest.raises(DataError, match=r"metadata\.yaml"):
        find_recordings([str(tmp_path / "bag")])
    with pytest.raises(DataError, match="empty"):
        find_recordings([str(tmp_path / "empty")])


def test_an_object_is_read_here_and_there(s3_client: Any, bucket: str) -> None:
    content = bytes(range(256)) * 40_000  # 10 MB
    s3_client.put_object(Bucket=bucket, Key="big", Body=content)
    file, size_bytes = open_object(f"s3://{bucket}/big")
    assert size_bytes == len(content)
    assert file.read(10) == content[:10]
    file.seek(9_000_000)
    assert file.read(100) == content[9_000_000:9_000_100]
    file.seek(-6, 2)
    assert file.read() == content[-6:]
    assert file.read(1) == b""


def test_an_object_that_changes_meanwhile_is_told(s3_client: Any, bucket: str) -> None:
    s3_client.put_object(Bucket=bucket, Key="big", Body=bytes(6 << 20))
    file, _ = open_object(f"s3://{bucket}/big")
    file.read(1)
    s3_client.put_object(Bucket=bucket, Key="big", Body=b"x" * (6 << 20))
    file.seek(5 << 20)
    with pytest.raises(DataError, match="changed"):
        file.read(1)


def test_recordings_on_s3_end_to_end(
    write_mcap: Write, speeds: Callable[..., Any], s3_client: Any, bucket: str, tmp_path: Path
) -> None:
    path = write_mcap(speeds())
    for key in ("runs/one.mcap", "runs/deep/two.mcap", "runs/notes.txt", "runs-other/three.mcap"):
        s3_client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    found = find_recordings([f"s3://{bucket}/runs"])
    assert [one.name for one in found] == ["deep_two", "one"]
    assert [one.name for one in find_recordings([f"s3://{bucket}/runs/one.mcap"])] == ["one"]
    assert main(["extract", "--mcap", f"s3://{bucket}/runs", "--output-dir", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out/timeseries").glob("*.npy"))) == 2
    with pytest.raises(DataError, match=r"No \.mcap"):
        find_recordings([f"s3://{bucket}/nothing"])
    with pytest.raises(DataError, match="no such object"):
        find_recordings([f"s3://{bucket}/runs/four.mcap"])


def test_a_network_that_drops_and_cuts_costs_no_byte(faulty: Any, s3_client: Any, bucket: str) -> None:
    content = bytes(range(256)) * 100_000  # 26 MB: seven pieces
    s3_client.put_object(Bucket=bucket, Key="big", Body=content)
    faulty.some({faulty.ERROR: 0.2, faulty.CUT: 0.2, faulty.DROP: 0.1})
    file, size_bytes = open_object(f"s3://{bucket}/big")
    read = b"".join(iter(lambda: file.read(1_000_003), b""))
    faulty.some({})
    assert size_bytes == len(content)
    assert read == content
    assert sum(faulty.faults.values()) > 1
