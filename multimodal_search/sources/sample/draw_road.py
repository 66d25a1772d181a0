"""The ground: verge, pavement, lanes, markings, arrows, junctions, zebra crossings."""

from __future__ import annotations

import math
from itertools import pairwise

from multimodal_search.sources.sample.layout import JUNCTION_WIDTH_M, Layout
from multimodal_search.sources.sample.manoeuvres import LANE_WIDTH_M
from multimodal_search.sources.sample.palette import (
    CONCRETE,
    EARTH,
    GRASS,
    PAINT,
    PAINT_YELLOW,
    PAVEMENT,
    SNOW,
    WATER,
    Color,
    mixed,
    scaled,
)
from multimodal_search.sources.sample.view import View

_DASH_M, _DASH_PERIOD_M = 3.2, 8.0
_ARROW_PERIOD_M = 27.0
_CROSS_REACH_M = 70.0

# outlines of painted arrows: (right, ahead) in metres from the tail, 5 m long
_STRAIGHT = ((-0.16, 0), (0.16, 0), (0.16, 3.2), (0.6, 3.2), (0, 5.2), (-0.6, 3.2), (-0.16, 3.2))
_TURN = (
    (-0.17, 0),
    (0.17, 0),
    (0.17, 3.3),
    (-0.75, 3.75),
    (-0.75, 4.7),
    (-1.75, 3.25),
    (-0.75, 1.75),
    (-0.75, 2.75),
    (-0.17, 2.5),
)
_U_TURN = (
    (0.62, 0),
    (0.98, 0),
    (0.98, 4.0),
    (0.7, 4.9),
    (0, 5.25),
    (-0.7, 4.9),
    (-0.98, 4.0),
    (-0.98, 2.0),
    (-1.5, 2.0),
    (-0.8, 0.2),
    (-0.1, 2.0),
    (-0.62, 2.0),
    (-0.62, 3.8),
    (-0.4, 4.3),
    (0, 4.45),
    (0.4, 4.3),
    (0.62, 3.8),
)


def draw_ground(view: View, layout: Layout) -> None:
    """Everything that lies flat, from the verge to the paint."""
    _draw_verge(view, layout)
    _draw_lanes(view, layout)
    if layout.junction_s is not None:
        _draw_junction(view, layout, layout.junction_s)
    if layout.scene.place == "parking_lot":
        _draw_bays(view, layout)
    else:
        _draw_markings(view, layout)
    _draw_weather_on_road(view, layout)
    if layout.crosswalk_s is not None:
        _draw_zebra(view, layout, layout.crosswalk_s)
    if layout.stop_line_s is not None:
        _draw_stop_line(view, layout, layout.stop_line_s)
    _draw_arrows(view, layout)


def paint(view: View, color: Color = PAINT) -> Color:
    """Road paint: worn where it snows, but ploughed free."""
    return mixed(color, (255, 255, 255), 0.5) if view.palette.snowy else color


def _draw_verge(view: View, layout: Layout) -> None:
    place, palette, road = layout.scene.place, view.palette, layout.road
    verge = {
        "bridge": WATER,
        "construction_zone": palette.ground(EARTH),
        "parking_lot": palette.road(),
        "city_street": palette.ground(PAVEMENT),
        "intersection": palette.ground(PAVEMENT),
    }.get(place, palette.ground(GRASS))
    view.strip(-130, 130, verge, z=-6.0 if place == "bridge" else -0.02)
    if place == "bridge":
        deck = road.kerb_m + 1.6
        view.strip(-deck, deck, palette.ground(CONCRETE))
    elif place not in ("highway", "parking_lot", "construction_zone"):
        width = 2.2 if place in ("residential_street", "tunnel") else 5.0
        tone = palette.ground(scaled(PAVEMENT, 0.9 + 0.2 * layout.dice(1)))
        view.strip(-road.kerb_m - width, road.kerb_m + width, tone, length=70)


