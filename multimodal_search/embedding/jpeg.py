"""JPEGs at a reduced size: libjpeg leaves out the high frequencies that a small model input never shows.

simplejpeg (MIT) was the quickest of what was measured (``benchmarks/decode.py``), needs no library of the
system, and says of a damaged file that it is damaged. Whatever is not plainly good is left to Pillow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import simplejpeg

_DIVISORS = (8, 4, 2)  # libjpeg also offers eighths in between: slower, and far from what a resize would give


def divisor(size_px: tuple[int, int], at_least_px: tuple[int, int]) -> int:
    """The largest of 8, 4, 2, 1 by which (height, width) may be divided and still covers ``at_least_px``."""
    fits = (
        one
        for one in _DIVISORS
        if all(-(-side // one) >= least for side, least in _pairs(size_px, at_least_px))
    )
    return next(fits, 1)


def reduced(
    content: bytes, size_px: tuple[int, int], at_least_px: tuple[int, int]
) -> npt.NDArray[np.uint8] | None:
    """RGB pixels (height, width, 3), or None where the file is not plainly good.

    Args:
        content: of the file.
        size_px: (height, width) that its header states.
        at_least_px: (height, width) that the result covers, as far as the file does.
    """
    by = divisor(size_px, at_least_px)
    try:
        pixels = simplejpeg.decode_jpeg(
            content, "RGB", min_height=-(-size_px[0] // by), min_width=-(-size_px[1] // by), strict=True
        )
    except (ValueError, MemoryError):  # damaged, truncated, or inks that are no RGB
        return None
    return np.asarray(pixels, dtype=np.uint8)


def _pairs(size_px: tuple[int, int], at_least_px: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(size_px, at_least_px, strict=True))
