"""What the compiled loops of ``kernels.py`` compute, in plain numpy: slow, short, compared by bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_search.rendering.kernels import (
    AMBIENT,
    BUSIEST,
    CREASE_COSINE,
    FILL,
    FILL_LIGHT,
    KEY,
    KEY_LIGHT,
    PLAIN_GREY,
    SUBPIXELS,
)

_HALF = SUBPIXELS // 2


def corner_normals(points: Any, faces: Any, welded: Any) -> Any:
    """See ``kernels.corner_normals``."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    u, v = b - a, c - a
    flat = np.stack(
        [
            u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1],
            u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2],
            u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0],
        ],
        axis=1,
    )
    length = np.sqrt((flat[:, 0] ** 2 + flat[:, 1] ** 2) + flat[:, 2] ** 2)
    around = welded[faces]
    normals = np.zeros((len(faces), 3, 3), dtype=np.float32)
    for face, corner in np.ndindex(len(faces), 3):
        total = flat[face].copy()
        near = np.flatnonzero((around == around[face, corner]).any(axis=1))
        near = np.repeat(near, (around[near] == around[face, corner]).sum(axis=1))
        if length[face] == 0.0:
            total[:] = 0.0
        elif len(near) <= BUSIEST:
            total[:] = 0.0
            for other in near:
                dot = (flat[face, 0] * flat[other, 0] + flat[face, 1] * flat[other, 1]) + flat[
                    face, 2
                ] * flat[other, 2]
                if abs(dot) > CREASE_COSINE * (length[face] * length[other]):
                    total += (1.0 if dot > 0 else -1.0) * flat[other]
        size = np.sqrt((total[0] ** 2 + total[1] ** 2) + total[2] ** 2)
        normals[face, corner] = total / size if size else (0.0, 0.0, 1.0)
    return normals


