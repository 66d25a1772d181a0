"""What the front camera sees of its own car: dashboard, steering wheel, lamps of the cluster, a wiper."""

from __future__ import annotations

import math

from PIL import ImageDraw

from multimodal_search.sources.sample.layout import Layout
from multimodal_search.sources.sample.palette import Color, Palette

_RIM: Color = (66, 69, 76)
_SPOKE: Color = (48, 50, 56)
_MARK: Color = (240, 180, 40)
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
    top = height - 34 * unit
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
    index = layout.index
    _draw_cluster(draw, (centre, height - 18 * unit), unit, layout, index)
    _draw_wheel(draw, (centre, height + 34 * unit), unit, float(layout.drive.steering[index]))
    if palette.weather in ("rain", "snow"):
        angle = math.radians(28 + 100 * layout.dice(70))
        foot = (width * 0.52, height - 26 * unit)
        tip = (foot[0] - math.cos(angle) * 150 * unit, foot[1] - math.sin(angle) * 150 * unit)
        draw.line((*foot, *tip), fill=(22, 22, 24), width=int(4 * unit))


def _draw_wheel(draw: ImageDraw.ImageDraw, centre: tuple[float, float], unit: float, steering: float) -> None:
    """The upper arc of the rim; its bright mark and its spokes turn with the wheel."""
    x, y = centre
    radius, thick = 84 * unit, 9 * unit
    turn = max(-2.4, min(2.4, steering * _SHOWN_TURN))
    for spoke in (0.0, math.pi):
        angle = spoke - turn
        tip = (x + math.cos(angle) * radius, y + math.sin(angle) * radius)
        draw.line((x, y, *tip), fill=_SPOKE, width=int(13 * unit))
    for grow, color, width in ((1.5 * unit, (18, 19, 22), thick + 3 * unit), (0.0, _RIM, thick)):
        span = radius + grow
        draw.ellipse((x - span, y - span, x + span, y + span), outline=color, width=int(width))
    middle = -90.0 - math.degrees(turn)
    draw.arc(
        (x - radius, y - radius, x + radius, y + radius), middle - 8, middle + 8, fill=_MARK, width=int(thick)
    )


def indicator(layout: Layout) -> str:
    """``left``, ``right`` or nothing: what the driver signals at this moment."""
    scene = layout.scene
    now = float(layout.drive.times[layout.index])
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
    screen = (x - 58 * unit, y - 15 * unit, x + 58 * unit, y + 20 * unit)
    draw.rounded_rectangle(screen, radius=9 * unit, fill=(14, 15, 18))
    side = indicator(layout)
    for name, way in (("left", -1), ("right", 1)):
        fill = _GREEN if side == name else (38, 42, 44)
        base = x + way * 38 * unit
        draw.polygon([(x + way * 54 * unit, y), (base, y - 12 * unit), (base, y + 12 * unit)], fill=fill)
        inner, outer = sorted((x + way * 28 * unit, base))
        draw.rectangle((inner, y - 5 * unit, outer, y + 5 * unit), fill=fill)
    speed = min(float(layout.drive.speed[index]) / 32.0, 1.0)
    bar = (x - 24 * unit, y - 10 * unit, x + 24 * unit, y - 5 * unit)
    draw.rectangle(bar, fill=(40, 44, 48))
    draw.rectangle((bar[0], bar[1], bar[0] + 48 * unit * speed, bar[3]), fill=(90, 190, 255))
    if float(layout.drive.acceleration[index]) < -3.5:
        foot = y + 15 * unit
        draw.polygon([(x, y - 3 * unit), (x - 13 * unit, foot), (x + 13 * unit, foot)], fill=_RED)
