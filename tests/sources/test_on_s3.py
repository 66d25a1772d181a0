"""Data on S3 gives what a local copy of it gives; what is missing, damaged or refused is said as plainly."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from multimodal_search.errors import DataError, SettingsError, SkipInput
from multimodal_search.settings import TrainSettings
from multimodal_search.sources import open_source
from multimodal_search.sources.extracted import ExtractedSource
from multimodal_search.sources.pairs import PairsSource
from multimodal_search.sources.series import Layout, find_layout, read_series
from multimodal_search.storage import content_key

RECORDS: list[dict[str, Any]] = [
    {"scene_id": "夜/1", "description": "rain", "image_path": "images/夜 b+c%20.png", "log": "a"},
    {"scene_id": "no picture", "description": ["sun"], "image_path": "images/./gone.png"},
    {"scene_id": "nothing", "description": "fog", "image_path": "images/gone too.png"},
    {
        "scene_id": "two cameras",
        "description": "snow",
        "image_path": "images/front.png",
        "images": {"CAM_FRONT": "images/front.png", "CAM_BACK": "images//back.png"},
    },
    {"scene_id": "last", "description": "", "image_path": "images/last.png"},
]


@pytest.fixture
def upload(s3_client: Any, bucket: str) -> Callable[[Path], str]:
    """Copies a folder's files to S3; gives the address."""

    def copy(folder: Path) -> str:
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"my data/{path.relative_to(folder).as_posix()}"
                s3_client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        return f"s3://{bucket}/my data"

    return copy


@pytest.fixture
def local(data_dir: Any, picture: Any) -> Path:
    root: Path = data_dir(RECORDS, series=("no picture", "last", "unknown"), channels={"rate_hz": 5})
    (root / "images/gone.png").unlink()
    (root / "images/gone too.png").unlink()
    picture(root / "images/back.png")
    (root / "timeseries/夜").mkdir()
    np.save(root / "timeseries/夜/1.npy", np.arange(60.0).reshape(20, 3))
    return root


@pytest.mark.parametrize("limit", [None, 1, 3])
def test_an_extracted_folder(local: Path, upload: Any, limit: int | None) -> None:
    url = upload(local)
    near, far = ExtractedSource(local, limit=limit), ExtractedSource(f"{url}/", limit=limit)
    assert far.root == url
    assert far.items() == near.items()
    assert far.failures == near.failures
    for item in near.items():
        one, other = near.series(item), far.series(item)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one.values, other.values)
            np.testing.assert_array_equal(one.timestamps_seconds, other.timestamps_seconds)
        assert (one is None) == (other is None)
        if item.image_path is not None:
            assert far.image_file(item.image_path) == f"{url}/{item.image_path}"
            assert far.image_key(item.image_path) == content_key(f"{url}/{item.image_path}")
    with pytest.raises(FileNotFoundError):
        far.image_key("images/gone.png")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_pairs(tmp_path: Path, picture: Any, upload: Any, suffix: str) -> None:
    for name in ("a.png", "sub/b.png"):
        picture(tmp_path / name)
    pairs = [("a.png", "rain"), ("sub/b.png", "雪"), ("gone.png", "fog"), ("a.png", "night")]
    rows = [{"image": image, "caption": caption} for image, caption in pairs]
    file = tmp_path / f"pairs.{suffix}"
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif suffix == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        file.write_text("image,caption\n" + "\n".join(map(",".join, pairs)), encoding="utf-8")
    url = upload(tmp_path)
    near, far = PairsSource(file), PairsSource(f"{url}/{file.name}")
    assert far.items() == near.items()
    assert [(one.path, one.reason) for one in far.failures] == [("gone.png", "image missing")]
    assert far.image_file("sub/b.png") == f"{url}/sub/b.png"
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        PairsSource(f"{url}/none.csv").items()
    with pytest.raises(DataError, match="no format of pairs"):
        PairsSource(url).items()


