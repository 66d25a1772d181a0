"""Cars, vans, taxis, buses and trucks: boxes of panels, drawn from any side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from multimodal_search.sources.sample.palette import SNOW, Color, mixed, scaled
from multimodal_search.sources.sample.traffic import SIZES_M, Placed
from multimodal_search.sources.sample.view import Point, View

CAR_COLORS: tuple[Color, ...] = (
    (178, 34, 40),
    (34, 74, 150),
    (196, 200, 206),
    (52, 56, 62),
    (96, 104, 112),
    (30, 112, 92),
    (222, 222, 218),
    (120, 62, 40),
)
_BUS_COLORS: tuple[Color, ...] = ((200, 44, 40), (28, 120, 84), (36, 92, 176), (222, 120, 30))
_TRUCK_BOXES: tuple[Color, ...] = ((214, 214, 208), (64, 110, 168), (190, 160, 60), (150, 60, 54))
_TAXI: Color = (248, 196, 20)
_VAN: Color = (238, 240, 240)
_GLASS: Color = (38, 48, 60)
_BLACK: Color = (26, 27, 30)
_TRIM: Color = (50, 52, 56)
_PLATE: Color = (232, 232, 220)
_TAIL: Color = (150, 18, 18)
_BRAKE: Color = (255, 40, 26)
_TAIL_HALO: Color = (220, 30, 24)
_HEAD: Color = (255, 250, 225)


@dataclass(frozen=True, slots=True)
class Panel:
    """A polygon of a vehicle: points are (right, ahead, up) from the middle of its footprint."""

    part: str
    normal: tuple[float, float]
    points: tuple[Point, ...]


def _block(
    part: str, w0: float, w1: float, v0: float, v1: float, z0: float, z1: float, v0_top: float, v1_top: float
) -> list[Panel]:
    """A box whose top may be narrower and shorter than its bottom."""
    a, b = w0 / 2, w1 / 2
    rear = ((-a, v0, z0), (a, v0, z0), (b, v0_top, z1), (-b, v0_top, z1))
    front = ((-a, v1, z0), (a, v1, z0), (b, v1_top, z1), (-b, v1_top, z1))
    left = ((-a, v0, z0), (-a, v1, z0), (-b, v1_top, z1), (-b, v0_top, z1))
    right = ((a, v0, z0), (a, v1, z0), (b, v1_top, z1), (b, v0_top, z1))
    top = ((-b, v0_top, z1), (b, v0_top, z1), (b, v1_top, z1), (-b, v1_top, z1))
    return [
        Panel(part + "_side", (-1, 0), left),
        Panel(part + "_side", (1, 0), right),
        Panel(part + "_end", (0, -1), rear),
        Panel(part + "_end", (0, 1), front),
        Panel(part + "_top", (0, 0), top),
    ]


def _end(part: str, v: float, u0: float, u1: float, z0: float, z1: float) -> Panel:
    """A rectangle on the rear (v < 0) or the front (v > 0)."""
    return Panel(part, (0, 1 if v > 0 else -1), ((u0, v, z0), (u1, v, z0), (u1, v, z1), (u0, v, z1)))


def _sides(part: str, u: float, v0: float, v1: float, z0: float, z1: float) -> list[Panel]:
    return [
        Panel(part, (way, 0), ((way * u, v0, z0), (way * u, v1, z0), (way * u, v1, z1), (way * u, v0, z1)))
        for way in (-1, 1)
    ]


def _wheels(u: float, middles: tuple[float, ...], radius: float) -> list[Panel]:
    panels = []
    corners = [(math.cos(k * math.pi / 5), math.sin(k * math.pi / 5)) for k in range(10)]
    for way in (-1, 1):
        for middle in middles:
            for part, size in (("tyre", radius), ("hub", radius * 0.5)):
                ring = tuple((way * u, middle + size * c, radius + size * s) for c, s in corners)
                panels.append(Panel(part, (way, 0), ring))
    return panels


def _lights(half: float, wide: float, back: float, front: float, z: float, tall: float) -> list[Panel]:
    panels = []
    for way in (-1, 1):
        outer, inner = way * half, way * (half - wide)
        panels.append(_end("tail", back, min(outer, inner), max(outer, inner), z, z + tall))
        panels.append(_end("head", front, min(outer, inner), max(outer, inner), z - 0.05, z + tall - 0.05))
    return panels


def _car(length: float, width: float, height: float, taxi: bool) -> list[Panel]:
    back, front = -length / 2, length / 2
    panels = _block("body", width, width * 0.97, back, front, 0.22, 0.86, back + 0.05, front - 0.08)
    panels += _wheels(width / 2 + 0.01, (back + 0.85, front - 0.85), 0.33)
    low, high = 0.86, height
    panels += _block(
        "glass", width * 0.93, width * 0.76, back + 0.25, front - 1.0, low, high, back + 0.9, 0.55
    )
    roof = width * 0.38
    top = ((-roof, back + 0.85, high), (roof, back + 0.85, high), (roof, 0.6, high), (-roof, 0.6, high))
    panels.append(Panel("roof", (0, 0), top))
    panels.append(_end("trim", back - 0.02, -width / 2 + 0.04, width / 2 - 0.04, 0.22, 0.4))
    panels.append(_end("trim", front + 0.02, -0.55, 0.55, 0.3, 0.56))
    panels += _lights(width / 2 - 0.05, 0.42, back - 0.02, front + 0.02, 0.6, 0.17)
    panels.append(_end("third", back + 0.86, -0.28, 0.28, high - 0.1, high - 0.03))
    panels.append(_end("plate", back - 0.03, -0.26, 0.26, 0.44, 0.57))
    if taxi:
        panels += _block("sign", 0.8, 0.7, -0.35, -0.1, high, high + 0.26, -0.32, -0.13)
        panels += _sides("checker", width / 2 + 0.01, back + 0.3, front - 0.3, 0.66, 0.76)
    return panels


def _van(length: float, width: float, height: float) -> list[Panel]:
    back, front = -length / 2, length / 2
    panels = _block("body", width, width * 0.94, back, front, 0.25, height, back + 0.04, front - 1.35)
    panels += _wheels(width / 2 + 0.01, (back + 0.95, front - 0.9), 0.36)
    panels += [_end("glass", back - 0.01, way - 0.4, way + 0.4, 1.35, 1.95) for way in (-0.46, 0.46)]
    panels.append(_end("trim", back - 0.02, -0.02, 0.02, 0.45, 2.1))
    slope = (
        (-0.85, front - 0.62, 1.2),
        (0.85, front - 0.62, 1.2),
        (0.8, front - 1.2, 2.1),
        (-0.8, front - 1.2, 2.1),
    )
    panels.append(Panel("glass", (0, 1), slope))
    panels += _sides("glass", width / 2, front - 2.1, front - 1.1, 1.3, 1.85)
    panels.append(_end("trim", back - 0.02, -width / 2 + 0.04, width / 2 - 0.04, 0.25, 0.45))
    panels.append(_end("trim", front + 0.02, -0.7, 0.7, 0.4, 0.75))
    panels += _lights(width / 2 - 0.03, 0.2, back - 0.02, front + 0.02, 0.8, 0.5)
    panels.append(_end("plate", back - 0.03, -0.26, 0.26, 0.5, 0.63))
    return panels


def _bus(length: float, width: float, height: float) -> list[Panel]:
    back, front = -length / 2, length / 2
    panels = _block("body", width, width, back, front, 0.35, height, back, front)
    panels += _wheels(width / 2 + 0.01, (back + 2.6, front - 2.4), 0.5)
    panels += _sides("cream", width / 2 + 0.005, back, front, 2.5, height)
    for pane in range(6):
        start = back + 0.4 + pane * (length - 0.8) / 6
        panels += _sides("pane", width / 2 + 0.01, start, start + (length - 0.8) / 6 - 0.22, 1.35, 2.4)
    panels += _sides("door", width / 2 + 0.012, front - 1.6, front - 0.5, 0.45, 2.4)
    panels.append(_end("cream", back - 0.01, -width / 2, width / 2, 2.45, height))
    panels.append(_end("pane", back - 0.02, -0.95, 0.95, 1.65, 2.4))
    panels.append(_end("pane", front + 0.01, -1.12, 1.12, 1.25, 2.5))
    panels.append(_end("route", front + 0.02, -0.85, 0.85, 2.66, 2.98))
    panels.append(_end("route", back - 0.02, -0.5, 0.5, 2.66, 2.95))
    panels.append(_end("trim", back - 0.02, -width / 2, width / 2, 0.35, 0.62))
    panels.append(_end("trim", front + 0.02, -width / 2, width / 2, 0.35, 0.6))
    panels += _lights(width / 2 - 0.05, 0.3, back - 0.03, front + 0.03, 0.85, 0.34)
    return panels


def _truck(length: float, width: float, height: float) -> list[Panel]:
    back, front = -length / 2, length / 2
    panels = _block("chassis", width * 0.9, width * 0.9, back, front, 0.45, 0.95, back, front)
    panels += _wheels(width / 2 - 0.08, (back + 1.2, back + 2.3, front - 1.1), 0.5)
    cab = front - 1.95
    panels += _block("cab", width * 0.94, width * 0.9, cab, front, 0.5, 2.75, cab, front - 0.25)
    panels.append(
        Panel(
            "glass",
            (0, 1),
            (
                (-1.0, front - 0.09, 1.6),
                (1.0, front - 0.09, 1.6),
                (0.95, front - 0.2, 2.5),
                (-0.95, front - 0.2, 2.5),
            ),
        )
    )
    panels += _sides("glass", width * 0.475, front - 1.3, front - 0.4, 1.6, 2.4)
    panels.append(_end("trim", front + 0.02, -0.8, 0.8, 0.8, 1.3))
    panels += _block("cargo", width, width, back, cab - 0.15, 0.95, height, back, cab - 0.15)
    panels.append(_end("seam", back - 0.01, -0.03, 0.03, 1.0, height - 0.05))
    panels += [_end("seam", back - 0.01, u - 0.03, u + 0.03, 1.1, height - 0.3) for u in (-0.7, 0.7)]
    panels.append(_end("stripe", back - 0.015, -width / 2, width / 2, 0.72, 0.95))
    panels += _sides("stripe", width / 2 + 0.01, back, cab - 0.15, 1.0, 1.15)
    panels += _lights(width / 2 - 0.08, 0.36, back - 0.02, front + 0.03, 0.56, 0.2)
    return panels


@lru_cache(maxsize=8)
def _panels(kind: str) -> tuple[Panel, ...]:
    length, width, height = SIZES_M[kind]
    makers = {"van": _van, "bus": _bus, "truck": _truck}
    if kind in makers:
        return tuple(makers[kind](length, width, height))
    return tuple(_car(length, width, height, kind == "taxi"))


def _paint(one: Placed) -> Color:
    if one.kind == "taxi":
        return _TAXI
    if one.kind == "van":
        return _VAN
    colors = _BUS_COLORS if one.kind == "bus" else _TRUCK_BOXES if one.kind == "truck" else CAR_COLORS
    return colors[int(one.tint * 0.999 * len(colors))]


def _part_color(part: str, paint: Color, one: Placed, view: View) -> tuple[Color, float]:
    """Colour and glow of a part."""
    dark = view.palette.dark and not one.parked
    base, _, place = part.partition("_")
    if part in ("tail", "third"):
        if one.braking:
            return _BRAKE, 0.95
        return _TAIL, 0.6 if dark else 0.0
    if part == "head":
        return _HEAD, 0.95 if dark or (view.palette.weather != "clear" and not one.parked) else 0.2
    if part == "route":
        return (255, 176, 40), 0.9
    if part == "pane":
        return ((240, 226, 170), 0.75) if view.palette.time_of_day == "night" else (_GLASS, 0.0)
    if base == "sign":
        return (255, 244, 180), 0.85 if dark else 0.2
    fixed = {
        "tyre": _BLACK,
        "hub": (128, 130, 134),
        "plate": _PLATE,
        "trim": _TRIM,
        "door": scaled(paint, 0.55),
        "cream": (238, 234, 222),
        "checker": (24, 24, 24),
        "seam": (110, 110, 108),
        "stripe": (214, 40, 36),
        "roof": paint,
    }
    snowed = view.palette.snowy and (place == "top" or part == "roof")
    if part in fixed:
        return mixed(fixed[part], SNOW, 0.6) if snowed else fixed[part], 0.0
    body = {
        "glass": _GLASS,
        "chassis": _TRIM,
        "cab": scaled(paint, 0.75) if one.tint > 0.3 else (150, 40, 40),
    }
    color = body.get(base, paint)
    if snowed:
        return mixed(color, SNOW, 0.75), 0.0
    return scaled(color, {"side": 0.8, "top": 1.12}.get(place, 1.0)), 0.0


def draw_vehicle(view: View, one: Placed) -> None:
    """Draw a car, taxi, van, bus or truck, with its shadow, and its lamps when they are lit."""
    cos, sin = math.cos(one.yaw), math.sin(one.yaw)

    def place(point: Point) -> Point:
        u, v, z = point
        return one.x + u * cos - v * sin, one.s + u * sin + v * cos, z

    length, width, _ = SIZES_M[one.kind]
    shadow = [(-width * 0.58, -length * 0.52), (width * 0.58, -length * 0.52)]
    shadow += [(width * 0.58, length * 0.52), (-width * 0.58, length * 0.52)]
    view.face([place((u, v, 0.0)) for u, v in shadow], scaled(view.palette.road(), 0.45))
    paint = _paint(one)
    eye_x = view.pose.x - one.x + 0.5 * view.pose.bend * one.s * one.s
    eye_u, eye_v = eye_x * cos - one.s * sin, -eye_x * sin - one.s * cos
    for panel in _panels(one.kind):
        u, v, z = panel.points[0]
        across, along = panel.normal
        if across == along == 0:
            if z > view.pose.height + 0.1:
                continue
        elif across * (eye_u - u) + along * (eye_v - v) <= 0:
            continue
        color, glow = _part_color(panel.part, paint, one, view)
        view.face([place(point) for point in panel.points], color, glow)
    _draw_halos(view, one)


def _draw_halos(view: View, one: Placed) -> None:
    """Light around the lamps of the end that faces the camera."""
    along = math.cos(one.yaw)
    if one.parked or abs(along) < 0.5:
        return
    length, width, _ = SIZES_M[one.kind]
    ahead = one.s > 0
    s = one.s - length / 2 * (1 if ahead else -1)
    rear = (along > 0) == ahead
    dark = view.palette.dark
    if rear:
        color, radius = (_BRAKE, 0.95) if one.braking else (_TAIL_HALO, 0.45 if dark else 0.0)
    else:
        hazy = view.palette.weather in ("rain", "fog", "snow")
        color, radius = _HEAD, 1.1 if dark else 0.6 if hazy else 0.0
    if radius:
        for way in (-1, 1):
            view.halo(one.x + way * (width / 2 - 0.25), s, 0.75, radius, color)
