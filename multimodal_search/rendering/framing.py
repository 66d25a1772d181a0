"""Where a specimen's points fall on the picture: all inside, none too small to be seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from multimodal_search.rendering.kernels import SUBPIXELS
from multimodal_search.types import FloatArray

FILLED = 0.92
"""Share of the side that a specimen of full extent covers."""
LEAST = 0.45
"""Share that a view's longer extent covers at least: a stick seen from its end is brought nearer."""


class Frame(NamedTuple):
    """A view's framing, in the specimen's space.

    Attributes:
        xy: (n, 2) int64 places, in steps of 1/256 pixel, y downwards.
        depth: (n,) float64, larger is nearer.
        middle: (right, up) of what the picture's middle shows.
        half_side: from there to the picture's edge.
        extent_px: (width, height) that the points span.
    """

    xy: npt.NDArray[np.int64]
    depth: FloatArray
    middle: tuple[float, float]
    half_side: float
    extent_px: tuple[float, float]


def frame(points: FloatArray, axes: FloatArray, side_px: int) -> Frame:
    """Parallel projection of points in the unit ball.

    Args:
        axes: (3, 3) right, up, towards the camera.
    """
    right, up, towards = (along(points, axis) for axis in axes)
    width, height = float(right.max() - right.min()), float(up.max() - up.min())
    half_side, middle = 1.0 / FILLED, (0.0, 0.0)
    widest = max(width, height)
    if 0.0 < widest < LEAST * 2.0 * half_side:
        half_side = widest / (2.0 * LEAST)
        middle = (float(right.max() + right.min()) / 2, float(up.max() + up.min()) / 2)
    scale_px = side_px / (2.0 * half_side)
    x = (right - middle[0]) * scale_px + side_px / 2
    y = side_px / 2 - (up - middle[1]) * scale_px
    xy = np.rint(np.stack([x, y], axis=1) * SUBPIXELS).astype(np.int64)
    return Frame(xy, towards, middle, half_side, (width * scale_px, height * scale_px))


def along(points: FloatArray, axis: FloatArray) -> FloatArray:
    """(n,) each point's place on an axis; in an order that a matrix product would not keep."""
    place: FloatArray = (points[:, 0] * axis[0] + points[:, 1] * axis[1]) + points[:, 2] * axis[2]
    return place
