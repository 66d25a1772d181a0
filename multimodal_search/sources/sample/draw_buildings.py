"""Buildings, trees and street lamps beside the road, on slots that come by as the car drives."""

from __future__ import annotations

import math
from collections.abc import Callable

from multimodal_search.sources.sample.layout import Layout, is_open
from multimodal_search.sources.sample.palette import SNOW, STEEL, Color, mixed, scaled
from multimodal_search.sources.sample.view import View

Thing = tuple[float, float, Callable[[], None]]
"""(x, s, how to draw it): drawn from far to near."""

WALLS: tuple[Color, ...] = (
    (196, 186, 170),
    (168, 112, 88),
    (142, 148, 158),
    (206, 200, 190),
    (120, 98, 86),
    (176, 160, 128),
    (108, 122, 140),
)
_ROOFS: tuple[Color, ...] = ((140, 66, 50), (92, 70, 60), (70, 76, 88), (120, 92, 70))
SHOPS: tuple[Color, ...] = ((210, 54, 60), (40, 132, 190), (240, 180, 40), (52, 160, 100), (190, 70, 170))
_LEAVES: tuple[Color, ...] = ((58, 104, 48), (76, 122, 54), (46, 88, 52), (96, 116, 50))
_TRUNK: Color = (86, 66, 50)
LIT: Color = (255, 222, 140)
PANE: Color = (64, 78, 96)


def slots(layout: Layout, spacing: float, ahead: float, behind: float) -> list[tuple[int, float]]:
    """(number, s) of things that stand every ``spacing`` metres and come by as the car drives."""
    passed = math.floor(layout.travelled / spacing)
    offset = layout.travelled - passed * spacing
    first, last = -math.ceil(behind / spacing), math.ceil(ahead / spacing)
    return [(passed + k, k * spacing - offset) for k in range(first, last)]


def _block(
    view: View, x0: float, x1: float, s0: float, s1: float, height: float, color: Color, base: float = 0.0
) -> None:
    """A building's visible walls; x0 is the side towards the road."""
    end = s0 if s0 > 0 else s1
    if s0 > 0 or s1 < 0:
        view.gate(x0, x1, end, base, height, scaled(color, 0.82))
    view.wall(x0, s0, s1, base, height, color)


def _windows(
    view: View, layout: Layout, x: float, s0: float, s1: float, height: float, number: int, base: float
) -> None:
    """Rows of panes on the wall along the road; some lit after dark."""
    rows = max(1, min(7, int((height - base) / 3.4)))
    columns = max(2, min(5, int((s1 - s0) / 2.6)))
    near = min(abs(s0), abs(s1)) if s0 * s1 > 0 else 0.0
    if near > 55:
        columns = 1
    step, level = (s1 - s0) / columns, (height - base) / rows
    for row in range(rows):
        z = base + level * (row + 0.3)
        for column in range(columns):
            start = s0 + step * (column + 0.18)
            lit = view.palette.dark and layout.dice(20, number, row, column) < 0.42
            color, glow = (LIT, 0.85) if lit else (PANE, 0.0)
            view.face(
                (
                    (x, start, z),
                    (x, start + step * 0.64, z),
                    (x, start + step * 0.64, z + level * 0.5),
                    (x, start, z + level * 0.5),
                ),
                color,
                glow,
            )


def towers(view: View, layout: Layout) -> list[Thing]:
    """Shops below, floors above; higher in the city than at a crossing."""
    city = layout.scene.place == "city_street"
    things: list[Thing] = []
    spacing = 15.0
    for way in (-1, 1):
        x = way * (layout.road.kerb_m + 5.0)
        for number, s in slots(layout, spacing, 90, 50):
            key = number * 2 + (way > 0)
            s1 = s + spacing - 0.8 - 3.0 * layout.dice(21, key)
            if is_open(layout, s, s1, way):
                continue
            height = (14 + 22 * layout.dice(22, key)) if city else (6 + 8 * layout.dice(22, key))

            def draw(
                x: float = x, s: float = s, s1: float = s1, height: float = height, key: int = key
            ) -> None:
                color = WALLS[int(layout.dice(23, key) * len(WALLS))]
                back = x + math.copysign(12.0, x)
                _block(view, x, back, s, s1, height, color)
                _windows(view, layout, x, s, s1, height, key, 4.2)
                shop = SHOPS[int(layout.dice(24, key) * len(SHOPS))]
                view.wall(x, s + 0.5, s1 - 0.5, 0.4, 2.9, (52, 58, 66))
                glow = 0.8 if view.palette.dark else 0.0
                view.face(((x, s, 3.0), (x, s1, 3.0), (x, s1, 3.9), (x, s, 3.9)), shop, glow)

            things.append((x, (s + s1) / 2, draw))
            if layout.dice(25, key) < 0.6:
                things.append(tree(view, layout, way * (layout.road.kerb_m + 1.6), s + 4, key))
    return things


