"""A mesh or a point cloud as it was read, and the checks that come before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from multimodal_search.errors import SkipInput
from multimodal_search.types import FloatArray

Colours = npt.NDArray[np.uint8]
Faces = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file holds.

    Attributes:
        vertices: (n, 3) float64, in the file's own unit and place.
        faces: (m, 3) rows of ``vertices``; no rows for a point cloud.
        vertex_colours: (n, 3), where the file has them.
        face_colours: (m, 3), where the file has them.
        uv: (n, 2) places in the texture, from its lower left corner.
        texture: (height, width, 3).
        notes: what was left out on the way, for the log.
    """

    vertices: FloatArray
    faces: Faces
    vertex_colours: Colours | None = None
    face_colours: Colours | None = None
    uv: FloatArray | None = None
    texture: Colours | None = None
    notes: tuple[str, ...] = ()


def checked(shape: Shape) -> Shape:
    """The shape without vertices that no face uses, if it can be drawn.

    Raises:
        SkipInput: nothing to draw, faces that point outside the vertices, coordinates that are not finite,
            no extent.
    """
    count, faces = len(shape.vertices), shape.faces
    if not count:
        raise SkipInput("no vertices")
    if len(faces):
        outside = int(((faces < 0) | (faces >= count)).any(axis=1).sum())
        if outside:
            raise SkipInput(f"{outside} of {len(faces)} faces point outside the {count} vertices")
        shape = _without_unused(shape)
    bad = int((~np.isfinite(shape.vertices)).any(axis=1).sum())
    if bad:
        raise SkipInput(f"{bad} of {len(shape.vertices)} vertices are NaN or infinite")
    with np.errstate(over="ignore"):
        extent = shape.vertices.max(axis=0) - shape.vertices.min(axis=0)
    if not np.isfinite(extent).all() or extent.max() > 1e150:  # squares must be finite, too
        raise SkipInput("the coordinates are too large to be told apart")
    if not extent.max() > 1e-150:
        raise SkipInput("no extent: all vertices lie in one place")
    return shape


def _without_unused(shape: Shape) -> Shape:
    """A stray vertex far away would make the specimen a dot in its own picture."""
    used = np.zeros(len(shape.vertices), dtype=np.bool_)
    used[shape.faces.ravel()] = True
    if used.all():
        return shape
    number = np.cumsum(used) - 1
    return replace(
        shape,
        vertices=shape.vertices[used],
        faces=number[shape.faces].astype(np.int32),
        vertex_colours=None if shape.vertex_colours is None else shape.vertex_colours[used],
        uv=None if shape.uv is None else shape.uv[used],
        notes=(*shape.notes, f"{int((~used).sum())} vertices that no face uses are left out"),
    )
