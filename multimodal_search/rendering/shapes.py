"""Procedural specimens: classes of shapes that vary within a class, for the sample, tests and benchmarks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from multimodal_search.errors import DataError
from multimodal_search.rendering.shape import Faces, Shape
from multimodal_search.storage import ensure_writable_folder, write_atomically
from multimodal_search.types import FloatArray

LABELS_FILE = "labels.csv"


def grid_faces(rows: int, columns: int) -> Faces:
    """(m, 3) triangles of a (rows x columns) grid of vertices whose columns close to a ring."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    c, d = a + columns, b + columns
    faces = np.concatenate([np.stack([a, b, d], axis=-1), np.stack([a, d, c], axis=-1)])
    return np.asarray(faces.reshape(-1, 3), dtype=np.int32)


def surface(points: Callable[[FloatArray, FloatArray], list[FloatArray]], rows: int, columns: int) -> Shape:
    """A surface over u in [0, 1] (rows) and the angle v (columns, closed to a ring)."""
    u, v = np.meshgrid(
        np.linspace(0, 1, rows), np.linspace(0, 2 * math.pi, columns, endpoint=False), indexing="ij"
    )
    vertices = np.stack([np.broadcast_to(one, u.shape) for one in points(u, v)], axis=-1).reshape(-1, 3)
    return Shape(vertices.astype(np.float64), grid_faces(rows, columns))


def ball(rows: int = 48, columns: int = 96, bumps: int = 0, height: float = 0.0) -> Shape:
    """A ball, with bumps in rows and columns."""

    def points(u: FloatArray, v: FloatArray) -> list[FloatArray]:
        polar = math.pi * u
        radius = 1.0 + height * np.sin(bumps * v) * np.sin(bumps * polar)
        return [
            radius * np.sin(polar) * np.cos(v),
            radius * np.sin(polar) * np.sin(v),
            radius * np.cos(polar),
        ]

    return surface(points, rows, columns)


def _superquadric(sharp: float, waist: float, tall: float) -> Shape:
    """Barr 1981, "Superquadrics and angle-preserving transformations"."""

    def power(value: FloatArray, exponent: float) -> FloatArray:
        raised: FloatArray = np.sign(value) * np.abs(value) ** exponent
        return raised

    def points(u: FloatArray, v: FloatArray) -> list[FloatArray]:
        high = math.pi * (u - 0.5)
        flat = power(np.cos(high), waist)
        return [
            flat * power(np.cos(v), sharp),
            flat * power(np.sin(v), sharp),
            tall * power(np.sin(high), waist),
        ]

    return surface(points, 64, 96)


def _ring(thick: float, twist: int, depth: float) -> Shape:
    def points(u: FloatArray, v: FloatArray) -> list[FloatArray]:
        around = 2 * math.pi * u
        radius = thick * (1 + depth * np.cos(5 * (v + twist * around / 5)))
        return [
            (1 + radius * np.cos(v)) * np.cos(around),
            (1 + radius * np.cos(v)) * np.sin(around),
            radius * np.sin(v),
        ]

    return surface(points, 128, 48)


def _shell(turns: float, growth: float, rise: float) -> Shape:
    """A coiled shell (Raup 1966, "Geometric analysis of shell coiling")."""

    def points(u: FloatArray, v: FloatArray) -> list[FloatArray]:
        around = 2 * math.pi * turns * u
        size = growth ** (turns * (u - 1))
        radius = size * (1 + 0.45 * np.cos(v))
        return [
            radius * np.cos(around),
            radius * np.sin(around),
            size * (0.45 * np.sin(v)) - rise * (1 - size),
        ]

    return surface(points, 200, 32)


def _tooth(cusps: int, height: float, root: float) -> Shape:
    def points(u: FloatArray, v: FloatArray) -> list[FloatArray]:
        crown = np.clip(1.6 * u, 0, 1)
        radius = np.sin(math.pi * np.clip(u, 0.0, 0.999)) ** 0.5 * (1 - root * (1 - crown))
        cusp = height * np.clip(u - 0.6, 0, 1) * (1 + np.cos(cusps * v)) * radius
        return [1.2 * radius * np.cos(v), radius * np.sin(v), 2.2 * u + cusp]

    return surface(points, 80, 96)


def _bone(waist: float, length: float, head: float) -> Shape:
    def points(u: FloatArray, v: FloatArray) -> list[FloatArray]:
        along = 2 * u - 1
        radius = waist + head * np.abs(along) ** 6
        closing = np.sqrt(np.clip(1 - np.abs(along) ** 14, 0, None))
        knuckle = 1 + 0.35 * np.abs(along) ** 6 * np.cos(2 * v)
        return [radius * closing * knuckle * np.cos(v), radius * closing * np.sin(v), length * along]

    return surface(points, 96, 64)


