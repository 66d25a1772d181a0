"""A picture of a scene: what a camera of the car sees at a moment."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial

from PIL import Image, ImageDraw

from multimodal_search.errors import DataError
from multimodal_search.sources.sample.draw_buildings import Thing
from multimodal_search.sources.sample.draw_dashboard import draw_dashboard
from multimodal_search.sources.sample.draw_people import draw_cyclist, draw_motorcycle, draw_pedestrian
from multimodal_search.sources.sample.draw_place import scenery
from multimodal_search.sources.sample.draw_road import draw_ground
from multimodal_search.sources.sample.draw_signals import traffic_lights
from multimodal_search.sources.sample.draw_vehicles import draw_vehicle
from multimodal_search.sources.sample.draw_weather import add_grain, draw_precipitation, draw_sky
from multimodal_search.sources.sample.layout import Layout, make_layout
from multimodal_search.sources.sample.palette import make_palette
from multimodal_search.sources.sample.signals import make_drive
from multimodal_search.sources.sample.traffic import Placed, place_users
from multimodal_search.sources.sample.view import CAMERAS, View
from multimodal_search.sources.sample.world import SampleScene

SIZE_PX = (480, 270)
JPEG_QUALITY = 88
_OVERSAMPLE = 2  # drawn larger and averaged: Pillow's polygons have no smooth edges of their own
_DRAWERS = {"pedestrian": draw_pedestrian, "cyclist": draw_cyclist, "motorcycle": draw_motorcycle}


def render(
    scene: SampleScene,
    camera: str = "CAM_FRONT",
    time_seconds: float | None = None,
    size: tuple[int, int] = SIZE_PX,
) -> Image.Image:
    """The RGB picture of a scene, always the same for the same arguments.

    Args:
        camera: one of ``view.CAMERAS``, named as on nuScenes.
        time_seconds: 0..20 from the start of the scene; by default the moment that shows the manoeuvre best.
        size: (width, height) in pixels.

    Raises:
        DataError: there is no such camera.
    """
    if camera not in CAMERAS:
        raise DataError(f"Unknown camera {camera!r}", remedy=f"one of {', '.join(CAMERAS)}")
    if time_seconds is None:
        time_seconds = make_drive(scene).moment_seconds
    layout = make_layout(scene, time_seconds)
    users = place_users(layout)
    palette = make_palette(scene, 2 * layout.dice(0) - 1, forward=camera.startswith("CAM_FRONT"))
    large = (size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE)
    image = Image.new("RGB", large, palette.sky_low)
    view = View(image, layout.pose, camera, palette)
    draw_sky(image, view, layout)
    draw_ground(view, layout)
    for thing in sorted(_things(view, layout, users), key=lambda one: -_distance(view, one)):
        thing[2]()
    image = image.reduce(_OVERSAMPLE)
    moment = scene.index * 7919 + round(time_seconds * 20) * 31 + list(CAMERAS).index(camera)
    draw_precipitation(image, palette, moment)
    if camera == "CAM_FRONT":
        draw_dashboard(ImageDraw.Draw(image), size, layout, palette)
    return add_grain(image, moment)


def jpeg(image: Image.Image) -> bytes:
    """The picture as the sample formats store it."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _distance(view: View, thing: Thing) -> float:
    right, depth = view.to_camera(thing[0], thing[1])
    return right * right + depth * depth


def _things(view: View, layout: Layout, users: Sequence[Placed]) -> list[Thing]:
    """Everything that stands on the ground, in front of the camera."""
    things = scenery(view, layout) + traffic_lights(view, layout)
    for one in users:
        draw = _DRAWERS.get(one.kind, draw_vehicle)
        things.append((one.x, one.s, partial(draw, view, one)))
    return [thing for thing in things if view.to_camera(thing[0], thing[1])[1] > -12]
