"""The default renderer: a z-buffer that needs no display, no driver and nothing but wheels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from multimodal_search.errors import SkipInput
from multimodal_search.rendering import kernels
from multimodal_search.rendering.framing import Frame, frame
from multimodal_search.rendering.model import Model
from multimodal_search.rendering.renderer import Picture
from multimodal_search.types import FloatArray

NAME = "zbuffer"
VERSION = "1"
"""Changes whenever a pixel would."""

BUDGET = 20_000_000_000
"""Pixels that may be looked at for one view, some 20 seconds: a soup of huge triangles is not a specimen."""
_LINE_BUDGET = 20_000_000
_SPLAT = 0.75  # radius of a point over the mean distance of points in the picture


class ZBuffer:
    """See ``renderer.Renderer``.

    Args:
        loops: ``kernels``, or ``reference`` in tests.
    """

    name, version = NAME, VERSION

    def __init__(self, side_px: int, background: tuple[int, int, int], loops: Any = kernels) -> None:
        self._side_px = side_px
        self._background = np.array(background, dtype=np.uint8)
        self._loops = loops

    def draw(self, model: Model, axes: FloatArray) -> Picture:
        """See ``renderer.Renderer.draw``."""
        side = self._side_px
        framed = frame(model.points, axes, side)
        nearest = np.full((side, side), -np.inf)
        owner = np.full((side, side), kernels.NO_FACE, dtype=np.int32)
        if model.is_cloud:
            self._draw_cloud(framed, nearest, owner)
        else:
            if not self._loops.draw_faces(framed.xy, framed.depth, model.faces, nearest, owner, BUDGET):
                raise SkipInput("too many large faces over each other to be drawn")
            if _too_thin(owner >= 0, framed):
                self._draw_lines(model, framed, nearest, owner)
        picture = np.broadcast_to(self._background, (side, side, 3)).copy()
        self._shade(model, axes, framed, owner, picture)
        return Picture(picture, owner >= 0)

    def close(self) -> None:
        """Nothing is held."""

    def _draw_cloud(self, framed: Frame, nearest: Any, owner: Any) -> None:
        spacing_px = np.sqrt(max(framed.extent_px[0] * framed.extent_px[1], 1.0) / len(framed.xy))
        radius_px = float(np.clip(_SPLAT * spacing_px, 1.0, self._side_px / 40))
        names = np.arange(len(framed.xy), dtype=np.int32)
        radius = round(radius_px * kernels.SUBPIXELS)
        self._loops.draw_points(framed.xy, framed.depth, names, radius, nearest, owner)

    def _draw_lines(self, model: Model, framed: Frame, nearest: Any, owner: Any) -> None:
        """Faces seen from their edge, or without an area, cover no pixel's middle: their sides are drawn."""
        xy, depth, names = _line_points(model.faces, framed)
        self._loops.draw_points(xy, depth, names, kernels.SUBPIXELS, nearest, owner)

    def _shade(self, model: Model, axes: FloatArray, framed: Frame, owner: Any, picture: Any) -> None:
        shape, faces, normals = model.shape, model.faces, model.normals
        if model.is_cloud:  # each point a face of its own
            faces = np.repeat(np.arange(len(model.points), dtype=np.int32)[:, None], 3, axis=1)
            normals = np.repeat(normals[:, None, :], 3, axis=1)
        kind, colours = 0, _NO_COLOURS
        uv, texture = _NO_UV, _NO_TEXTURE
        if shape.texture is not None and shape.uv is not None:
            kind, uv, texture = 3, shape.uv, shape.texture
        elif shape.vertex_colours is not None:
            kind, colours = 1, shape.vertex_colours
        elif shape.face_colours is not None and not model.is_cloud:
            kind, colours = 2, shape.face_colours
        self._loops.shade(framed.xy, faces, normals, axes, colours, kind, uv, texture, owner, picture)


_NO_COLOURS = np.zeros((0, 3), dtype=np.uint8)
_NO_UV = np.zeros((0, 2), dtype=np.float64)
_NO_TEXTURE = np.zeros((1, 1, 3), dtype=np.uint8)


def _too_thin(seen: npt.NDArray[np.bool_], framed: Frame) -> bool:
    longest = max(framed.extent_px)
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    if not len(columns):
        return True
    drawn = max(columns[-1] - columns[0], rows[-1] - rows[0]) + 1
    return bool(drawn < 0.9 * longest or seen.sum() < longest)


def _line_points(faces: Any, framed: Frame) -> tuple[Any, Any, Any]:
    """Points along all sides of all faces, half a pixel apart; fewer where there are very many."""
    start = np.concatenate([faces[:, corner] for corner in (0, 1, 2)])
    end = np.concatenate([faces[:, corner] for corner in (1, 2, 0)])
    names = np.tile(np.arange(len(faces), dtype=np.int32), 3)
    step = kernels.SUBPIXELS // 2
    while True:
        counts = np.abs(framed.xy[end] - framed.xy[start]).max(axis=1) // step + 1
        if counts.sum() <= max(_LINE_BUDGET, len(counts)):
            break
        step *= 2
    line = np.repeat(np.arange(len(start)), counts)
    part = (np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[line]
    gap = framed.xy[end] - framed.xy[start]
    xy = framed.xy[start][line] + np.rint(gap[line] * part[:, None]).astype(np.int64)
    rise = framed.depth[end] - framed.depth[start]
    return xy, framed.depth[start][line] + rise[line] * part, names[line]
