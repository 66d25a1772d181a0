"""What the front camera sees of its own car: dashboard, steering wheel, lamps of the cluster, a wiper."""

from __future__ import annotations

import math

from PIL import ImageDraw

from multimodal_search.sources.sample.layout import Layout
from multimodal_search.sources.sample.palette import Color, Palette

_RIM: Color = (34, 36, 40)
_GREEN: Color = (60, 245, 110)
_RED: Color = (255, 48, 36)
_SHOWN_TURN = 0.42  # the wheel is drawn less turned than it is, so that left and right stay apart


def draw_dashboard(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], layout: Layout, palette: Palette
) -> None:
    """Draw over the lower edge of a front picture of ``size`` pixels."""
    width, height = size
    unit = height / 270
    light = {"day": 1.0, "dusk": 0.7, "night": 0.4}[palette.time_of_day]
    base = tuple(int(part * light) for part in (58, 58, 62))
    edge = tuple(int(part * light) for part in (84, 84, 90))
    top = height - 30 * unit
    draw.polygon(
        [
            (0, height),
            (0, top + 8 * unit),
            (width * 0.2, top),
            (width * 0.8, top),
            (width, top + 8 * unit),
            (width, height),
        ],
        fill=base,
    )
    draw.line(
        [(0, top + 8 * unit), (width * 0.2, top), (width * 0.8, top), (width, top + 8 * unit)],
        fill=edge,
        width=int(2 * unit),
    )
    # the driver sits on the side of the road's middle
    centre = width * (0.70 if layout.scene.keeps_left else 0.30)
    index = min(max(_index(layout), 0), layout.drive.steering.size - 1)
    _draw_cluster(draw, (centre, top), unit, layout, index)
    _draw_wheel(draw, (centre, height + 16 * unit), unit, float(layout.drive.steering[index]))
    if palette.weather in ("rain", "snow"):
        angle = math.radians(28 + 100 * layout.random(70))
        foot = (width * 0.52, height - 26 * unit)
        tip = (foot[0] - math.cos(angle) * 150 * unit, foot[1] - math.sin(angle) * 150 * unit)
        draw.line((*foot, *tip), fill=(22, 22, 24), width=int(4 * unit))


def _index(layout: Layout) -> int:
    """The sample of the drive that the layout shows."""
    return int(layout.drive.travelled.searchsorted(layout.travelled))


def _draw_wheel(draw: ImageDraw.ImageDraw, centre: tuple[float, float], unit: float, steering: float) -> None:
    x, y = centre
    radius, thick = 58 * unit, int(9 * unit)
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(box, outline=_RIM, width=thick)
    turn = max(-2.2, min(2.2, steering * _SHOWN_TURN))
    hub = (x, y)
    for spoke in (0.0, math.pi, math.pi * 1.5):
        angle = spoke - turn
        tip = (x + math.cos(angle) * (radius - thick), y + math.sin(angle) * (radius - thick))
        draw.line((*hub, *tip), fill=(52, 54, 60), width=int(12 * unit))
    # a bright mark at the top of the rim: where it is says how far the wheel is turned
    middle = -math.pi / 2 - turn
    for step in range(-3, 4):
        angle = middle + step * 0.05
        mark = (x + math.cos(angle) * (radius - thick / 2), y + math.sin(angle) * (radius - thick / 2))
        span = thick * 0.5
        draw.ellipse((mark[0] - span, mark[1] - span, mark[0] + span, mark[1] + span), fill=(236, 190, 40))


def indicator(layout: Layout) -> str:
    """``left``, ``right`` or nothing: what the driver signals at this moment."""
    scene = layout.scene
    index = _index(layout)
    now = index / 50.0
    if not scene.event_seconds - 2.5 <= now <= layout.drive.moment_seconds + 3.0:
        return ""
    outwards = "right" if scene.keeps_left else "left"
    return {
        "turn_left": "left",
        "turn_right": "right",
        "lane_change_left": "left",
        "lane_change_right": "right",
        "u_turn": outwards,
        "overtake": outwards,
    }.get(scene.manoeuvre, "")


def _draw_cluster(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], unit: float, layout: Layout, index: int
) -> None:
    """Indicator arrows, a bar of speed, a warning when the brake is stamped on."""
    x, y = centre
    draw.rounded_rectangle(
        (x - 62 * unit, y - 14 * unit, x + 62 * unit, y + 22 * unit), radius=8 * unit, fill=(14, 15, 18)
    )
    side = indicator(layout)
    for name, way in (("left", -1), ("right", 1)):
        tip, tail = x + way * 56 * unit, x + way * 34 * unit
        row = y - 2 * unit
        fill = _GREEN if side == name else (38, 42, 44)
        draw.polygon(
            [(tip, row), (x + way * 43 * unit, row - 10 * unit), (x + way * 43 * unit, row + 10 * unit)],
            fill=fill,
        )
        inner, outer = sorted((tail, x + way * 44 * unit))
        draw.rectangle((inner, row - 4 * unit, outer, row + 4 * unit), fill=fill)
    speed = min(float(layout.drive.speed[index]) / 32.0, 1.0)
    draw.rectangle((x - 26 * unit, y - 9 * unit, x + 26 * unit, y - 4 * unit), fill=(40, 44, 48))
    draw.rectangle(
        (x - 26 * unit, y - 9 * unit, x - 26 * unit + 52 * unit * speed, y - 4 * unit), fill=(90, 190, 255)
    )
    if float(layout.drive.acceleration[index]) < -3.5:
        draw.polygon(
            [(x, y - 1 * unit), (x - 12 * unit, y + 17 * unit), (x + 12 * unit, y + 17 * unit)], fill=_RED
        )
