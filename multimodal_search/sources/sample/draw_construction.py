"""A construction zone: cones along the lane, striped boards, excavators, diamond signs."""

from __future__ import annotations

import math
from functools import partial

from multimodal_search.sources.sample.draw_buildings import Thing, slots
from multimodal_search.sources.sample.layout import Layout, is_open
from multimodal_search.sources.sample.palette import STEEL, Color
from multimodal_search.sources.sample.view import View

_ORANGE: Color = (244, 112, 26)


def construction(view: View, layout: Layout) -> list[Thing]:
    """Cones along the lane, striped boards, an excavator, a diamond sign."""
    things: list[Thing] = []
    edge = layout.road.kerb_m
    for number, s in slots(layout, 4.5, 45, 15):
        for way in (-1, 1):
            x = way * (edge + 0.35)
            if not is_open(layout, s, s, way):
                things.append((x, s, partial(_cone, view, x, s)))
        if number % 3 == 0:
            for way in (-1, 1):
                if not is_open(layout, s, s + 3, way):
                    x = way * (edge + 2.2)
                    things.append((x, s, partial(_striped, view, x, s)))
    for number, s in slots(layout, 24.0, 60, 24):
        way = 1 if layout.dice(42, number) < 0.5 else -1
        if not is_open(layout, s - 3, s + 3, way):
            x = way * (edge + 6.0)
            things.append((x, s, partial(_digger, view, x, s, number)))
        x = -way * (edge + 0.9)
        if not is_open(layout, s, s, -way):
            things.append((x, s - 5, partial(_diamond, view, x, s - 5)))
    return things


def _cone(view: View, x: float, s: float) -> None:
    view.board(x, s, 0, 0.5, 0.06, _ORANGE)
    for z, half, color in ((0.05, 0.2, _ORANGE), (0.32, 0.14, (250, 250, 250)), (0.5, 0.1, _ORANGE)):
        top = 0.32 if z < 0.1 else 0.5 if z < 0.4 else 0.85
        narrow = half * (0.7 if top < 0.8 else 0.3)
        view.face(
            ((x - half, s, z), (x + half, s, z), (x + narrow, s, top), (x - narrow, s, top)), color, 0.15
        )


def _striped(view: View, x: float, s: float) -> None:
    for post in (-1.0, 1.0):
        view.line((x + post, s, 0), (x + post, s, 1.2), 0.1, STEEL)
    view.gate(x - 1.3, x + 1.3, s, 0.7, 1.15, (248, 248, 244), 0.15)
    for k in range(4):
        left = x - 1.3 + k * 0.68
        view.face(
            ((left, s, 0.7), (left + 0.32, s, 0.7), (left + 0.5, s, 1.15), (left + 0.18, s, 1.15)),
            _ORANGE,
            0.15,
        )


def _diamond(view: View, x: float, s: float) -> None:
    view.line((x, s, 0), (x, s, 2.0), 0.1, STEEL)
    view.face(((x, s, 1.5), (x + 0.85, s, 2.35), (x, s, 3.2), (x - 0.85, s, 2.35)), (20, 20, 20))
    view.face(((x, s, 1.6), (x + 0.75, s, 2.35), (x, s, 3.1), (x - 0.75, s, 2.35)), _ORANGE, 0.35)


def _digger(view: View, x: float, s: float, number: int) -> None:
    yellow: Color = (240, 182, 20)
    way = -1 if x > 0 else 1
    view.gate(x - 1.7, x + 1.7, s, 0.1, 0.9, (42, 42, 44))
    view.gate(x - 1.5, x + 1.5, s, 0.9, 2.2, yellow)
    view.gate(x - 0.2 * way - 0.6, x - 0.2 * way + 0.7, s - 0.05, 1.6, 2.9, (52, 64, 76))
    elbow = (x + way * 2.6, s - 0.1, 4.6 + 0.4 * math.sin(number * 1.7))
    view.line((x + way * 1.0, s - 0.1, 1.8), elbow, 0.5, yellow)
    view.line(elbow, (x + way * 3.6, s - 0.1, 1.6), 0.4, yellow)
    view.board(x + way * 3.5, s - 0.1, 0.5, 1.1, 1.1, (60, 60, 62))


def layout_tilt(number: int) -> float:
    """How high an excavator's arm is, metres above its middle position."""
    return 0.4 * math.sin(number * 1.7)
