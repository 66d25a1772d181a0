"""Sky behind the scene, and rain, snow, halos and haze in front of it."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from multimodal_search.sources.sample.layout import Layout
from multimodal_search.sources.sample.palette import Color, Palette, mixed, scaled
from multimodal_search.sources.sample.view import View


def draw_sky(image: Image.Image, view: View, layout: Layout) -> None:
    """Gradient, sun or moon, clouds or stars, and a far skyline."""
    palette = view.palette
    horizon = max(2, min(view.height, int(view.horizon) + 2))
    ramp = np.linspace(0, 1, 64)[:, None] ** 1.4
    colors = np.asarray(palette.sky_top) * (1 - ramp) + np.asarray(palette.sky_low) * ramp
    column = Image.fromarray(colors.astype(np.uint8)[:, None, :], "RGB")
    image.paste(column.resize((view.width, horizon), Image.Resampling.BILINEAR), (0, 0))
    bearing = math.atan2(view.to_camera(view.pose.x, 1.0)[0], view.to_camera(view.pose.x, 1.0)[1])
    if palette.weather == "clear":
        _draw_sun_or_stars(view, layout, bearing)
    if palette.weather in ("clear", "cloudy", "rain"):
        _draw_clouds(view, layout, bearing)
    _draw_skyline(view, layout, bearing)


def _column(view: View, angle: float) -> float:
    """Image column of a direction far away; outside the image where it is behind."""
    angle = (angle + math.pi) % (2 * math.pi) - math.pi
    if abs(angle) > 1.3:
        return -9999.0
    return view.width / 2 + view.focal * math.tan(angle)


def _draw_sun_or_stars(view: View, layout: Layout, bearing: float) -> None:
    palette, draw = view.palette, view.draw
    if palette.time_of_day == "night":
        for index in range(60):
            column = layout.dice(50, index) * view.width
            row = layout.dice(51, index) * view.horizon * 0.8
            size = view.width / 700 * (0.5 + layout.dice(52, index))
            draw.ellipse((column - size, row - size, column + size, row + size), fill=(196, 202, 220))
    column = _column(view, (layout.dice(53) - 0.5) * 1.2 + bearing)
    dusk = palette.time_of_day == "dusk"
    row = view.horizon * (0.74 if dusk else 0.22 + 0.2 * layout.dice(54))
    size = view.width * (0.034 if dusk else 0.022)
    rings: list[tuple[float, Color]] = [(1.0, (255, 244, 200))]
    if dusk:
        rings = [(2.6, (255, 176, 90)), (1.7, (255, 206, 120)), (1.0, (255, 240, 190))]
    elif palette.time_of_day == "day":
        rings = [(1.9, mixed(palette.sky_top, (255, 255, 240), 0.45)), (1.0, (255, 253, 232))]
    for factor, color in rings:
        span = size * factor
        draw.ellipse((column - span, row - span, column + span, row + span), fill=color)


def _draw_clouds(view: View, layout: Layout, bearing: float) -> None:
    palette = view.palette
    few = palette.weather == "clear"
    if few and palette.time_of_day == "night":
        return
    tone = mixed(palette.sky_low, (255, 255, 255), 0.55 if few else 0.25)
    if not few:
        tone = mixed(palette.sky_top, palette.sky_low, 0.6)
    for index in range(3 if few else 11):
        angle = (layout.dice(55, index) - 0.5) * 2.4 + bearing
        middle = _column(view, angle)
        row = view.horizon * (0.1 + 0.62 * layout.dice(56, index))
        wide = view.width * (0.05 + 0.09 * layout.dice(57, index)) * (1 if few else 2.0)
        shade = tone if few else scaled(tone, 0.84 + 0.2 * layout.dice(58, index))
        for part in range(4):
            left = middle + (part - 1.5) * wide * 0.55
            tall = wide * (0.22 + 0.14 * layout.dice(59, index, part))
            view.draw.ellipse(
                (left - wide * 0.5, row - tall, left + wide * 0.5, row + tall * 0.8), fill=shade
            )


def _draw_skyline(view: View, layout: Layout, bearing: float) -> None:
    """Hills or far towers along the horizon."""
    palette = view.palette
    if palette.weather == "fog":
        return
    town = layout.scene.place in ("city_street", "intersection", "bridge", "highway")
    base = (70, 84, 104) if town else (72, 96, 84)
    color = mixed(palette.shade(base, 60), palette.sky_low, 0.45 if palette.weather == "clear" else 0.65)
    outline: list[tuple[float, float]] = [(0.0, view.horizon)]
    steps = 28
    for index in range(steps + 1):
        column = view.width * index / steps
        key = int((index / steps - 0.5) * 40 + bearing * 30)
        tall = view.height * (0.012 + (0.075 if town else 0.04) * layout.dice(60, key) ** 1.5)
        if town and index:
            outline.append((column, outline[-1][1]))
        outline.append((column, view.horizon - tall))
    outline += [(float(view.width), view.horizon), (0.0, view.horizon)]
    view.draw.polygon(outline, fill=color)


def draw_precipitation(image: Image.Image, palette: Palette, seed: int) -> None:
    """Streaks of rain or flakes of snow over the finished picture."""
    if palette.weather not in ("rain", "snow"):
        return
    rng = np.random.default_rng(seed)
    overlay = Image.new("L", image.size, 0)
    draw = ImageDraw.Draw(overlay)
    width, height = image.size
    unit = width / 480
    spots = rng.random((150, 4))
    if palette.weather == "rain":
        slant = float(rng.uniform(-0.25, 0.25))
        for x, y, long, strong in spots.tolist():
            tall = (9 + 20 * long) * unit
            start = (x * width, y * height)
            end = (start[0] + slant * tall, start[1] + tall)
            draw.line((*start, *end), fill=int(60 + 90 * strong), width=max(1, round(unit)))
        color = mixed(palette.sky_low, (235, 240, 250), 0.55)
    else:
        for x, y, large, strong in spots.tolist():
            size = (0.7 + 2.4 * large**3) * unit
            column, row = x * width, y * height
            draw.ellipse((column - size, row - size, column + size, row + size), fill=int(150 + 100 * strong))
        color = (250, 252, 255) if palette.time_of_day != "night" else (206, 212, 226)
    image.paste(color, (0, 0), overlay)


@lru_cache(maxsize=4)
def _grain(size: tuple[int, int]) -> Image.Image:
    noise = np.random.default_rng(7).normal(128, 4.0, (size[1] + 16, size[0] + 16))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8), "L")


def add_grain(image: Image.Image, seed: int) -> Image.Image:
    """A sensor's noise, a little different in each picture."""
    from PIL import ImageChops

    grain = _grain(image.size)
    left, top = seed % 16, seed // 16 % 16
    part = grain.crop((left, top, left + image.width, top + image.height))
    return ImageChops.add(image, Image.merge("RGB", (part, part, part)), scale=1.0, offset=-128)
