"""A shape made ready to be drawn: one size, one place, one unit, and normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multimodal_search.rendering import kernels
from multimodal_search.rendering.framing import along
from multimodal_search.rendering.shape import Colours, Faces, Shape
from multimodal_search.types import FloatArray

STEPS = 1 << 19
"""Steps of the grid from the middle to the rim: what changing a unit rounds off is lost here, unseen."""

_NEIGHBOURS = 16
_NORMAL_STEPS = 256.0
_AXIS_STEPS = 2.0**30  # libraries differ in the last bits
_TURNS = {"z": (0, 1, 2), "y": (2, 0, 1), "x": (1, 2, 0)}


@dataclass(frozen=True, slots=True)
class Model:
    """What a renderer draws.

    Attributes:
        points: (n, 3) float64 in the unit ball around the middle of the bounding box; z is up.
        faces: (m, 3) rows of ``points``; none for a point cloud.
        normals: (m, 3, 3) float32, of each corner of each face; (n, 3) of a point cloud.
        shape: where colours and texture are.
    """

    points: FloatArray
    faces: Faces
    normals: npt.NDArray[np.float32]
    shape: Shape

    @property
    def is_cloud(self) -> bool:
        return len(self.faces) == 0


def prepare(shape: Shape, up: str = "z", *, aligned: bool = False) -> Model:
    """Centre by the bounding box, scale so that the farthest point touches the unit ball, snap to a grid.

    Scaling by the farthest point and not by a side keeps the size of a specimen that was turned.

    Args:
        shape: checked.
        up: axis of the file that points up.
        aligned: turn it to its own axes first (see ``_own_axes``).
    """
    points = _snapped(shape.vertices[:, _TURNS[up]])
    if aligned:
        points = _snapped(np.stack([along(points, axis) for axis in _own_axes(points, shape.faces)], axis=1))
    if not len(shape.faces):
        return Model(points, shape.faces, _cloud_normals(points), shape)
    welded = _welded(points)
    return Model(points, shape.faces, kernels.corner_normals(points, shape.faces, welded), shape)


def _own_axes(points: FloatArray, faces: Faces) -> FloatArray:
    """(3, 3) rows: the direction in which the specimen extends most, the next, and the least, which is up.

    Principal axes of the surface (of the points, without faces), each turned so that the longer tail is on
    its positive side; the last one follows from the other two, so that nothing is mirrored.
    """
    places, weights = points, np.ones(len(points))
    if len(faces):
        corners = points[faces]
        u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area = np.sqrt(np.square(np.cross(u, v)).sum(axis=1))
        if area.any():
            places, weights = corners.mean(axis=1), area
    weights = weights / weights.sum()
    centred = places - (places * weights[:, None]).sum(axis=0)
    spread = np.array([[(one * other * weights).sum() for other in centred.T] for one in centred.T])
    first, second = np.linalg.eigh(spread)[1].T[[2, 1]]
    axes = []
    for axis in (first, second):
        tail = (along(centred, axis) ** 3 * weights).sum()
        axes.append(axis if tail >= 0 else -axis)
    rows = np.stack([axes[0], axes[1], np.cross(axes[0], axes[1])])
    return np.asarray(np.rint(rows * _AXIS_STEPS) / _AXIS_STEPS)


def _snapped(vertices: FloatArray) -> FloatArray:
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    centred = vertices - (low + (high - low) / 2)
    centred /= np.abs(centred).max()  # squares of very small or large numbers would be lost
    x, y, z = centred.T
    far = np.sqrt((x * x + y * y + z * z).max())
    snapped: FloatArray = np.rint(centred * (STEPS / far)) / STEPS
    return np.ascontiguousarray(snapped)


def _welded(points: FloatArray) -> npt.NDArray[np.int64]:
    """(n,) equal numbers for points in one place: files of triangles name each corner anew."""
    grid = (points * STEPS).astype(np.int64) + STEPS
    keys = (grid[:, 0] << 42) | (grid[:, 1] << 21) | grid[:, 2]
    _, number = np.unique(keys, return_inverse=True)
    return np.asarray(number.reshape(-1), dtype=np.int64)


def _cloud_normals(points: FloatArray) -> npt.NDArray[np.float32]:
    """(n, 3) normals by the flattest direction of each point's neighbourhood; which side is out is open."""
    from scipy.spatial import cKDTree

    normals = np.zeros((len(points), 3), dtype=np.float32)
    if len(points) < 4:
        normals[:, 2] = 1.0
        return normals
    near = cKDTree(points).query(points, min(_NEIGHBOURS, len(points)))[1]
    for start in range(0, len(points), 65_536):
        around = points[near[start : start + 65_536]]
        around = around - around.mean(axis=1, keepdims=True)
        spread = (around[:, :, :, None] * around[:, :, None, :]).sum(axis=1)
        flattest = np.linalg.eigh(spread)[1][:, :, 0]
        normals[start : start + 65_536] = np.rint(flattest * _NORMAL_STEPS) / _NORMAL_STEPS
    return normals


def vertex_or_plain(colours: Colours | None) -> Colours:
    """Colours for a compiled loop, which takes no None."""
    return np.zeros((0, 3), dtype=np.uint8) if colours is None else np.ascontiguousarray(colours)
