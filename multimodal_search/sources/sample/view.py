"""A pinhole camera over a flat, gently bent road, and polygons drawn through it.

Road frame: ``x`` metres right of the road's middle, ``s`` metres ahead of the camera's foot along the road,
``z`` metres up. Yaw is positive to the left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from multimodal_search.sources.sample.palette import Color, Palette

Point = tuple[float, float, float]
_NEAR_M = 0.6
_HALO_REACH_M = 70.0
HORIZON_SHARE = 0.44  # of the picture above the horizon, at no pitch

CAMERAS: dict[str, tuple[float, float]] = {  # yaw to the left, horizontal field of view, degrees
    "CAM_FRONT": (0.0, 70.0),
    "CAM_FRONT_LEFT": (55.0, 70.0),
    "CAM_FRONT_RIGHT": (-55.0, 70.0),
    "CAM_BACK": (180.0, 110.0),
    "CAM_BACK_LEFT": (110.0, 70.0),
    "CAM_BACK_RIGHT": (-110.0, 70.0),
}


@dataclass(frozen=True, slots=True)
class Pose:
    """The camera: metres right of the road's middle, yaw from the road, height, pitch (up); SI units."""

    x: float
    yaw: float
    height: float
    pitch: float
    bend: float  # curvature of the road, 1/m, left positive


