"""What makes a car stop: traffic lights and stop signs."""

from __future__ import annotations

import math

from multimodal_search.sources.sample.draw_buildings import Thing
from multimodal_search.sources.sample.layout import JUNCTION_WIDTH_M, Layout
from multimodal_search.sources.sample.palette import STEEL
from multimodal_search.sources.sample.view import View
from multimodal_search.sources.sample.world import STOP_SIGN_PLACES


def traffic_lights(view: View, layout: Layout) -> list[Thing]:
    """Signals at a crossing, or the one thing that makes the car stop elsewhere."""
    scene, road = layout.scene, layout.road
    red = scene.manoeuvre == "stop"
    if scene.place == "intersection" and layout.junction_s is not None:
        far = layout.junction_s + JUNCTION_WIDTH_M + 1.0
        near = layout.junction_s - 0.5
        x = road.side * (road.kerb_m + 0.8)
        return [
            (x, far, lambda: _signal(view, x, far, layout.ego_lane_x, red)),
            (x, near, lambda: _signal(view, x, near, None, red)),
        ]
    if red and layout.stop_line_s is not None:
        at = layout.stop_line_s + 13.0
        x = road.side * (road.kerb_m + 0.7)
        if scene.place in STOP_SIGN_PLACES:
            return [(x, at - 9.5, lambda: _stop_sign(view, x, at - 9.5))]
        return [(x, at, lambda: _signal(view, x, at, layout.ego_lane_x, red))]
    return []


def _signal(view: View, x: float, s: float, over: float | None, red: bool) -> None:
    """A post with a head, or an arm that holds the head over the lane."""
    head_x, z, scale = (over, 4.6, 1.3) if over is not None else (x, 2.4, 1.0)
    view.line((x, s, 0), (x, s, z + 0.6 if over is not None else z), 0.2, STEEL)
    if over is not None:
        view.line((x, s, z + 0.6), (over, s, z + 0.6), 0.16, STEEL)
    view.board(head_x, s, z - 0.35 * scale, 0.75 * scale, 1.75 * scale, (24, 26, 28))
    colors = (((70, 30, 30), (70, 60, 30), (60, 250, 130)), ((255, 40, 30), (70, 60, 30), (30, 62, 44)))[red]
    for k, color in enumerate(colors):
        lit = (k == 0) == red and k != 1
        view.disc(head_x, s, z + (1.1 - 0.53 * k) * scale, 0.24 * scale, color, 0.95 if lit else 0.0)


def _stop_sign(view: View, x: float, s: float) -> None:
    view.line((x, s, 0), (x, s, 2.4), 0.12, STEEL)
    for radius, color in ((0.72, (246, 246, 246)), (0.64, (206, 22, 28))):
        ring = [
            (
                x + radius * math.cos((k + 0.5) * math.pi / 4),
                s,
                2.5 + radius * math.sin((k + 0.5) * math.pi / 4),
            )
            for k in range(8)
        ]
        view.face(ring, color, 0.35)
    view.words(x, s, 2.5, 0.42, "STOP", (246, 246, 246))
