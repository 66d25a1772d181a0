"""What the views show: all of the specimen, never nothing, the same pixels in any unit and place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from multimodal_search.errors import SettingsError, SkipInput
from multimodal_search.rendering.cameras import cameras
from multimodal_search.rendering.model import prepare
from multimodal_search.rendering.renderer import open_renderer, parse_colour
from multimodal_search.rendering.shape import Shape, checked
from multimodal_search.rendering.shapes import CLASSES, turned
from multimodal_search.rendering.views import Looks, coverage, draw_views
from multimodal_search.rendering.zbuffer import ZBuffer

LOOKS = Looks(views=12, size=192)
RENDERER = ZBuffer(192, (255, 255, 255))


def drawn(shape: Shape, looks: Looks = LOOKS) -> list[bytes]:
    return [one.pixels.tobytes() for one in draw_views(checked(shape), RENDERER, looks)]


def thin(name: str) -> Shape:
    """Specimens that a view may miss: a stick, a plane, a line, three points."""
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float64)
    sides = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    if name == "plane":
        return Shape(square, sides)
    if name == "line":
        return Shape(square[[0, 2, 0]] * 3, sides[:1])
    if name == "points":
        return Shape(square[:3], sides[:0])
    stick = CLASSES["bone"](np.random.default_rng(0))
    return dataclasses.replace(stick, vertices=stick.vertices * [0.02, 0.02, 1])


@pytest.mark.parametrize("name", [*sorted(CLASSES), "plane", "line", "points", "stick"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_view_shows_the_whole_specimen(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    shape = CLASSES[name](generator) if name in CLASSES else thin(name)
    looks = dataclasses.replace(LOOKS, seed=seed)
    for picture in draw_views(checked(turned(shape, generator)), RENDERER, looks):
        assert coverage(picture) >= 0.3
        rim = np.concatenate([picture.seen[0], picture.seen[-1], picture.seen[:, 0], picture.seen[:, -1]])
        assert not rim.any(), "it reaches over the rim"
        assert (picture.pixels[~picture.seen] == 255).all()
        assert (picture.pixels[picture.seen] < 250).any(axis=1).all(), "white on white"


def test_a_camera_along_an_edge_and_along_a_stick() -> None:
    for shape in (thin("plane"), thin("stick"), thin("line")):
        ready = prepare(checked(shape))
        for axes in (np.eye(3), np.eye(3)[[1, 2, 0]], np.eye(3)[[2, 0, 1]]):
            assert coverage(RENDERER.draw(ready, axes)) >= 0.3


@pytest.mark.parametrize("name", ["tooth", "shell", "cube"])
@pytest.mark.parametrize("unit", [0.001, 25.4, 1 / 3, 1e9, 1e-30])
@pytest.mark.parametrize("moved", [0.0, 0.1, 1000.1])
def test_unit_and_place_change_no_pixel(name: str, unit: float, moved: float) -> None:
    shape = CLASSES[name](np.random.default_rng(5))
    other = dataclasses.replace(shape, vertices=(shape.vertices + np.array([1, -3, 1 / 7]) * moved) * unit)
    looks = dataclasses.replace(LOOKS, views=4)
    assert drawn(other, looks) == drawn(shape, looks)


@pytest.mark.parametrize("name", ["tooth", "shell", "horn"])
def test_aligned_specimens_look_the_same_however_they_were_turned(name: str) -> None:
    generator = np.random.default_rng(2)
    shape = CLASSES[name](generator)
    looks = dataclasses.replace(LOOKS, views=4)
    for aligned, least in (("none", 0.0), ("principal", 0.98)):
        looks = dataclasses.replace(looks, align=aligned)
        one, other = (list(draw_views(turned(shape, generator), RENDERER, looks)) for _ in range(2))
        shares = [(a.seen & b.seen).sum() / (a.seen | b.seen).sum() for a, b in zip(one, other, strict=True)]
        assert min(shares) >= least
        assert least or min(shares) < 0.9


def test_the_same_twice(lumpy: Shape) -> None:
    assert drawn(lumpy) == drawn(lumpy)


def test_inverted_and_mixed_normals_change_no_light(lumpy: Shape) -> None:
    plain = dataclasses.replace(lumpy, vertex_colours=None)
    mixed = plain.faces.copy()
    mixed[::3] = mixed[::3, [1, 0, 2]]
    for faces in (plain.faces[:, [1, 0, 2]], mixed):
        for own, other in zip(
            draw_views(plain, RENDERER, LOOKS),
            draw_views(dataclasses.replace(plain, faces=np.ascontiguousarray(faces)), RENDERER, LOOKS),
            strict=True,
        ):
            # corners are summed in another order: the last bit of a shade may round the other way
            assert np.abs(own.pixels.astype(int) - other.pixels).max() <= 1


def test_cameras_are_spread_evenly_and_right_handed() -> None:
    for views in (1, 2, 6, 12, 40):
        for seed in (0, 7):
            axes = cameras(views, seed=seed)
            assert axes.shape == (views, 3, 3)
            np.testing.assert_allclose(
                axes @ axes.transpose(0, 2, 1), np.eye(3)[None].repeat(views, 0), atol=1e-8
            )
            np.testing.assert_allclose(np.linalg.det(axes), 1, atol=1e-8)
            towards = axes[:, 2]
            apart = np.degrees(np.arccos(np.clip(towards @ towards.T, -1, 1)) + 10 * np.eye(views))
            if views > 1:
                assert apart.min() > 0.7 * np.degrees(np.sqrt(4 * np.pi / views)) * 0.9
    assert not np.allclose(cameras(12, seed=0), cameras(12, seed=1))


def test_rings_of_cameras() -> None:
    axes = cameras(12, elevations=(-30, 0, 45))
    high = np.degrees(np.arcsin(axes[:, 2, 2])).round(3)
    assert sorted(high.tolist()) == sorted([-30.0, 0.0, 45.0] * 4)
    assert (axes[:, 1, 2] > 0).all(), "up is up"


@pytest.mark.parametrize(
    ("vertices", "faces", "words"),
    [
        ([[0, 0, 0], [1, 0, 0], [0, np.nan, 0]], [[0, 1, 2]], "NaN"),
        ([[0, 0, 0], [1, 0, 0], [0, np.inf, 0]], [[0, 1, 2]], "infinite"),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 3]], "outside"),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, -1]], "outside"),
        ([[2, 2, 2]] * 3, [[0, 1, 2]], "one place"),
        ([[0, 0, 0], [1e300, 0, 0], [0, 1, 0]], [[0, 1, 2]], "too large"),
        ([[-1.7e308, 0, 0], [1.7e308, 0, 0], [0, 1, 0]], [[0, 1, 2]], "too large"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "no vertices"),
    ],
)
def test_what_cannot_be_drawn_has_a_reason(vertices: object, faces: object, words: str) -> None:
    with pytest.raises(SkipInput, match=words):
        checked(Shape(np.array(vertices, dtype=np.float64), np.array(faces, dtype=np.int32)))


def test_a_stray_vertex_does_not_count(lumpy: Shape) -> None:
    vertices = np.concatenate([lumpy.vertices, [[1e6, np.nan, 0]]])
    colours = np.concatenate([lumpy.vertex_colours, [[0, 0, 0]]]).astype(np.uint8)
    stray = Shape(vertices, lumpy.faces, colours)
    assert drawn(stray) == drawn(lumpy)


def test_background_and_colours_of_pictures(lumpy: Shape) -> None:
    picture = next(draw_views(lumpy, open_renderer("zbuffer", 64, "#102030"), Looks(views=1, size=64)))
    assert (picture.pixels[~picture.seen] == [0x10, 0x20, 0x30]).all()
    assert parse_colour("Black") == (0, 0, 0)
    for wrong in ("blue-ish", "#12345", "#gggggg", "123456"):
        with pytest.raises(SettingsError, match="background"):
            parse_colour(wrong)