class View:
    """Draws shapes given in the road frame, shaded by distance, clipped at the camera.

    Args:
        image: RGB, drawn on.
        pose: of the vehicle.
        camera: a key of ``CAMERAS``.
    """

    def __init__(self, image: Image.Image, pose: Pose, camera: str, palette: Palette) -> None:
        degrees, field = CAMERAS[camera]
        self.image = image
        self.draw = ImageDraw.Draw(image)
        self.width, self.height = image.size
        self.pose = pose
        self.palette = palette
        self.focal = self.width / 2 / math.tan(math.radians(field) / 2)
        yaw = pose.yaw + math.radians(degrees)
        self._cos, self._sin = math.cos(yaw), math.sin(yaw)
        self.horizon = self.height * HORIZON_SHARE + self.focal * math.tan(pose.pitch)

    def to_camera(self, x: float, s: float) -> tuple[float, float]:
        """(metres to the right, depth) of a point of the ground."""
        dx = x - 0.5 * self.pose.bend * s * s - self.pose.x
        return dx * self._cos + s * self._sin, s * self._cos - dx * self._sin

    def pixel(self, x: float, s: float, z: float) -> tuple[float, float, float] | None:
        """(column, row, depth) of a point, None where it is behind the camera."""
        right, depth = self.to_camera(x, s)
        if depth < _NEAR_M:
            return None
        scale = self.focal / depth
        return self.width / 2 + right * scale, self.horizon + (self.pose.height - z) * scale, depth

    def face(self, points: Sequence[Point], color: Color, glow: float = 0.0) -> None:
        """A filled polygon."""
        seen, depths = [], 0.0
        for x, s, z in points:
            right, depth = self.to_camera(x, s)
            seen.append((right, depth, z))
            depths += depth
        if any(one[1] < _NEAR_M for one in seen):
            seen = _clip(seen)
            if len(seen) < 3:
                return
            depths = sum(one[1] for one in seen)
        middle, focal, height = self.width / 2, self.focal, self.pose.height
        flat = []
        left, rightmost = math.inf, -math.inf
        for right, depth, z in seen:
            scale = focal / depth
            column = middle + right * scale
            left, rightmost = min(left, column), max(rightmost, column)
            flat.append((column, self.horizon + (height - z) * scale))
        if rightmost < 0 or left > self.width:
            return
        self.draw.polygon(flat, fill=self.palette.shade(color, depths / len(seen), glow))

    def flat(self, x0: float, x1: float, s0: float, s1: float, color: Color, z: float = 0.0) -> None:
        """A rectangle on the ground."""
        self.face(((x0, s0, z), (x1, s0, z), (x1, s1, z), (x0, s1, z)), color)

    def strip(self, x0: float, x1: float, color: Color, z: float = 0.0, length: float = 130.0) -> None:
        """A strip of ground along the road, ahead and behind, in pieces that follow bend and distance."""
        cuts = (0.0, 3.0, 6.0, 10.0, 16.0, 26.0, 42.0, 70.0, 130.0)
        for near, far in pairwise(cuts):
            if near >= length:
                break
            self.flat(x0, x1, near, far, color, z)
            self.flat(x0, x1, -far, -near, color, z)

    def wall(self, x: float, s0: float, s1: float, z0: float, z1: float, color: Color) -> None:
        """An upright rectangle along the road."""
        self.face(((x, s0, z0), (x, s1, z0), (x, s1, z1), (x, s0, z1)), color)

    def gate(
        self, x0: float, x1: float, s: float, z0: float, z1: float, color: Color, glow: float = 0.0
    ) -> None:
        """An upright rectangle across the road."""
        self.face(((x0, s, z0), (x1, s, z0), (x1, s, z1), (x0, s, z1)), color, glow)

    def board(
        self, x: float, s: float, z: float, width: float, height: float, color: Color, glow: float = 0.0
    ) -> None:
        """An upright rectangle that faces the camera; (x, s, z) is the middle of its lower edge."""
        seen = self.pixel(x, s, z)
        if seen is None:
            return
        column, row, depth = seen
        half, tall = width / 2 * self.focal / depth, height * self.focal / depth
        box = (column - half, row - tall, column + half, row)
        if box[2] > 0 and box[0] < self.width:
            self.draw.rectangle(box, fill=self.palette.shade(color, depth, glow))

    def disc(self, x: float, s: float, z: float, radius: float, color: Color, glow: float = 0.0) -> None:
        """A circle that faces the camera."""
        seen = self.pixel(x, s, z)
        if seen is None:
            return
        column, row, depth = seen
        size = radius * self.focal / depth
        if -size < column < self.width + size:
            box = (column - size, row - size, column + size, row + size)
            self.draw.ellipse(box, fill=self.palette.shade(color, depth, glow))

    def words(self, x: float, s: float, z: float, height: float, text: str, color: Color) -> None:
        """Text that faces the camera, around (x, s, z)."""
        seen = self.pixel(x, s, z)
        if seen is None or (size := height * self.focal / seen[2]) < 4:
            return
        font = ImageFont.load_default(round(size))
        fill = self.palette.shade(color, seen[2], 0.4)
        self.draw.text(seen[:2], text, fill=fill, font=font, anchor="mm")

    def halo(self, x: float, s: float, z: float, radius: float, color: Color) -> None:
        """Light around a lamp, wider in haze, and its streak on a wet road."""
        seen = self.pixel(x, s, z)
        if seen is None or seen[2] > _HALO_REACH_M:
            return
        hazy = self.palette.weather in ("fog", "rain", "snow")
        size = int(2 * radius * (1.6 if hazy else 1.0) * self.focal / seen[2])
        # sizes in steps, so that few masks are made
        size = min(size // 8 * 8, self.width // 2)
        if size < 8 or not -size < seen[0] < self.width + size:
            return
        self.image.paste(color, (int(seen[0] - size / 2), int(seen[1] - size / 2)), _halo(size, size))
        ground = self.pixel(x, s, 0.0) if self.palette.wet else None
        if ground is not None:
            wide, tall = max(size // 3, 2), int(size * 1.6)
            corner = (int(ground[0] - wide / 2), int(ground[1] - tall * 0.25))
            self.image.paste(color, corner, _halo(wide, tall))

    def line(self, one: Point, other: Point, width_m: float, color: Color) -> None:
        """A bar between two points, as wide as its distance makes it."""
        first, second = self.pixel(*one), self.pixel(*other)
        if first is None or second is None:
            return
        depth = (first[2] + second[2]) / 2
        width = max(1, round(width_m * self.focal / depth))
        fill = self.palette.shade(color, depth)
        self.draw.line((first[0], first[1], second[0], second[1]), fill=fill, width=width)


@lru_cache(maxsize=64)
def _halo(width: int, height: int) -> Image.Image:
    """A soft round mask."""
    across, down = np.linspace(-1, 1, width)[None, :], np.linspace(-1, 1, height)[:, None]
    strength = np.clip(1 - np.sqrt(across**2 + down**2), 0, 1) ** 2.2
    return Image.fromarray((strength * 200).astype(np.uint8), "L")


def _clip(points: list[Point]) -> list[Point]:
    """The part of a polygon of (right, depth, z) in front of the camera (Sutherland and Hodgman, 1974)."""
    kept: list[Point] = []
    for index, one in enumerate(points):
        before = points[index - 1]
        if (one[1] >= _NEAR_M) != (before[1] >= _NEAR_M):
            share = (_NEAR_M - before[1]) / (one[1] - before[1])
            kept.append(
                (before[0] + share * (one[0] - before[0]), _NEAR_M, before[2] + share * (one[2] - before[2]))
            )
        if one[1] >= _NEAR_M:
            kept.append(one)
    return kept
