"""Pictures of a bundle whose data is on S3: shown from there, never from outside of its prefix."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from multimodal_search.serving.kept_files import KeptFiles
from multimodal_search.serving.pictures import Pictures
from multimodal_search.serving.problems import Refused


def test_a_bundle_root_on_s3(s3_client: Any, bucket: str, tmp_path: Path) -> None:
    memory = io.BytesIO()
    Image.new("RGB", (800, 400), (200, 30, 10)).save(memory, "JPEG")
    for key in ("drives/images/a.jpg", "secret.jpg"):
        s3_client.put_object(Bucket=bucket, Key=key, Body=memory.getvalue())
    root, pictures = f"s3://{bucket}/drives", Pictures(None, KeptFiles(tmp_path / "cache", 10**9))
    etag = pictures.etag("images/a.jpg", root, 320)
    made = Image.open(io.BytesIO(pictures.jpeg("images/a.jpg", root, 320, etag)))
    assert (made.format, made.size) == ("JPEG", (320, 160))
    for outside in ("../secret.jpg", "/secret.jpg", "images/gone.jpg"):
        with pytest.raises(Refused):
            pictures.etag(outside, root, 320)