def draw_faces(xy: Any, depth: Any, faces: Any, nearest: Any, owner: Any, budget: int) -> bool:
    """See ``kernels.draw_faces``."""
    height, width = nearest.shape
    looked_at = 0
    for number, face in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = xy[face].tolist()
        za, zb, zc = depth[face].tolist()
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        if area < 0:
            bx, by, cx, cy, area, zb, zc = cx, cy, bx, by, -area, zc, zb
        columns = np.arange(max(-(-(min(ax, bx, cx) - _HALF) // SUBPIXELS), 0),
                            min((max(ax, bx, cx) - _HALF) // SUBPIXELS, width - 1) + 1)  # fmt: skip
        rows = np.arange(max(-(-(min(ay, by, cy) - _HALF) // SUBPIXELS), 0),
                         min((max(ay, by, cy) - _HALF) // SUBPIXELS, height - 1) + 1)  # fmt: skip
        looked_at += len(rows) * len(columns)
        if looked_at > budget:
            return False
        py, px = np.meshgrid(rows * SUBPIXELS + _HALF, columns * SUBPIXELS + _HALF, indexing="ij")
        inside = np.ones(px.shape, dtype=np.bool_)
        weights = []
        for (sx, sy), (ex, ey) in (
            ((bx, by), (cx, cy)), ((cx, cy), (ax, ay)), ((ax, ay), (bx, by)),
        ):  # fmt: skip
            weight = (ex - sx) * (py - sy) - (ey - sy) * (px - sx)
            kept = ey < sy or (ey == sy and ex > sx)
            inside &= weight >= (0 if kept else 1)
            weights.append(weight)
        z = ((weights[0] * za + weights[1] * zb) + weights[2] * zc) / area
        own_nearest, own_owner = nearest[np.ix_(rows, columns)], owner[np.ix_(rows, columns)]
        seen = inside & (z > own_nearest)
        nearest[np.ix_(rows, columns)] = np.where(seen, z, own_nearest)
        owner[np.ix_(rows, columns)] = np.where(seen, number, own_owner)
    return True


def draw_points(xy: Any, depth: Any, names: Any, radius: Any, nearest: Any, owner: Any) -> None:
    """See ``kernels.draw_points``."""
    height, width = nearest.shape
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    for (x, y), z, name in zip(xy.tolist(), depth.tolist(), names.tolist(), strict=True):
        dx, dy = columns * SUBPIXELS + _HALF - x, rows * SUBPIXELS + _HALF - y
        own = (rows == y // SUBPIXELS) & (columns == x // SUBPIXELS)
        seen = (own | (dx * dx + dy * dy <= radius * radius)) & (z > nearest)
        nearest[seen], owner[seen] = z, name


def shade(
    xy: Any, faces: Any, normals: Any, axes: Any, colours: Any, kind: Any, uv: Any, texture: Any,
    owner: Any, picture: Any,
) -> None:  # fmt: skip
    """See ``kernels.shade``."""
    rows, columns = np.nonzero(owner >= 0)
    face = owner[rows, columns]
    corners = faces[face]
    (ax, ay), (bx, by), (cx, cy) = (xy[corners[:, corner]].T for corner in range(3))
    px, py = columns * SUBPIXELS + _HALF, rows * SUBPIXELS + _HALF
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    whole = np.where(area == 0, 1, area)
    sb = np.where(area == 0, 0.0, ((ax - cx) * (py - cy) - (ay - cy) * (px - cx)) / whole)
    sc = np.where(area == 0, 0.0, ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / whole)
    beside = (sb < 0) | (sc < 0) | (sb + sc > 1)
    sb, sc = np.where(beside, 0.0, sb), np.where(beside, 0.0, sc)
    sa = (1.0 - sb) - sc
    light = _light(normals[face].astype(np.float64), sa, sb, sc, axes)
    for channel in range(3):
        value = np.full(len(face), PLAIN_GREY)
        if kind == 1:
            one, two, three = (colours[corners[:, corner], channel] for corner in range(3))
            value = (sa * one + sb * two) + sc * three
        elif kind == 2:
            value = colours[face, channel].astype(np.float64)
        elif kind == 3:
            u, v = (
                (sa * uv[corners[:, 0], axis] + sb * uv[corners[:, 1], axis]) + sc * uv[corners[:, 2], axis]
                for axis in range(2)
            )
            value = _texel(texture[:, :, channel], u, v)
        picture[rows, columns, channel] = np.floor(light * value + 0.5).astype(np.uint8)


def _light(normals: Any, sa: Any, sb: Any, sc: Any, axes: Any) -> Any:
    x, y, z = (
        (sa * normals[:, 0, axis] + sb * normals[:, 1, axis]) + sc * normals[:, 2, axis] for axis in range(3)
    )
    length = np.sqrt((x * x + y * y) + z * z)
    whole = np.where(length == 0, 1.0, length)
    right, up, towards = (((x * axis[0] + y * axis[1]) + z * axis[2]) / whole for axis in axes)
    behind = np.where(towards < 0, -1.0, 1.0)
    right, up, towards = right * behind, up * behind, towards * behind
    key, fill = (
        np.maximum((right * light[0] + up * light[1]) + towards * light[2], 0.0)
        for light in (KEY_LIGHT, FILL_LIGHT)
    )
    return np.where(length == 0, AMBIENT, np.minimum((AMBIENT + KEY * key) + FILL * fill, 0.97))


def _texel(texture: Any, u: Any, v: Any) -> Any:
    height, width = texture.shape
    x, y = (u - np.floor(u)) * width - 0.5, (1.0 - (v - np.floor(v))) * height - 0.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    x0, y0 = left.astype(np.int64) % width, top.astype(np.int64) % height
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    upper = (1.0 - fx) * texture[y0, x0] + fx * texture[y0, x1]
    lower = (1.0 - fx) * texture[y1, x0] + fx * texture[y1, x1]
    return (1.0 - fy) * upper + fy * lower
