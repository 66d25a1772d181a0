"""The compiled loops give the bytes of the plain numpy reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.rendering import kernels, model, reference
from multimodal_search.rendering.cameras import cameras
from multimodal_search.rendering.shape import Shape
from multimodal_search.rendering.shapes import CLASSES, ball
from multimodal_search.rendering.zbuffer import ZBuffer

SIDE_PX = 64
WHITE = (255, 255, 255)


def compare(shape: Shape, side_px: int = SIDE_PX) -> None:
    ready = model.prepare(shape)
    if len(shape.faces):
        slow = reference.corner_normals(ready.points, ready.faces, model._welded(ready.points))
        assert ready.normals.tobytes() == slow.tobytes()
    fast, slow = ZBuffer(side_px, WHITE), ZBuffer(side_px, WHITE, loops=reference)
    for axes in cameras(3, seed=1):
        ours, theirs = fast.draw(ready, axes), slow.draw(ready, axes)
        assert ours.seen.tobytes() == theirs.seen.tobytes()
        assert ours.pixels.tobytes() == theirs.pixels.tobytes()
        assert ours.seen.any()


def test_vertex_colours(lumpy: Shape) -> None:
    compare(lumpy)


def test_face_colours(lumpy: Shape) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (len(lumpy.faces), 3), dtype=np.uint8)
    compare(dataclasses.replace(lumpy, vertex_colours=None, face_colours=colours))


def test_texture(lumpy: Shape) -> None:
    generator = np.random.default_rng(0)
    texture = generator.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    uv = generator.uniform(-2, 3, (len(lumpy.vertices), 2))
    compare(dataclasses.replace(lumpy, vertex_colours=None, uv=uv, texture=texture))


def test_a_cloud(lumpy: Shape) -> None:
    compare(dataclasses.replace(lumpy, faces=np.zeros((0, 3), dtype=np.int32)))


def test_a_plane_seen_from_all_sides() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float64)
    compare(Shape(square, np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)))


def test_faces_without_area() -> None:
    line = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2.0]])
    compare(Shape(line, np.array([[0, 1, 2]], dtype=np.int32)))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_no_pixel_is_missed_between_faces(name: str) -> None:
    """A closed surface shows no background through the seams of its faces."""
    ready = model.prepare(CLASSES[name](np.random.default_rng(0)))
    for axes in cameras(2, seed=0):
        seen = ZBuffer(256, WHITE).draw(ready, axes).seen
        lonely = ~seen[1:-1, 1:-1] & seen[:-2, 1:-1] & seen[2:, 1:-1] & seen[1:-1, :-2] & seen[1:-1, 2:]
        assert lonely.sum() <= 2


@settings(max_examples=40)
@given(
    corners=st.lists(st.tuples(*[st.integers(-40_000, 60_000)] * 2), min_size=3, max_size=9),
    depths=st.lists(st.floats(-1, 1), min_size=9, max_size=9),
)
def test_any_triangles(corners: list[tuple[int, int]], depths: list[float]) -> None:
    xy = np.array(corners, dtype=np.int64)
    depth = np.array(depths[: len(xy)])
    faces = np.array([[i, (i + 1) % len(xy), (i + 2) % len(xy)] for i in range(len(xy))], dtype=np.int32)
    drawn = []
    for loops in (kernels, reference):
        nearest, owner = np.full((48, 56), -np.inf), np.full((48, 56), -1, dtype=np.int32)
        assert loops.draw_faces(xy, depth, faces, nearest, owner, 1 << 40)
        drawn.append((nearest.tobytes(), owner.tobytes()))
    assert drawn[0] == drawn[1]


def test_the_budget_stops_both() -> None:
    ready = model.prepare(ball(6, 8))
    xy = (ready.points[:, :2] * 5000 + 6000).astype(np.int64)
    for loops in (kernels, reference):
        nearest, owner = np.full((48, 48), -np.inf), np.full((48, 48), -1, dtype=np.int32)
        assert not loops.draw_faces(xy, ready.points[:, 2], ready.faces, nearest, owner, 100)