def houses(view: View, layout: Layout) -> list[Thing]:
    """Gabled houses behind hedges, trees, wooden poles."""
    things: list[Thing] = []
    spacing = 13.0
    for way in (-1, 1):
        x = way * (layout.road.kerb_m + 5.5)
        for number, s in slots(layout, spacing, 75, 40):
            key = number * 2 + (way > 0)
            if is_open(layout, s, s + 9.0, way):
                continue

            def draw(x: float = x, s: float = s, key: int = key) -> None:
                _house(view, layout, x, s, key)

            things.append((x, s + 4.0, draw))
            if layout.dice(26, key) < 0.7:
                things.append(tree(view, layout, way * (layout.road.kerb_m + 3.2), s + 10.5, key))
    return things


def _house(view: View, layout: Layout, x: float, s: float, key: int) -> None:
    color = WALLS[int(layout.dice(27, key) * len(WALLS))]
    roof = _ROOFS[int(layout.dice(28, key) * len(_ROOFS))]
    if view.palette.snowy:
        roof = mixed(roof, SNOW, 0.85)
    height, deep, long = 3.0 + 2.6 * (layout.dice(29, key) < 0.6), 8.0, 9.0
    back = x + math.copysign(deep, x)
    ridge_x, ridge = (x + back) / 2, height + 2.6
    end = s if s > 0 else s + long
    _block(view, x, back, s, s + long, height, color)
    view.face(((x, end, height), (back, end, height), (ridge_x, end, ridge)), scaled(color, 0.8))
    eave = x - math.copysign(0.5, x)
    view.face(
        (
            (eave, s - 0.3, height - 0.2),
            (eave, s + long + 0.3, height - 0.2),
            (ridge_x, s + long + 0.3, ridge),
            (ridge_x, s - 0.3, ridge),
        ),
        roof,
    )
    _windows(view, layout, x, s, s + long, height, key, 0.4)
    hedge = _LEAVES[int(layout.dice(30, key) * len(_LEAVES))]
    hedge_x = x - math.copysign(2.4, x)
    view.wall(hedge_x, s, s + 6.0, 0, 0.9, mixed(hedge, SNOW, 0.5) if view.palette.snowy else hedge)


def tree(view: View, layout: Layout, x: float, s: float, key: int) -> Thing:
    def draw() -> None:
        leaves = _LEAVES[int(layout.dice(31, key) * len(_LEAVES))]
        if view.palette.snowy:
            leaves = mixed(leaves, SNOW, 0.7)
        tall = 3.4 + 2.0 * layout.dice(32, key)
        view.board(x, s, 0, 0.3, tall - 0.8, _TRUNK)
        view.disc(x, s, tall, 1.5, scaled(leaves, 0.82))
        view.disc(x - 0.5, s, tall + 0.7, 1.1, leaves)
        view.disc(x + 0.5, s, tall + 0.5, 0.9, scaled(leaves, 1.12))

    return x, s, draw


def lamp_posts(view: View, layout: Layout) -> list[Thing]:
    things: list[Thing] = []
    for number, s in slots(layout, 26.0, 85, 30):
        for way in (-1, 1):
            if (number + way) % 2 and layout.scene.place != "highway":
                continue
            x = way * (layout.road.kerb_m + 0.7)
            if is_open(layout, s, s, way):
                continue

            def draw(x: float = x, s: float = s) -> None:
                arm = x - math.copysign(1.8, x)
                view.line((x, s, 0), (x, s, 7.2), 0.16, STEEL)
                view.line((x, s, 7.2), (arm, s, 7.5), 0.12, STEEL)
                lit = view.palette.dark
                if lit and s > 0:
                    view.halo(arm, s, 7.4, 1.5, (255, 206, 128))
                view.board(arm, s, 7.35, 0.9, 0.2, (255, 226, 160) if lit else (210, 212, 214), 0.95 * lit)

            things.append((x, s, draw))
    return things
