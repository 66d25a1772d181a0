"""What stands beside the road and makes a place: houses, towers, rails, portals, cones, masts."""

from __future__ import annotations

import math
from functools import partial

from multimodal_search.sources.sample.draw_buildings import (
    LIT,
    PANE,
    SHOPS,
    WALLS,
    Thing,
    houses,
    lamp_posts,
    slots,
    towers,
    tree,
)
from multimodal_search.sources.sample.draw_construction import construction
from multimodal_search.sources.sample.draw_vehicles import draw_vehicle
from multimodal_search.sources.sample.layout import Layout, is_open
from multimodal_search.sources.sample.palette import CONCRETE, STEEL, Color, scaled
from multimodal_search.sources.sample.traffic import Placed
from multimodal_search.sources.sample.view import View


def scenery(view: View, layout: Layout) -> list[Thing]:
    """Things of the place around the car, ahead and behind."""
    makers = {
        "intersection": towers,
        "city_street": towers,
        "residential_street": houses,
        "highway": _highway,
        "parking_lot": _parking,
        "construction_zone": construction,
        "tunnel": _tunnel,
        "bridge": _bridge,
    }
    things = makers[layout.scene.place](view, layout)
    if layout.scene.place != "tunnel":
        things += lamp_posts(view, layout)
    return things


def _highway(view: View, layout: Layout) -> list[Thing]:
    """Guard rails, a sign gantry, noise barriers or trees."""
    things: list[Thing] = []
    edge = layout.road.kerb_m
    barrier = layout.dice(33) < 0.5
    for number, s in slots(layout, 8.0, 80, 40):
        for way, x in ((-1, -edge - 0.5), (1, edge + 0.5), (0, 0.0)):

            def rail(x: float = x, s: float = s) -> None:
                view.wall(x, s, s + 8, 0.45, 0.8, (186, 190, 194))
                view.line((x, s, 0), (x, s, 0.75), 0.14, STEEL)

            things.append((x, s + 4, rail))
            key = number * 3 + way
            if way and barrier:

                def wall(x: float = x, s: float = s, key: int = key) -> None:
                    tone = scaled((120, 150, 140), 0.9 + 0.2 * layout.dice(34, key))
                    view.wall(x + math.copysign(3, x), s, s + 8, 0, 3.4, tone)

                things.append((x + math.copysign(3, x), s + 4.1, wall))
            elif way and layout.dice(35, key) < 0.55:
                things.append(tree(view, layout, x + way * (4 + 5 * layout.dice(36, key)), s, key))
    period = 70.0
    at = (34.0 + 12 * layout.dice(37) - layout.travelled + 20000) % period
    things.append((0.0, at, lambda: _gantry(view, layout, at)))
    return things


def _gantry(view: View, layout: Layout, s: float) -> None:
    edge = layout.road.kerb_m + 1.0
    sign = (24, 104, 70) if not layout.scene.location.startswith("munich") else (28, 82, 166)
    for x in (-edge, edge):
        view.line((x, s, 0), (x, s, 6.4), 0.35, STEEL)
    view.gate(-edge, edge, s, 6.2, 6.5, STEEL)
    for x0, x1 in ((-8.5, -2.2), (1.6, 9.0)):
        view.gate(x0, x1, s - 0.1, 5.3, 7.8, (240, 240, 236), 0.25)
        view.gate(x0 + 0.15, x1 - 0.15, s - 0.2, 5.45, 7.65, sign, 0.25)
        view.gate(x0 + 0.7, x1 - 2.2, s - 0.25, 6.9, 7.2, (240, 240, 236), 0.25)
        view.gate(x0 + 0.7, x1 - 1.2, s - 0.25, 6.2, 6.5, (240, 240, 236), 0.25)


def _parking(view: View, layout: Layout) -> list[Thing]:
    """Cars in bays, a store behind, a blue P."""
    things: list[Thing] = []
    edge = layout.road.kerb_m + 0.4
    for number, s in slots(layout, 2.7, 42, 20):
        for way in (-1, 1):
            key = number * 2 + (way > 0)
            if layout.dice(38, key) > 0.68 or is_open(layout, s, s + 2.7, way):
                continue
            car = Placed(
                "car", way * (edge + 2.7), s + 1.35, way * math.pi / 2, layout.dice(39, key), parked=True
            )
            things.append((car.x, car.s, partial(draw_vehicle, view, car)))
    store = WALLS[int(layout.dice(40) * len(WALLS))]

    def building() -> None:
        s = 62.0
        view.gate(-45, 45, s, 0, 7.5, store)
        view.gate(
            -45, 45, s - 0.1, 5.4, 7.0, SHOPS[int(layout.dice(41) * 5)], 0.7 if view.palette.dark else 0.0
        )
        for x in range(-40, 41, 10):
            view.gate(
                x,
                x + 6,
                s - 0.1,
                0.3,
                3.6,
                LIT if view.palette.dark else PANE,
                0.7 if view.palette.dark else 0.0,
            )

    things.append((0.0, 62.0, building))
    for number, s in slots(layout, 21.0, 45, 21):
        way = 1 if number % 2 else -1
        x = way * (edge + 0.2)
        if not is_open(layout, s, s, way):
            things.append((x, s, partial(_parking_sign, view, x, s)))
    return things


