"""Pictures in messages (CompressedImage, Image; ROS and Foxglove) -> JPEG."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from multimodal_search.errors import SkipInput
from multimodal_search.extraction import mcap_fields as fields

_COMPRESSED = {"sensor_msgs/CompressedImage", "foxglove.CompressedImage", "foxglove_msgs/CompressedImage"}
_RAW = {"sensor_msgs/Image", "foxglove.RawImage", "foxglove_msgs/RawImage"}
_VIDEO = {"foxglove.CompressedVideo", "foxglove_msgs/CompressedVideo"}
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_MAX_PIXELS = 89_478_485  # as where the pictures are read again (embedding.images)
_QUALITY = 92

Picture = np.ndarray[Any, np.dtype[np.uint8]]


def is_picture(type_name: str) -> bool:
    """Whether messages of this type are pictures."""
    return type_name in _COMPRESSED or type_name in _RAW


def is_video(type_name: str) -> bool:
    """Whether messages of this type are frames of a video, which are not read."""
    return type_name in _VIDEO


def to_jpeg(message: Any, type_name: str) -> bytes:
    """A picture's message as a JPEG; one that is a JPEG goes through as it is.

    Raises:
        SkipInput: broken, too large, or in an encoding that is not read.
    """
    try:
        content = _content(fields.value_at(message, ("data",)))
        if type_name in _COMPRESSED:
            return _compressed(content)
        picture = _raw(message, content)
    except LookupError as error:
        raise SkipInput(f"the picture has no field {error}") from error
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _content(data: Any) -> bytes:
    if isinstance(data, str):  # JSON
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise SkipInput("the picture is not base64") from error
    try:
        return bytes(data)
    except (TypeError, ValueError) as error:
        raise SkipInput("the picture's data are no bytes") from error


def _compressed(content: bytes) -> bytes:
    # compressed depth and the like have a header of their own before the PNG: no picture for an encoder
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            _check_size(*picture.size)
            if picture.format == "JPEG":
                picture.draft(
                    "RGB", (picture.width // 8, picture.height // 8)
                )  # quick, and finds a truncated one
                picture.load()
                return content
            if picture.mode.startswith(("I", "F")):
                raise SkipInput(f"the picture is a {picture.mode} one (depth?), not of light")
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
            return buffer.getvalue()
    except SkipInput:
        raise
    except Exception as error:  # Pillow raises whatever the bytes provoke
        raise SkipInput(f"the picture cannot be read ({type(error).__name__})") from error


def _check_size(width: int, height: int) -> None:
    if not 0 < width * height <= _MAX_PIXELS:
        raise SkipInput(f"the picture has {width} x {height} pixels")


def _raw(message: Any, content: bytes) -> Picture:
    """(height, width, 3) or (height, width)."""
    width, height = (int(fields.number_at(message, (name,))) for name in ("width", "height"))
    encoding = str(fields.value_at(message, ("encoding",))).lower()
    _check_size(width, height)
    if encoding not in _ENCODINGS:
        raise SkipInput(f"pictures in {encoding!r} are not read; {', '.join(sorted(_ENCODINGS))} are")
    channels, kind, convert = _ENCODINGS[encoding]
    item_bytes = np.dtype(kind).itemsize * channels
    step = int(fields.number_at(message, ("step",))) or width * item_bytes
    if step < width * item_bytes or len(content) < step * (height - 1) + width * item_bytes:
        raise SkipInput(f"the picture has {len(content)} bytes, too few for {width} x {height} in {encoding}")
    big_endian = _is_set(message, "is_bigendian") and np.dtype(kind).itemsize > 1
    padded = content.ljust(step * height, b"\0")
    table = np.frombuffer(padded, np.uint8, step * height).reshape(height, step)[:, : width * item_bytes]
    pixels = np.ascontiguousarray(table).view(np.dtype(kind).newbyteorder(">" if big_endian else "<"))
    return np.ascontiguousarray(convert(pixels.reshape(height, width, channels)))


def _is_set(message: Any, name: str) -> bool:
    try:
        return bool(fields.value_at(message, (name,)))
    except LookupError:
        return False


def _gray16(pixels: Any) -> Picture:
    top = max(int(pixels.max()), 1)  # cameras of 10 or 12 bits leave the upper ones empty
    shift = max(top.bit_length() - 8, 0)
    return np.asarray(pixels[..., 0] >> shift, dtype=np.uint8)


def _yuv(first_luma: int) -> Callable[[Any], Picture]:
    """4:2:2 with two bytes a pixel; the luma is the first (YUYV) or the second (UYVY) of them."""

    def convert(pixels: Any) -> Picture:
        even = pixels[:, : pixels.shape[1] // 2 * 2]
        luma, chroma = even[..., first_luma], even[..., 1 - first_luma]
        blue, red = (np.repeat(chroma[:, start::2], 2, axis=1) for start in (0, 1))
        table = np.stack([luma, blue, red], axis=2).astype(np.uint8)
        return np.asarray(Image.fromarray(table, "YCbCr").convert("RGB"))

    return convert


def _bayer(red: tuple[int, int]) -> Callable[[Any], Picture]:
    """Each square of 2 x 2 becomes a pixel: no colour is invented, half the size is enough for an encoder."""

    def convert(pixels: Any) -> Picture:
        plane = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2, 0]
        row, column = red
        green = (plane[row::2, 1 - column :: 2].astype(np.uint16) + plane[1 - row :: 2, column::2]) // 2
        return np.stack(
            [plane[row::2, column::2], green.astype(np.uint8), plane[1 - row :: 2, 1 - column :: 2]], axis=2
        )

    return convert


# encoding -> values a pixel, their type, and how they become RGB or gray
_ENCODINGS: Mapping[str, tuple[int, str, Callable[[Any], Picture]]] = {
    "rgb8": (3, "u1", lambda pixels: pixels),
    "8uc3": (3, "u1", lambda pixels: pixels[..., ::-1]),
    "bgr8": (3, "u1", lambda pixels: pixels[..., ::-1]),
    "rgba8": (4, "u1", lambda pixels: pixels[..., :3]),
    "bgra8": (4, "u1", lambda pixels: pixels[..., 2::-1]),
    "mono8": (1, "u1", lambda pixels: pixels[..., 0]),
    "8uc1": (1, "u1", lambda pixels: pixels[..., 0]),
    "mono16": (1, "u2", _gray16),
    "yuv422": (2, "u1", _yuv(1)),
    "uyvy": (2, "u1", _yuv(1)),
    "yuv422_yuy2": (2, "u1", _yuv(0)),
    "yuyv": (2, "u1", _yuv(0)),
    "bayer_rggb8": (1, "u1", _bayer((0, 0))),
    "bayer_grbg8": (1, "u1", _bayer((0, 1))),
    "bayer_gbrg8": (1, "u1", _bayer((1, 0))),
    "bayer_bggr8": (1, "u1", _bayer((1, 1))),
}
