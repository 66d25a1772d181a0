"""Pedestrians, cyclists and motorcyclists."""

from __future__ import annotations

import math
from itertools import pairwise

from multimodal_search.sources.sample.palette import Color, scaled
from multimodal_search.sources.sample.traffic import Placed
from multimodal_search.sources.sample.view import Point, View

_COATS: tuple[Color, ...] = (
    (206, 52, 48),
    (40, 92, 176),
    (236, 190, 60),
    (62, 142, 86),
    (222, 222, 226),
    (150, 66, 150),
    (232, 120, 44),
)
_TROUSERS: tuple[Color, ...] = ((42, 46, 62), (70, 62, 54), (96, 100, 108))
_SKIN: tuple[Color, ...] = ((232, 190, 156), (198, 148, 110), (140, 96, 68))
_DARK: Color = (28, 29, 32)


def _pick(colors: tuple[Color, ...], tint: float) -> Color:
    return colors[int(tint * 0.999 * len(colors))]


class _Frame:
    """Draws parts of a body given in its own frame: right, ahead, up."""

    def __init__(self, view: View, one: Placed) -> None:
        self.view = view
        self._one = one
        self._cos, self._sin = math.cos(one.yaw), math.sin(one.yaw)

    def at(self, u: float, v: float, z: float) -> Point:
        return (
            self._one.x + u * self._cos - v * self._sin,
            self._one.s + u * self._sin + v * self._cos,
            z,
        )

    def bar(self, start: Point, end: Point, width: float, color: Color) -> None:
        self.view.line(self.at(*start), self.at(*end), width, color)

    def ball(self, u: float, v: float, z: float, radius: float, color: Color, glow: float = 0.0) -> None:
        self.view.disc(*self.at(u, v, z), radius, color, glow)

    def wheel(self, v: float, radius: float, color: Color, width: float) -> None:
        ring = [
            self.at(0, v + radius * math.cos(k * math.pi / 6), radius + radius * math.sin(k * math.pi / 6))
            for k in range(13)
        ]
        for one, other in pairwise(ring):
            self.view.line(one, other, width, color)


def _shadow(body: _Frame, length: float) -> None:
    half = length / 2
    corners = ((-0.3, -half), (0.3, -half), (0.3, half), (-0.3, half))
    body.view.face([body.at(u, v, 0.0) for u, v in corners], scaled(body.view.palette.road(), 0.55))


def draw_pedestrian(view: View, one: Placed) -> None:
    """A walking figure; under an umbrella in the rain."""
    body = _Frame(view, one)
    _shadow(body, 0.6)
    stride = 0.34 * math.sin(one.walk * 4.2)
    coat, trousers = _pick(_COATS, one.tint), _pick(_TROUSERS, (one.tint * 7) % 1)
    skin = _pick(_SKIN, (one.tint * 13) % 1)
    for way in (-1, 1):
        body.bar((0.1 * way, 0, 0.88), (0.1 * way, stride * way, 0.05), 0.19, trousers)
    body.bar((0, 0, 0.8), (0, 0.02, 1.45), 0.5, coat)
    for way in (-1, 1):
        body.bar((0.26 * way, 0, 1.4), (0.28 * way, -stride * way, 0.9), 0.14, scaled(coat, 0.8))
    body.ball(0, 0.02, 1.63, 0.155, skin)
    body.ball(0, -0.03, 1.69, 0.13, _DARK)
    if view.palette.wet and one.tint > 0.25:
        umbrella = _pick(_COATS, (one.tint * 3) % 1)
        body.bar((0.2, 0.1, 1.2), (0.1, 0.1, 2.1), 0.04, _DARK)
        x, s, _ = body.at(0.1, 0.1, 0)
        dome = [
            (x + 0.62 * math.cos(k * math.pi / 6), s, 1.85 + 0.4 * math.sin(k * math.pi / 6))
            for k in range(7)
        ]
        view.face(dome, umbrella)


def _rider(body: _Frame, coat: Color, helmet: Color, seat: Point, hands: Point, foot_z: float) -> None:
    u, v, z = seat
    for way in (-1, 1):
        knee = (0.15 * way, v + 0.38, (z + foot_z) / 2 + 0.12 * way)
        body.bar((0.1 * way, v, z), knee, 0.19, (46, 50, 66))
        body.bar(knee, (0.14 * way, v + 0.22, foot_z + 0.1 * way), 0.16, (46, 50, 66))
    shoulder = (u, v + 0.24, z + 0.62)
    body.bar((u, v, z), shoulder, 0.46, coat)
    for way in (-1, 1):
        body.bar((0.2 * way, v + 0.22, z + 0.55), (0.26 * way, hands[1], hands[2]), 0.13, scaled(coat, 0.8))
    body.ball(0, v + 0.32, z + 0.82, 0.17, helmet)


def draw_cyclist(view: View, one: Placed) -> None:
    """A person on a bicycle: two thin wheels, a frame, a helmet."""
    body = _Frame(view, one)
    _shadow(body, 1.7)
    frame = _pick(_COATS, (one.tint * 5) % 1)
    for v in (0.52, -0.52):
        body.wheel(v, 0.36, _DARK, 0.06)
    body.bar((0, -0.52, 0.36), (0, -0.15, 0.85), 0.06, frame)
    body.bar((0, -0.15, 0.8), (0, 0.4, 0.85), 0.06, frame)
    body.bar((0, 0.0, 0.32), (0, 0.4, 0.85), 0.06, frame)
    body.bar((0, 0.52, 0.36), (0, 0.4, 1.0), 0.06, frame)
    _rider(
        body,
        _pick(_COATS, one.tint),
        _pick(_COATS, (one.tint * 11) % 1),
        (0, -0.2, 0.92),
        (0, 0.4, 1.02),
        0.3,
    )
    if view.palette.dark:
        body.ball(0, -0.6, 0.7, 0.08, (255, 40, 30), 0.95)


def draw_motorcycle(view: View, one: Placed) -> None:
    """A motorcyclist: thick wheels, a heavy body, a full helmet, a lamp."""
    body = _Frame(view, one)
    _shadow(body, 2.2)
    tank = _pick(((190, 30, 34), (30, 60, 150), (36, 38, 42), (220, 110, 20)), one.tint)
    for v in (0.72, -0.72):
        body.wheel(v, 0.32, _DARK, 0.2)
        body.ball(0, v, 0.32, 0.12, (130, 132, 138))
    body.bar((0, -0.75, 0.62), (0, 0.3, 0.62), 0.4, _DARK)
    body.bar((0, -0.1, 0.8), (0, 0.5, 0.85), 0.42, tank)
    body.bar((0, -0.4, 0.42), (0, 0.35, 0.42), 0.4, (92, 94, 100))
    body.bar((0, 0.45, 0.95), (0, 0.75, 0.34), 0.14, (150, 152, 156))
    body.bar((-0.36, 0.48, 1.02), (0.36, 0.48, 1.02), 0.07, _DARK)
    _rider(body, (52, 54, 60), tank, (0, -0.3, 0.82), (0, 0.45, 1.02), 0.3)
    body.ball(0, 0.04, 1.66, 0.2, tank)
    lit = view.palette.dark
    body.ball(0, -0.95, 0.72, 0.11, (255, 40, 28), 0.95 if lit or one.braking else 0.3)
    if math.cos(one.yaw) < -0.5:
        body.ball(0, 0.8, 0.85, 0.15, (255, 250, 225), 0.95)