def test_a_place_that_is_not_there(s3_client: Any, bucket: str) -> None:
    with pytest.raises(DataError, match="'not-there' does not exist"):
        ExtractedSource("s3://not-there/x").items()
    with pytest.raises(DataError, match=f"Nothing is stored below s3://{bucket}/x"):
        ExtractedSource(f"s3://{bucket}/x").items()
    with pytest.raises(DataError, match=f"Nothing is stored below s3://{bucket}\\."):
        ExtractedSource(f"s3://{bucket}").items()
    s3_client.put_object(Bucket=bucket, Key="x/images/a.png", Body=b"")
    with pytest.raises(DataError, match=r"There is no scenes_metadata\.json") as caught:
        ExtractedSource(f"s3://{bucket}/x").items()
    assert caught.value.where == f"s3://{bucket}/x/scenes_metadata.json"
    for wrong in ("s3://", "s3:///x", "s3://a b/x"):
        with pytest.raises(SettingsError, match="S3 address"):
            ExtractedSource(wrong)
    settings = TrainSettings(nuscenes_path=f"s3://{bucket}/x", use_devkit=True)
    with pytest.raises(SettingsError, match="nuscenes-devkit reads a local folder"):
        open_source(settings, sample_dir=Path("x"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"scene_id": "a",', "not valid JSON"),
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"{}", "holds dict"),
        (b"[]", "the list is empty"),
        (b'[{"scene_id": "a", "description": "", "image_path": "../a.png"}]', "leaves the data folder s3://"),
        (b'[{"scene_id": "a", "description": "", "image_path": "/data/a.png"}]', "leaves the data folder"),
        (b'[{"scene_id": "a", "description": "", "image_path": "a.png"}]', "1 inputs skipped"),
        (b'[{"scene_id": "a", "description": "", "image_path": "\\ud800.png"}]', "1 inputs skipped"),
    ],
)
def test_damaged_metadata(s3_client: Any, bucket: str, content: bytes, said: str) -> None:
    s3_client.put_object(Bucket=bucket, Key="x/scenes_metadata.json", Body=content)
    with pytest.raises(DataError) as caught:
        ExtractedSource(f"s3://{bucket}/x").items()
    assert said in str(caught.value)
    assert f"s3://{bucket}/x/scenes_metadata.json" in str(caught.value)
    assert caught.value.remedy


def npy(table: Any) -> bytes:
    memory = io.BytesIO()
    np.save(memory, table, allow_pickle=True)
    return memory.getvalue()


def bomb() -> bytes:
    memory = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 6)}
    np.lib.format.write_array_header_1_0(memory, header)
    return memory.getvalue() + b"\0" * 64


@pytest.mark.parametrize("patient", [True, False])
def test_signals_say_the_same_as_files(s3_client: Any, bucket: str, tmp_path: Path, patient: bool) -> None:
    whole = npy(np.arange(600.0).reshape(100, 6))
    contents = {
        "whole": whole, "cut": whole[:1000], "header": whole[:130], "empty": b"", "text": b"a,b\n1,2\n",
        "rank": npy(np.ones(5)), "object": npy(np.array([[{}]], dtype=object)), "bomb": bomb(),
        "picture": b"\xff\xd8\xff\xe0 a picture",
    }  # fmt: skip
    told = {}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        s3_client.put_object(Bucket=bucket, Key=name, Body=content)
        for place in (tmp_path / name, f"s3://{bucket}/{name}"):
            try:
                told[place] = read_series(place, patient=patient).values.tobytes().hex()
            except SkipInput as skip:
                told[place] = skip.reason
        assert told[tmp_path / name] == told[f"s3://{bucket}/{name}"], name
    for missing in (tmp_path / "none", f"s3://{bucket}/none"):
        with pytest.raises(SkipInput, match="series missing"):
            read_series(missing, patient=patient)


def test_the_layout_of_signals(s3_client: Any, bucket: str) -> None:
    assert find_layout(f"s3://{bucket}/t") is None
    content = {"channels": ["speed_mps", "brake"], "rate_hz": 20}
    s3_client.put_object(Bucket=bucket, Key="t/channels.json", Body=json.dumps(content).encode())
    assert find_layout(f"s3://{bucket}/t") == Layout(("speed_mps", "brake"), 20.0)
    s3_client.put_object(Bucket=bucket, Key="t/channels.json", Body=b"[")
    with pytest.raises(DataError, match=r"channels\.json cannot be read"):
        find_layout(f"s3://{bucket}/t")