def _draw_lanes(view: View, layout: Layout) -> None:
    road, surface = layout.road, view.palette.road()
    tone = scaled(surface, 0.92 + 0.16 * layout.dice(2))
    edge = road.kerb_m
    if layout.scene.place == "parking_lot":
        return
    view.strip(-edge - 0.18, edge + 0.18, view.palette.ground(CONCRETE))
    view.strip(-edge, edge, tone)
    if view.palette.snowy:
        for x in (-edge + 0.35, edge - 0.35):
            view.strip(x - 0.35, x + 0.35, SNOW, length=70)
    if road.median_m > 1:
        half = road.median_m / 2 - 0.3
        view.strip(-half, half, view.palette.ground(CONCRETE if road.median_m < 2 else GRASS))


def _draw_weather_on_road(view: View, layout: Layout) -> None:
    """Ruts in the snow, puddles in the rain."""
    palette, road = view.palette, layout.road
    if palette.snowy:
        for lane in range(road.own):
            for centre in (road.lane(lane), road.oncoming_lane(lane)):
                for way in (-0.45, 0.45):
                    snow = mixed(palette.road(), SNOW, 0.55)
                    view.strip(centre + way * 0.9 - 0.28, centre + way * 0.9 + 0.28, snow, length=42)
    if palette.wet:
        for index in range(7):
            place = (layout.dice(3, index) * 60 - layout.travelled) % 60 - 8
            x = (layout.dice(4, index) * 2 - 1) * road.kerb_m
            long, wide = 0.7 + 1.2 * layout.dice(5, index), 0.5 + 0.8 * layout.dice(6, index)
            ring = [
                (x + wide * math.cos(k * math.pi / 5), place + long * math.sin(k * math.pi / 5), 0.0)
                for k in range(10)
            ]
            view.face(ring, mixed(palette.sky_low, palette.sky_top, 0.4), glow=0.75)


def _draw_markings(view: View, layout: Layout) -> None:
    scene, road = layout.scene, layout.road
    white, yellow = paint(view), paint(view, PAINT_YELLOW)
    gap = _junction_gap(layout)
    japan = scene.location.startswith("tokyo")
    if road.median_m < 1:
        middle = yellow if scene.location.startswith("boston") or japan else white
        for x in (-0.14, 0.14) if road.own > 1 else (0.0,):
            _solid(view, x, middle, gap)
    else:
        for way in (-1, 1):
            _solid(view, way * (road.median_m / 2 + 0.15), yellow, gap)
    edge = road.kerb_m - road.parking_m - 0.25
    if scene.place != "residential_street" or layout.dice(7) < 0.5:
        _solid(view, edge, white, gap)
        _solid(view, -edge, white, gap)
    for lane in range(1, road.own):
        for way in (-1, 1):
            x = way * (road.median_m / 2 + lane * LANE_WIDTH_M)
            _dashes(view, layout, x, white, gap)


def _junction_gap(layout: Layout) -> tuple[float, float]:
    """The stretch without lane markings."""
    if layout.junction_s is None:
        return 999.0, 999.0
    before = 4.2 if layout.crosswalk_s is not None else 0.5
    return layout.junction_s - before, layout.junction_s + JUNCTION_WIDTH_M + before


def _solid(view: View, x: float, color: Color, gap: tuple[float, float]) -> None:
    cuts = (-40.0, -16.0, -6.0, 0.0, 4.0, 8.0, 14.0, 24.0, 42.0, 80.0)
    for near, far in pairwise(cuts):
        for start, end in ((near, min(far, gap[0])), (max(near, gap[1]), far)):
            if end > start:
                view.flat(x - 0.08, x + 0.08, start, end, color)


def _dashes(view: View, layout: Layout, x: float, color: Color, gap: tuple[float, float]) -> None:
    first = -(layout.travelled % _DASH_PERIOD_M) - 2 * _DASH_PERIOD_M
    for index in range(10):
        start = first + index * _DASH_PERIOD_M
        if start + _DASH_M < gap[0] or start > gap[1]:
            view.flat(x - 0.08, x + 0.08, start, start + _DASH_M, color)


