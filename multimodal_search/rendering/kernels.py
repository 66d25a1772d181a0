"""The z-buffer's inner loops, compiled. ``reference.py`` says the same in plain numpy; tests compare bytes.

Places on the screen are integers (256 steps a pixel), so that which pixel belongs to which face is decided
exactly. Depth and light are float64, each expression written as the reference writes it, and nothing is
fused or reordered (no fastmath): the same bytes on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

SUBPIXELS = 256
NO_FACE = -1
CREASE_COSINE = 0.6
"""Faces that meet at less than about 53 degrees are shaded as one smooth surface."""
BUSIEST = 64  # faces around one vertex that are still compared, each with each
KEY_LIGHT, FILL_LIGHT = (-0.4, 0.5, 0.768), (0.6, -0.2, 0.775)
AMBIENT, KEY, FILL = 0.3, 0.55, 0.2
PLAIN_GREY = 215.0

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    options: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy"}
    try:
        made: F = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder that compiled code could be kept in
        made = numba.njit(**options)(function)
    return made


def corner_normals(points: Any, faces: Any, welded: Any) -> Any:
    """(m, 3, 3) float32 unit normals of the faces' corners.

    A corner's normal is the sum, weighted by area, of the faces around its place that meet at less than the
    crease's angle. Which side of a face is out does not matter: neighbours count turned the same way.
    """
    flat = _face_normals(points, faces)
    around = welded[faces]
    counts = np.bincount(around.ravel(), minlength=int(welded.max()) + 1)
    start = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=start[1:])
    return _smoothed(flat, around, start, _incident(around, start))


@_compiled
def _face_normals(points: Any, faces: Any) -> Any:
    """(m, 4): the cross product of two sides (its length is twice the area), and that length."""
    flat = np.empty((len(faces), 4), dtype=np.float64)
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        flat[face, 0], flat[face, 1], flat[face, 2] = x, y, z
        flat[face, 3] = math.sqrt((x * x + y * y) + z * z)
    return flat


@_compiled
def _incident(around: Any, start: Any) -> Any:
    """Faces around each place, in their order, where ``start`` says."""
    filled = start[:-1].copy()
    faces = np.empty(start[-1], dtype=np.int32)
    for face in range(len(around)):
        for corner in range(3):
            place = around[face, corner]
            faces[filled[place]] = face
            filled[place] += 1
    return faces


@_compiled
def _smoothed(flat: Any, around: Any, start: Any, incident: Any) -> Any:
    normals = np.zeros((len(flat), 3, 3), dtype=np.float32)
    for face in range(len(flat)):
        own = flat[face, 3]
        if own == 0.0:
            for corner in range(3):
                normals[face, corner, 2] = 1.0
            continue
        for corner in range(3):
            place = around[face, corner]
            x, y, z = 0.0, 0.0, 0.0
            if start[place + 1] - start[place] > BUSIEST:
                x, y, z = flat[face, 0], flat[face, 1], flat[face, 2]
            else:
                for index in range(start[place], start[place + 1]):
                    other = incident[index]
                    dot = (flat[face, 0] * flat[other, 0] + flat[face, 1] * flat[other, 1]) + flat[
                        face, 2
                    ] * flat[other, 2]
                    if abs(dot) > CREASE_COSINE * (own * flat[other, 3]):
                        side = 1.0 if dot > 0 else -1.0
                        x += side * flat[other, 0]
                        y += side * flat[other, 1]
                        z += side * flat[other, 2]
            length = math.sqrt((x * x + y * y) + z * z)
            if length == 0.0:  # the face is smaller than a step of the grid
                normals[face, corner, 2] = 1.0
            else:
                normals[face, corner, 0] = x / length
                normals[face, corner, 1] = y / length
                normals[face, corner, 2] = z / length
    return normals


@_compiled
def draw_faces(xy: Any, depth: Any, faces: Any, nearest: Any, owner: Any, budget: int) -> Any:
    """Which face each pixel shows.

    Args:
        xy: (n, 2) int64 places on the screen, in steps of 1/256 pixel, y downwards.
        depth: (n,) float64, larger is nearer.
        nearest: (height, width) float64, changed: depth of what is seen.
        owner: (height, width) int32, changed: the face that is seen. Of equally near ones the first.
        budget: pixels that may be looked at, over all faces.

    Returns:
        Whether the budget was enough.
    """
    height, width = nearest.shape
    half = SUBPIXELS // 2
    looked_at = 0
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, bx, by, cx, cy = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], xy[c, 0], xy[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        if area < 0:
            b, c, bx, by, cx, cy, area = c, b, cx, cy, bx, by, -area
        left = max((min(ax, bx, cx) - half + SUBPIXELS - 1) // SUBPIXELS, 0)
        right = min((max(ax, bx, cx) - half) // SUBPIXELS, width - 1)
        top = max((min(ay, by, cy) - half + SUBPIXELS - 1) // SUBPIXELS, 0)
        bottom = min((max(ay, by, cy) - half) // SUBPIXELS, height - 1)
        if left > right or top > bottom:
            continue
        looked_at += (right - left + 1) * (bottom - top + 1)
        if looked_at > budget:
            return False
        # a pixel on a side that two faces share belongs to one of them: the one whose top or left side it is
        skip_a = 0 if (cy - by < 0 or (cy == by and cx > bx)) else 1
        skip_b = 0 if (ay - cy < 0 or (ay == cy and ax > cx)) else 1
        skip_c = 0 if (by - ay < 0 or (by == ay and bx > ax)) else 1
        for row in range(top, bottom + 1):
            py = row * SUBPIXELS + half
            for column in range(left, right + 1):
                px = column * SUBPIXELS + half
                wa = (cx - bx) * (py - by) - (cy - by) * (px - bx)
                wb = (ax - cx) * (py - cy) - (ay - cy) * (px - cx)
                wc = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
                if wa < skip_a or wb < skip_b or wc < skip_c:
                    continue
                z = ((wa * depth[a] + wb * depth[b]) + wc * depth[c]) / area
                if z > nearest[row, column]:
                    nearest[row, column] = z
                    owner[row, column] = face
    return True


@_compiled
def draw_points(xy: Any, depth: Any, names: Any, radius: Any, nearest: Any, owner: Any) -> None:
    """Round splats that face the camera, ``radius`` in steps of 1/256 pixel; at least the nearest pixel."""
    height, width = nearest.shape
    half = SUBPIXELS // 2
    for point in range(len(xy)):
        x, y, z, name = xy[point, 0], xy[point, 1], depth[point], names[point]
        for row in range(max((y - radius) // SUBPIXELS, 0), min((y + radius) // SUBPIXELS, height - 1) + 1):
            dy = row * SUBPIXELS + half - y
            for column in range(
                max((x - radius) // SUBPIXELS, 0), min((x + radius) // SUBPIXELS, width - 1) + 1
            ):
                dx = column * SUBPIXELS + half - x
                own = row == y // SUBPIXELS and column == x // SUBPIXELS
                if (own or dx * dx + dy * dy <= radius * radius) and z > nearest[row, column]:
                    nearest[row, column] = z
                    owner[row, column] = name


@_compiled
def shade(
    xy: Any, faces: Any, normals: Any, axes: Any, colours: Any, kind: Any, uv: Any, texture: Any,
    owner: Any, picture: Any,
) -> None:  # fmt: skip
    """Light and colour of the pixels that show a face.

    Args:
        normals: (m, 3, 3) of the corners.
        axes: (3, 3) right, up, towards the camera.
        colours: (n, 3) of vertices where ``kind`` is 1, (m, 3) of faces where it is 2.
        kind: 0 plain, 1 and 2 see above, 3 from ``texture`` (height, width, 3) at ``uv`` (n, 2).
        picture: (height, width, 3) uint8, changed.
    """
    half = SUBPIXELS // 2
    for row in range(owner.shape[0]):
        for column in range(owner.shape[1]):
            face = owner[row, column]
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            ax, ay, bx, by, cx, cy = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], xy[c, 0], xy[c, 1]
            px, py = column * SUBPIXELS + half, row * SUBPIXELS + half
            area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            sb, sc = 0.0, 0.0
            if area != 0:
                sb = ((ax - cx) * (py - cy) - (ay - cy) * (px - cx)) / area
                sc = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
                if sb < 0.0 or sc < 0.0 or sb + sc > 1.0:  # a line's pixel beside its face
                    sb, sc = 0.0, 0.0
            sa = (1.0 - sb) - sc
            light = _light(normals[face], sa, sb, sc, axes)
            for channel in range(3):
                value = PLAIN_GREY
                if kind == 1:
                    value = (sa * colours[a, channel] + sb * colours[b, channel]) + sc * colours[c, channel]
                elif kind == 2:
                    value = float(colours[face, channel])
                elif kind == 3:
                    u = (sa * uv[a, 0] + sb * uv[b, 0]) + sc * uv[c, 0]
                    v = (sa * uv[a, 1] + sb * uv[b, 1]) + sc * uv[c, 1]
                    value = _texel(texture, u, v, channel)
                picture[row, column, channel] = math.floor(light * value + 0.5)


@_compiled
def _light(normals: Any, sa: Any, sb: Any, sc: Any, axes: Any) -> Any:
    x = (sa * normals[0, 0] + sb * normals[1, 0]) + sc * normals[2, 0]
    y = (sa * normals[0, 1] + sb * normals[1, 1]) + sc * normals[2, 1]
    z = (sa * normals[0, 2] + sb * normals[1, 2]) + sc * normals[2, 2]
    length = math.sqrt((x * x + y * y) + z * z)
    if length == 0.0:
        return AMBIENT
    right = ((x * axes[0, 0] + y * axes[0, 1]) + z * axes[0, 2]) / length
    up = ((x * axes[1, 0] + y * axes[1, 1]) + z * axes[1, 2]) / length
    towards = ((x * axes[2, 0] + y * axes[2, 1]) + z * axes[2, 2]) / length
    if towards < 0.0:  # seen from behind, or inside out: both sides are lit
        right, up, towards = -right, -up, -towards
    key = max((right * KEY_LIGHT[0] + up * KEY_LIGHT[1]) + towards * KEY_LIGHT[2], 0.0)
    fill = max((right * FILL_LIGHT[0] + up * FILL_LIGHT[1]) + towards * FILL_LIGHT[2], 0.0)
    return min((AMBIENT + KEY * key) + FILL * fill, 0.97)  # white on white shows its form, still


@_compiled
def _texel(texture: Any, u: Any, v: Any, channel: Any) -> Any:
    """Bilinear; the texture repeats, v points up."""
    height, width = texture.shape[0], texture.shape[1]
    x = (u - math.floor(u)) * width - 0.5
    y = (1.0 - (v - math.floor(v))) * height - 0.5
    left, top = math.floor(x), math.floor(y)
    fx, fy = x - left, y - top
    x0, y0 = int(left) % width, int(top) % height
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    upper = (1.0 - fx) * texture[y0, x0, channel] + fx * texture[y0, x1, channel]
    lower = (1.0 - fx) * texture[y1, x0, channel] + fx * texture[y1, x1, channel]
    return (1.0 - fy) * upper + fy * lower
