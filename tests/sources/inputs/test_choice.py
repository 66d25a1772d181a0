"""Flags that contradict each other, or say half."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from multimodal_search.errors import SettingsError
from multimodal_search.sources.inputs import Inputs

Opened = Callable[..., Inputs]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "choose one of --image-dir DIR"),
        ({"image_dir": "a", "text_file": "b"}, "Several inputs were given: --image-dir, --text-file"),
        ({"use_sample_data": True, "path_file": "b"}, "--path-file, --use-sample-data"),
        ({"path_file": "b"}, "--storage disk needs --target-dir"),
        ({"path_file": "b", "storage": "s3"}, "--storage s3 needs --bucket-name"),
        (
            {"path_file": "b", "target_dir": "t", "bucket_name": "c"},
            "--bucket-name does not go with --storage disk",
        ),
        (
            {"path_file": "b", "storage": "s3", "bucket_name": "c", "target_dir": "t"},
            "--target-dir does not go with --storage s3",
        ),
        ({"path_file": "b", "storage": "s3", "bucket_name": "s3://c"}, "'s3://c' is no bucket's name"),
        ({"image_dir": "a", "dataset": "N"}, "--dataset says how to read a --path-file"),
        ({"dataset": "N"}, "--dataset says"),
        ({"text_file": "a", "start_line": 1, "end_line": 2}, "--start-line, --end-line say how"),
        ({"image_dir": "a", "storage": "s3"}, "--storage s3 says"),
        ({"image_dir": "a", "bucket_name": "b"}, "--bucket-name says"),
        ({"image_dir": "a", "target_dir": "b"}, "--target-dir says"),
        ({"text_file": "a", "views": True}, "--views needs --image-dir"),
        ({"image_dir": "s3://b/x", "views": True}, "--views reads a local folder"),
        ({"image_dir": "s3://"}, "is not an S3 address"),
        ({"nuscenes_path": "x"}, "--nuscenes-path needs --use-devkit"),
        ({"use_devkit": True, "image_dir": "x"}, "--use-devkit"),
    ],
)
def test_what_does_not_go_together(opened: Opened, given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        opened(**given)
    assert told in str(caught.value)
    assert "to do" in str(caught.value)