def _horn(turns: float, length: float, ridges: int) -> Shape:
    def points(u: FloatArray, v: FloatArray) -> list[FloatArray]:
        radius = 0.35 * (1 - 0.97 * u) * (1 + 0.08 * np.sin(2 * math.pi * ridges * u))
        around = 2 * math.pi * turns * u
        return [
            0.6 * np.sin(around) + radius * np.cos(v),
            0.6 * (1 - np.cos(around)) + radius * np.sin(v),
            length * u,
        ]

    return surface(points, 160, 48)


def _star(arms: int, depth: float, flat: float) -> Shape:
    def points(u: FloatArray, v: FloatArray) -> list[FloatArray]:
        polar = math.pi * u
        radius = 1 - depth * (0.5 + 0.5 * np.cos(arms * v)) * np.sin(polar) ** 2
        return [
            radius * np.sin(polar) * np.cos(v),
            radius * np.sin(polar) * np.sin(v),
            flat * np.cos(polar),
        ]

    return surface(points, 64, 160)


def _between(low: float, high: float) -> Callable[[np.random.Generator], float]:
    return lambda generator: float(generator.uniform(low, high))


CLASSES: dict[str, Callable[[np.random.Generator], Shape]] = {
    "ball": lambda g: ball(48, 96, 0, 0.0),
    "bone": lambda g: _bone(_between(0.18, 0.26)(g), _between(1.9, 2.4)(g), _between(0.25, 0.35)(g)),
    "bumpy": lambda g: ball(96, 160, int(g.integers(7, 10)), _between(0.08, 0.14)(g)),
    "cube": lambda g: _superquadric(_between(0.1, 0.2)(g), _between(0.1, 0.2)(g), _between(0.9, 1.1)(g)),
    "horn": lambda g: _horn(_between(0.4, 0.6)(g), _between(1.6, 2.2)(g), int(g.integers(8, 14))),
    "plate": lambda g: _superquadric(_between(0.9, 1.1)(g), _between(0.1, 0.2)(g), _between(0.1, 0.2)(g)),
    "ring": lambda g: _ring(_between(0.18, 0.28)(g), 0, 0.0),
    "shell": lambda g: _shell(_between(2.6, 3.4)(g), _between(1.7, 2.1)(g), _between(0.8, 1.4)(g)),
    "spindle": lambda g: _superquadric(1.0, _between(1.8, 2.2)(g), _between(1.8, 2.4)(g)),
    "star": lambda g: _star(int(g.integers(5, 6)), _between(0.5, 0.6)(g), _between(0.25, 0.4)(g)),
    "tooth": lambda g: _tooth(int(g.integers(4, 5)), _between(0.8, 1.2)(g), _between(0.4, 0.6)(g)),
    "twist": lambda g: _ring(_between(0.25, 0.35)(g), int(g.integers(3, 5)), _between(0.25, 0.35)(g)),
}
"""A maker of one more of its kind, for each class."""


def turned(shape: Shape, generator: np.random.Generator) -> Shape:
    """The shape in a random position: turned, moved, and in another unit."""
    axes, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    axes = axes * np.sign(np.linalg.det(axes))
    vertices = shape.vertices @ axes * generator.uniform(0.1, 100.0) + generator.normal(size=3) * 10.0
    return Shape(vertices, shape.faces, shape.vertex_colours, shape.face_colours, shape.uv, shape.texture)


def write_ply(path: Path, shape: Shape) -> None:
    """Binary PLY with float64 places, and colours where there are any.

    Raises:
        OutputError: the disk is full or not writable.
    """
    colours = shape.vertex_colours
    fields = [(name, "<f8") for name in "xyz"]
    if colours is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue")]
    vertices = np.empty(len(shape.vertices), dtype=fields)
    for axis, name in enumerate("xyz"):
        vertices[name] = shape.vertices[:, axis]
    if colours is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            vertices[name] = colours[:, channel]
    faces = np.empty(len(shape.faces), dtype=[("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, shape.faces
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property {'double' if kind == '<f8' else 'uchar'} {name}" for name, kind in fields]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    with write_atomically(path) as file:
        file.write("\n".join(lines).encode() + vertices.tobytes() + faces.tobytes())


def write_sample(folder: Path, count: int, seed: int = 0) -> None:
    """``<class>/<class>-NNN.ply``, turned, moved and scaled at random, and ``labels.csv`` (id, label).

    Raises:
        DataError: fewer than one.
        OutputError: the disk is full or not writable.
    """
    if count < 1:
        raise DataError("No specimens were asked for.", remedy="at least one")
    generator = np.random.default_rng(seed)
    names = list(CLASSES)
    lines = ["id,label\n"]
    for number in range(count):
        name = names[number % len(names)]
        place = ensure_writable_folder(folder / name) / f"{name}-{number // len(names):03d}.ply"
        write_ply(place, turned(CLASSES[name](generator), generator))
        lines.append(f"{name}/{place.stem},{name}\n")
    with write_atomically(folder / LABELS_FILE, "w") as file:
        file.writelines([lines[0], *sorted(lines[1:])])
