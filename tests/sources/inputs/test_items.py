"""The pictures of the main job's sources, named as training names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multimodal_search import storage
from multimodal_search.embedding.wanted import wanted_images
from multimodal_search.errors import DataError
from multimodal_search.settings.models import DataSettings
from multimodal_search.sources import open_source
from multimodal_search.sources.inputs import Inputs
from multimodal_search.sources.sample import write as write_sample

Opened = Callable[..., Inputs]


@pytest.mark.parametrize("cameras", [["CAM_FRONT"], ["all"], ["CAM_BACK", "CAM_FRONT"]])
def test_training_finds_the_rows(tmp_path: Path, opened: Opened, cameras: list[str]) -> None:
    data: dict[str, Any] = {"use_sample_data": True, "sample_scenes": 3, "cameras": cameras}
    inputs = opened(**data)
    source = open_source(DataSettings(**data), sample_dir=tmp_path / "sample")
    wanted = wanted_images(source, source.items(), cameras).rows
    assert [(one.id, one.key) for one in inputs] == [(row.id, row.key) for row in wanted.values()]
    assert inputs.count == len(wanted) > 0
    assert all(one.location == str(source.root / one.id) for one in inputs)
    assert (inputs.kind, inputs.root) == ("sample", str(source.root))


def test_a_folder_of_scenes(tmp_path: Path, opened: Opened) -> None:
    write_sample("extracted", tmp_path / "world", scenes=2, seed=1)
    inputs = opened(data_dir=str(tmp_path / "world"))
    assert inputs.count == len(list(inputs)) > 0
    assert inputs.kind == "extracted"


def test_pairs_on_disk_and_s3(tmp_path: Path, opened: Opened, s3_client: Any, bucket: str) -> None:
    s3_client.put_object(Bucket=bucket, Key="x.jpg", Body=b"x")
    (tmp_path / "a.jpg").write_bytes(b"a")
    urls = [f"s3://{bucket}/x.jpg", f"s3://{bucket}/gone.jpg"]
    (tmp_path / "pairs.csv").write_text(
        "image_path,text\na.jpg,one\na.jpg,two\n"
        + "".join(f"{url},far\n" for url in urls)
        + "missing.jpg,no\n"
    )
    inputs = opened(pairs=str(tmp_path / "pairs.csv"))
    expected = [
        ("a.jpg", storage.content_key(tmp_path / "a.jpg"), str(tmp_path / "a.jpg")),
        (urls[0], storage.content_key(urls[0]), urls[0]),
        (urls[1], "", urls[1]),
    ]
    assert [(one.id, one.key, one.location) for one in inputs] == expected
    assert [one.path for one in inputs.failures] == ["missing.jpg"]


def test_no_pictures(tmp_path: Path, opened: Opened) -> None:
    write_sample("extracted", tmp_path / "world", scenes=1, seed=1, cameras=("CAM_FRONT", "CAM_BACK"))
    inputs = opened(data_dir=str(tmp_path / "world"), cameras=["CAM_SIDE"])
    with pytest.raises(DataError, match="has a picture"):
        next(iter(inputs))