def _parking_sign(view: View, x: float, s: float) -> None:
    white = (244, 246, 250)
    view.line((x, s, 0), (x, s, 3.0), 0.12, STEEL)
    view.board(x, s, 2.6, 1.5, 1.5, (22, 84, 190), 0.45)
    view.board(x - 0.2, s, 2.8, 0.22, 1.1, white, 0.5)
    view.board(x + 0.12, s, 3.35, 0.55, 0.55, white, 0.5)
    view.board(x + 0.1, s, 3.5, 0.22, 0.24, (22, 84, 190), 0.45)


def _tunnel(view: View, layout: Layout) -> list[Thing]:
    """A hillside with two dark mouths, lamps inside, walls that lead in."""
    s = 29.0 + 8.0 * layout.dice(43)
    return [(0.0, s, lambda: _portal(view, layout, s)), *_approach(view, layout, s)]


def _approach(view: View, layout: Layout, portal: float) -> list[Thing]:
    things: list[Thing] = []
    edge = layout.road.kerb_m + 2.0
    for number, s in slots(layout, 6.0, portal - 3, 40):
        for way in (-1, 1):
            x = way * edge
            tone = scaled(CONCRETE, 0.86 + 0.14 * (number % 2))
            height = 1.4 + 3.0 * max(0.0, min(1.0, 1 - abs(portal - s) / 26))

            def wall(x: float = x, s: float = s, tone: Color = tone, height: float = height) -> None:
                view.wall(x, s, s + 6, 0, height, tone)

            things.append((x, s + 3, wall))
            if layout.dice(44, number, way) < 0.5:
                things.append(tree(view, layout, x + way * 5, s, number * 2 + way))
    return things


def _portal(view: View, layout: Layout, s: float) -> None:
    edge = layout.road.kerb_m + 2.0
    hill = view.palette.ground((92, 112, 66))
    view.face(
        (
            (-90, s + 4, 0),
            (-60, s + 4, 5),
            (-22, s + 4, 8.6),
            (18, s + 4, 9.4),
            (52, s + 4, 6),
            (90, s + 4, 0),
        ),
        hill,
    )
    tone = scaled(CONCRETE, 0.85 + 0.25 * layout.dice(45))
    view.gate(-edge - 4, edge + 4, s, 0, 7.0, tone)
    view.gate(-edge - 4.5, edge + 4.5, s - 0.1, 6.8, 7.5, scaled(tone, 0.8))
    inner = layout.road.kerb_m + 0.6
    for x0, x1 in ((-inner, -0.6), (0.6, inner)):
        middle, half = (x0 + x1) / 2, (x1 - x0) / 2
        arch = [(x0, s - 0.1, 0.0)]
        arch += [
            (middle - half * math.cos(k * math.pi / 8), s - 0.1, 3.0 + 2.5 * math.sin(k * math.pi / 8))
            for k in range(9)
        ]
        arch.append((x1, s - 0.1, 0.0))
        view.face(arch, (22, 21, 20), 0.6)
        for row in range(4):
            depth = s + 6 + row * 9
            for way in (-0.6, 0.6):
                view.board(middle + way * half, depth, 4.2, 0.9, 0.28, (255, 190, 90), 0.95)
        view.flat(x0 + 0.4, x1 - 0.4, s, s + 18, (58, 54, 48))
    for x in (-4.2, 3.0):
        view.gate(x, x + 1.2, s - 0.2, 5.9, 6.5, (250, 200, 60), 0.7)


def _bridge(view: View, layout: Layout) -> list[Thing]:
    """Railings over water, and pylons with cables."""
    things: list[Thing] = []
    edge = layout.road.kerb_m + 1.2
    steel = ((186, 62, 44), (150, 158, 168), (88, 124, 116), (226, 226, 220))[int(layout.dice(46) * 4)]
    for _, s in slots(layout, 5.0, 80, 40):
        for way in (-1, 1):
            x = way * edge

            def rail(x: float = x, s: float = s) -> None:
                view.wall(x, s, s + 5, 0.95, 1.15, steel)
                view.wall(x, s, s + 5, 0.5, 0.6, steel)
                view.line((x, s, 0), (x, s, 1.15), 0.14, steel)

            things.append((x, s + 2.5, rail))
    first = (22.0 + 10 * layout.dice(47) - layout.travelled + 20000) % 48.0 - 16
    things += [(0.0, s + 0.01, partial(_pylon, view, edge + 0.4, s, steel)) for s in (first, first + 48.0)]
    return things


def _pylon(view: View, edge: float, s: float, steel: Color) -> None:
    tall = 17.0
    for x in (-edge, edge):
        view.gate(x - 0.55, x + 0.55, s, 0, tall, steel)
        for reach in (7.0, 13.0, 19.0):
            top = tall - 0.25 * (19.0 - reach)
            for way in (-1, 1):
                end = s + way * reach
                if end > 1.0:
                    view.line((x, s, top), (x, end, 1.1), 0.12, scaled(steel, 0.9))
    view.gate(-edge, edge, s, 9.0, 10.1, steel)
    view.gate(-edge, edge, s, tall - 1.4, tall - 0.4, steel)
