"""Any picture to 8-bit RGB, upright, or a plain reason why not.

Choices, the same for every encoder: the first frame of an animation; transparency over white; 16-bit and
float pixels scaled to 8 bits, not clipped; EXIF (and XMP) orientation applied; colour profiles ignored, as in
the encoders' own training.
"""

from __future__ import annotations

import io
import logging
import stat
import warnings
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from multimodal_search.embedding import jpeg
from multimodal_search.errors import SkipInput

Picture = Image.Image | npt.NDArray[np.uint8]
"""Upright RGB: as it is in the file, or an array (height, width, 3) that the quick way made."""

MAX_PIXELS = 89_478_485  # where Pillow starts to warn of a decompression bomb: 256 MB of RGB
_MAX_ASPECT = 200  # resizing the short side to 224 px would make the long side a bomb of its own

# Formats are named, so that a disguised EPS never starts Ghostscript.
_FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "QOI",
    "AVIF", "JPEG2000", "TGA", "ICO", "CUR",
)  # fmt: skip

_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 258
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow reports odd tags through both; what matters becomes a SkipInput, the rest would flood a long job.
_PILLOW_WARNINGS = r"PIL\."
logging.getLogger("PIL").addHandler(logging.NullHandler())


@overload
def decode(source: str | Path | bytes, *, max_pixels: int = ..., at_least_px: None = ...) -> Image.Image: ...


@overload
def decode(
    source: str | Path | bytes, *, max_pixels: int = ..., at_least_px: tuple[int, int] | None
) -> Picture: ...


def decode(
    source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS, at_least_px: tuple[int, int] | None = None
) -> Picture:
    """One upright RGB picture. Thread-safe; leaves Pillow's own limits alone and does not rely on them.

    Args:
        source: a file, or a file's content (for example read from ``s3://``).
        max_pixels: a larger picture is taken for a decompression bomb, from its header.
        at_least_px: (height, width) that is enough: a faultless upright JPEG in gray or RGB comes as an
            array, at a half, a quarter or an eighth of its size where that still covers it. Any other file
            comes as without.

    Raises:
        SkipInput: missing, unreadable, truncated, not an image, zero-sized, a bomb; the reason says which.
    """
    _quiet_warnings()
    try:
        if at_least_px is not None and not isinstance(source, bytes):
            source = _read(source)
        with Image.open(_opened(source), formats=_known_formats()) as image:
            _check_size(image.size, max_pixels)
            if at_least_px is not None and isinstance(source, bytes) and _quick(image):
                pixels = jpeg.reduced(source, (image.height, image.width), at_least_px)
                if pixels is not None:
                    return pixels
            image.load()
            return _rgb(_upright(image))
    except SkipInput:
        raise
    except Exception as error:  # a damaged file can make a decoder raise nearly anything
        raise SkipInput(_reason(error, source)) from error


def _quick(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") and _turned(image) is None


def _opened(source: str | Path | bytes) -> str | Path | io.BytesIO:
    if isinstance(source, bytes):
        if not source:
            raise SkipInput("the file is empty (0 bytes)")
        return io.BytesIO(source)
    _check_file(Path(source))
    return source


def _read(source: str | Path) -> bytes:
    _check_file(Path(source))
    return Path(source).read_bytes()


def _check_file(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would wait for ever
        raise SkipInput("not a regular file")
    if status.st_size == 0:
        raise SkipInput("the file is empty (0 bytes)")


def _known_formats() -> list[str]:
    Image.init()  # a no-op after the first time; a build of Pillow may lack AVIF or WebP
    return [name for name in _FORMATS if name in Image.OPEN]


def _quiet_warnings() -> None:
    """``catch_warnings`` swaps the process' filters and is not for threads; one standing filter is."""
    if not any(
        entry[0] == "ignore" and getattr(entry[3], "pattern", None) == _PILLOW_WARNINGS
        for entry in warnings.filters
    ):
        warnings.filterwarnings("ignore", module=_PILLOW_WARNINGS)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width <= 0 or height <= 0:
        raise SkipInput(f"the image has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise SkipInput(
            f"decompression bomb: {width} x {height} = {width * height} pixels, the limit is {max_pixels}"
        )
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise SkipInput(f"too thin to be a picture: {width} x {height} px")


def _upright(image: Image.Image) -> Image.Image:
    method = _turned(image)
    return image if method is None else image.transpose(method)


def _turned(image: Image.Image) -> Image.Transpose | None:
    """How to turn it upright; None where it is."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # damaged EXIF: the pixels are still good
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layers).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> npt.NDArray[np.uint8]:
    """(height, width) uint8 from 16-bit, 32-bit or float gray.

    Unsigned 16-bit scales by its full range (12 bits where a TIFF says so). The range of 32-bit and float
    pixels is not stated in the file: 0-1, 0-255 and 0-65535 are recognised, anything else is stretched.
    """
    pixels = np.asarray(image, dtype=np.float64)
    finite = np.isfinite(pixels)
    if not finite.any():
        raise SkipInput("no pixel has a finite value")
    low, high = float(pixels[finite].min()), float(pixels[finite].max())
    if image.mode.startswith("I;16"):
        low, high = 0.0, float(2 ** _bits_per_sample(image) - 1)
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    span = high - low if high > low else 1.0
    scaled = np.where(finite, (pixels - low) / span, 0.0)
    return np.asarray(np.rint(np.clip(scaled, 0, 1) * 255), dtype=np.uint8)


def _bits_per_sample(image: Image.Image) -> int:
    stated = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))
    bits = int(stated[0] if isinstance(stated, tuple) else stated)
    return bits if 8 < bits <= 16 else 16


def _reason(error: Exception, source: str | Path | bytes) -> str:
    """The decoder's complaint in words that say what is wrong with the file."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "image missing"
    if isinstance(error, PermissionError):
        return "no permission to read the image"
    if isinstance(error, Image.DecompressionBombError):
        return f"decompression bomb: {str(error).partition(', could')[0]}"
    if isinstance(error, UnidentifiedImageError):
        return _unidentified(source)
    if isinstance(error, MemoryError):
        return "not enough memory to decode the image"
    text = str(error) or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"the image is truncated ({text})"
    return f"the image is damaged ({type(error).__name__}: {text})"


def _unidentified(source: str | Path | bytes) -> str:
    try:
        head = source[:64] if isinstance(source, bytes) else _head(Path(source))
    except OSError:
        head = b""
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image itself"
    return "not an image, or its header is damaged"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)
