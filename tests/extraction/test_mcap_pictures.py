"""Pictures in messages become JPEGs; Pillow's own pictures are the reference."""

from __future__ import annotations

import base64
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mcap")

from multimodal_search.errors import SkipInput
from multimodal_search.extraction.mcap_pictures import is_picture, is_video, to_jpeg
from multimodal_search.extraction.mcap_recording import camera_name

RGB = np.zeros((24, 32, 3), np.uint8)
RGB[:, :16] = (220, 40, 40)
RGB[:, 16:] = (40, 60, 200)
RAW = "sensor_msgs/Image"


def _encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind)
    return buffer.getvalue()


def _raw(pixels: Any, encoding: str, **more: Any) -> Any:
    height, width = pixels.shape[:2]
    step = pixels[0].nbytes
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=step, data=pixels.tobytes(), **more
    )


def _pixels(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def _alike(content: bytes, wanted: Any = RGB) -> None:
    found = _pixels(content)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted.astype(int))[:, [2, 3, -4, -3]].mean() < 12


def test_a_jpeg_goes_through_as_it_is() -> None:
    content = _encoded("JPEG")
    for data in (content, base64.b64encode(content).decode(), list(content)):
        assert to_jpeg({"format": "jpeg", "data": data}, "foxglove.CompressedImage") == content


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_other_formats_become_jpegs(kind: str) -> None:
    _alike(to_jpeg(SimpleNamespace(data=_encoded(kind)), "sensor_msgs/CompressedImage"))


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.dstack([RGB, np.full((24, 32), 9, np.uint8)])),
        ("bgra8", np.dstack([RGB[..., ::-1], np.full((24, 32), 9, np.uint8)])),
    ],
)
def test_colours_of_raw_pictures(encoding: str, pixels: Any) -> None:
    _alike(to_jpeg(_raw(np.ascontiguousarray(pixels), encoding), RAW))


def test_gray_of_8_and_16_bits_in_both_orders() -> None:
    gray = np.linspace(0, 255, 32).astype(np.uint8)[None].repeat(24, 0)
    for content in (
        to_jpeg(_raw(gray, "mono8"), RAW),
        to_jpeg(_raw((gray.astype("u2") * 16).astype("<u2"), "mono16", is_bigendian=0), RAW),  # 12 bits in 16
        to_jpeg(_raw((gray.astype("u2") * 16).astype(">u2"), "mono16", is_bigendian=1), RAW),
    ):
        assert np.abs(_pixels(content)[..., 0] - gray).max() <= 6


def test_yuv_and_bayer() -> None:
    ycbcr = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    luma, blue, red = ycbcr[..., 0], ycbcr[:, ::2, 1], ycbcr[:, ::2, 2]
    chroma = np.stack([blue, red], 2).reshape(24, 32)
    _alike(to_jpeg(_raw(np.dstack([chroma, luma]), "uyvy"), RAW))
    _alike(to_jpeg(_raw(np.dstack([luma, chroma]), "yuv422_yuy2"), RAW))
    for encoding, (row, column) in {"bayer_rggb8": (0, 0), "bayer_gbrg8": (1, 0)}.items():
        mosaic = RGB[..., 1].copy()
        mosaic[row::2, column::2] = RGB[row::2, column::2, 0]
        mosaic[1 - row :: 2, 1 - column :: 2] = RGB[1 - row :: 2, 1 - column :: 2, 2]
        _alike(to_jpeg(_raw(mosaic, encoding), RAW), RGB[::2, ::2])


def test_rows_with_padding() -> None:
    padded = np.zeros((24, 40, 3), np.uint8)
    padded[:, :32] = RGB
    message = _raw(padded, "rgb8")
    message.width = 32
    _alike(to_jpeg(message, RAW))


@pytest.mark.parametrize(
    ("message", "type_name", "reason"),
    [
        ({"data": "###"}, "foxglove.CompressedImage", "base64"),
        ({"data": b""}, "foxglove.CompressedImage", "cannot be read"),
        ({"data": _encoded("JPEG")[:200]}, "foxglove.CompressedImage", "cannot be read"),
        ({"format": "jpeg"}, "foxglove.CompressedImage", "no field data"),
        (_raw(RGB, "32FC1"), RAW, "'32fc1' are not read"),
        (SimpleNamespace(height=9, width=9, step=9, encoding="mono8", data=b"x"), RAW, "too few"),
        (SimpleNamespace(height=0, width=9, step=9, encoding="mono8", data=b"x"), RAW, "0 pixels|9 x 0"),
        (SimpleNamespace(height=10**6, width=10**6, step=9, encoding="mono8", data=b""), RAW, "pixels"),
    ],
)
def test_what_is_no_picture_is_skipped_with_its_reason(message: Any, type_name: str, reason: str) -> None:
    with pytest.raises(SkipInput, match=reason):
        to_jpeg(message, type_name)


def test_types_and_names_of_cameras() -> None:
    assert is_picture("sensor_msgs/CompressedImage")
    assert not is_picture("sensor_msgs/PointCloud2")
    assert is_video("foxglove.CompressedVideo")
    assert camera_name("/CAM_FRONT/image_rect_compressed") == "CAM_FRONT"
    assert camera_name("/camera/left/image_raw/compressed") == "camera_left"
    assert camera_name("/image_raw") == "image_raw"