def _draw_junction(view: View, layout: Layout, near: float) -> None:
    far = near + JUNCTION_WIDTH_M
    edge = layout.road.kerb_m
    reach = _CROSS_REACH_M
    surface = scaled(view.palette.road(), 0.92 + 0.16 * layout.dice(2))
    # a side road opens to the side of the turn only; a crossing goes through
    through = layout.scene.place == "intersection"
    left = through or layout.scene.manoeuvre == "turn_left"
    right = through or layout.scene.manoeuvre == "turn_right"
    for wanted, way in ((left, -1), (right, 1)):
        if not wanted:
            continue
        for start, end in ((edge - 0.5, edge + 6), (edge + 6, edge + 20), (edge + 20, reach)):
            view.flat(way * start, way * end, near, far, surface)
        middle = (near + far) / 2
        for start in range(int(edge) + 3, 50, 6):
            view.flat(way * start, way * (start + 3), middle - 0.08, middle + 0.08, paint(view))
        view.flat(way * (edge + 1.0), way * (edge + 1.5), near, far, paint(view))
    _draw_guide(view, layout, near)


def _draw_guide(view: View, layout: Layout, near: float) -> None:
    """The dashed arc that leads a turning car through the junction."""
    manoeuvre = layout.scene.manoeuvre
    if manoeuvre not in ("turn_left", "turn_right"):
        return
    way = -1 if manoeuvre == "turn_left" else 1
    lane = layout.ego_lane_x
    radius = abs(way * layout.road.kerb_m - lane) + 1.5
    for offset in (-1.6, 1.6):
        size = radius - way * offset * way
        for step in range(6):
            angles = (step * math.pi / 12, (step + 0.6) * math.pi / 12)
            corners = []
            for angle, width in (
                (angles[0], -0.12),
                (angles[0], 0.12),
                (angles[1], 0.12),
                (angles[1], -0.12),
            ):
                out = size + width
                x = lane + way * (radius - out * math.cos(angle))
                corners.append((x, near - 1.0 + out * math.sin(angle), 0.0))
            view.face(corners, paint(view))


def _draw_zebra(view: View, layout: Layout, near: float) -> None:
    edge = layout.road.kerb_m
    x = -edge + 0.4
    while x < edge - 0.4:
        view.flat(x, x + 0.55, near, near + 3.0, paint(view))
        x += 1.1
    if layout.scene.place == "intersection" and layout.junction_s is not None:
        far = layout.junction_s + JUNCTION_WIDTH_M + 0.8
        for index in range(int(2 * edge / 1.1)):
            x = -edge + 0.4 + index * 1.1
            view.flat(x, x + 0.55, far, far + 2.6, paint(view))


def _draw_stop_line(view: View, layout: Layout, at: float) -> None:
    road = layout.road
    near, far = sorted((road.side * road.median_m / 2, road.side * (road.kerb_m - road.parking_m - 0.2)))
    deep = 0.75 if layout.scene.manoeuvre == "stop" else 0.4
    view.flat(near, far, at - deep, at, paint(view))


def _draw_arrows(view: View, layout: Layout) -> None:
    """The lane's own arrow, from 6 m ahead at the telling moment and again every ``_ARROW_PERIOD_M``."""
    manoeuvre = layout.scene.manoeuvre
    shapes = {"turn_left": _TURN, "turn_right": _TURN, "u_turn": _U_TURN, "straight": _STRAIGHT}
    if manoeuvre not in shapes:
        return
    mirrored = -1 if manoeuvre == "turn_right" or (manoeuvre == "u_turn" and layout.scene.keeps_left) else 1
    first = (6.0 + layout.dice(8) - layout.moved + 12.0) % _ARROW_PERIOD_M - 12.0
    for start in (first - _ARROW_PERIOD_M, first, first + _ARROW_PERIOD_M):
        outline = [
            (layout.ego_lane_x + mirrored * right * 1.15, start + ahead, 0.0)
            for right, ahead in shapes[manoeuvre]
        ]
        view.face(outline, paint(view))


def _draw_bays(view: View, layout: Layout) -> None:
    """Bay lines on both sides of the aisle."""
    edge = layout.road.kerb_m + 0.4
    first = -(layout.travelled % 2.7) - 8 * 2.7
    white = paint(view)
    for index in range(24):
        start = first + index * 2.7
        if _opened(layout, start):
            continue
        for way in (-1, 1):
            view.flat(way * edge, way * (edge + 5.2), start - 0.06, start + 0.06, white)
    if view.palette.snowy:
        for way in (-1, 1):
            view.strip(way * (edge + 6), way * 60, SNOW, length=70)


def _opened(layout: Layout, s: float) -> bool:
    return (
        layout.junction_s is not None and layout.junction_s - 1 < s < layout.junction_s + JUNCTION_WIDTH_M + 1
    )
