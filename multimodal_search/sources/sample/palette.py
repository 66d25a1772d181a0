"""Colours of a scene: what weather, hour, distance and headlights make of a surface's own colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

from multimodal_search.sources.sample.world import SampleScene

Color = tuple[int, int, int]

_SKY: dict[tuple[str, str], tuple[Color, Color]] = {  # (hour, weather) -> zenith, horizon
    ("day", "clear"): ((52, 118, 208), (188, 216, 242)),
    ("day", "cloudy"): ((138, 147, 158), (198, 203, 208)),
    ("day", "rain"): ((92, 101, 113), (146, 153, 162)),
    ("day", "fog"): ((190, 194, 198), (204, 207, 210)),
    ("day", "snow"): ((168, 176, 188), (216, 221, 228)),
    ("dusk", "clear"): ((54, 48, 112), (255, 150, 76)),
    ("dusk", "cloudy"): ((78, 62, 92), (214, 132, 104)),
    ("dusk", "rain"): ((56, 50, 74), (160, 104, 92)),
    ("dusk", "fog"): ((146, 114, 114), (204, 152, 126)),
    ("dusk", "snow"): ((104, 94, 134), (226, 170, 152)),
    ("night", "clear"): ((5, 8, 26), (24, 32, 66)),
    ("night", "cloudy"): ((36, 34, 42), (74, 66, 64)),
    ("night", "rain"): ((9, 11, 18), (30, 33, 43)),
    ("night", "fog"): ((40, 44, 51), (66, 70, 78)),
    ("night", "snow"): ((26, 31, 48), (64, 71, 92)),
}
_LIGHT: dict[str, tuple[float, float, float]] = {
    "day": (1.0, 1.0, 1.0),
    "dusk": (0.74, 0.58, 0.56),
    "night": (0.21, 0.23, 0.33),
}
_DIM = {"clear": 1.04, "cloudy": 0.85, "rain": 0.68, "fog": 0.84, "snow": 0.92}
_DENSITY = {"clear": 0.0012, "cloudy": 0.002, "rain": 0.007, "fog": 0.042, "snow": 0.011}
_REAR_LAMPS = 0.35
_HEADLIGHTS = {"day": 0.0, "dusk": 0.25, "night": 1.0}

ASPHALT: Color = (82, 84, 89)
ASPHALT_WET: Color = (56, 59, 67)
ASPHALT_SNOW: Color = (138, 143, 151)
PAVEMENT: Color = (156, 153, 148)
GRASS: Color = (88, 124, 62)
EARTH: Color = (150, 124, 92)
WATER: Color = (62, 100, 128)
SNOW: Color = (236, 240, 247)
PAINT: Color = (240, 240, 236)
PAINT_YELLOW: Color = (245, 190, 40)
CONCRETE: Color = (168, 166, 160)
STEEL: Color = (120, 124, 130)


@dataclass(frozen=True, slots=True)
class Palette:
    """Light and air of one picture."""

    sky_top: Color
    sky_low: Color
    light: tuple[float, float, float]
    density: float
    headlights: float
    weather: str
    time_of_day: str

    @property
    def dark(self) -> bool:
        """Whether lamps are lit."""
        return self.time_of_day != "day"

    @property
    def wet(self) -> bool:
        return self.weather == "rain"

    @property
    def snowy(self) -> bool:
        return self.weather == "snow"

    def shade(self, color: Color, distance_m: float, glow: float = 0.0) -> Color:
        """A surface's colour as the camera sees it from that distance.

        Args:
            glow: 0 for a surface that is lit, 1 for one that shines by itself.
        """
        beam = self.headlights * 1.5 * math.exp(-((distance_m / 19.0) ** 2))
        clear = math.exp(-self.density * distance_m * (1.0 - 0.55 * glow))
        mixed = []
        for own, light, air in zip(color, self.light, self.sky_low, strict=True):
            seen = own * min(light + beam * 0.62, 1.05) * (1 - glow) + own * glow
            mixed.append(min(255, int(seen * clear + air * (1 - clear))))
        return mixed[0], mixed[1], mixed[2]

    def ground(self, color: Color) -> Color:
        """What snow makes of open ground."""
        return SNOW if self.snowy else color

    def road(self) -> Color:
        """The road's surface: dry, wet, or ploughed."""
        return ASPHALT_SNOW if self.snowy else ASPHALT_WET if self.wet else ASPHALT


def make_palette(scene: SampleScene, jitter: float, *, forward: bool) -> Palette:
    """The palette of a scene.

    Args:
        jitter: -1..1, varies light and air a little.
        forward: whether the camera looks where the headlights shine; behind there are only the rear lamps.
    """
    top, low = _SKY[scene.time_of_day, scene.weather]
    scale = _DIM[scene.weather] * (1 + 0.07 * jitter)
    if scene.weather == "snow" and scene.time_of_day == "night":
        scale *= 1.35  # snow gives the street lights back
    red, green, blue = _LIGHT[scene.time_of_day]
    return Palette(
        sky_top=scaled(top, 1 + 0.06 * jitter),
        sky_low=scaled(low, 1 + 0.05 * jitter),
        light=(red * scale, green * scale, blue * scale),
        density=_DENSITY[scene.weather] * (1 + 0.2 * jitter),
        headlights=_HEADLIGHTS[scene.time_of_day] * (1.0 if forward else _REAR_LAMPS),
        weather=scene.weather,
        time_of_day=scene.time_of_day,
    )


def scaled(color: Color, factor: float) -> Color:
    """A lighter or darker colour."""
    red, green, blue = color
    return min(255, int(red * factor)), min(255, int(green * factor)), min(255, int(blue * factor))


def mixed(one: Color, other: Color, share: float) -> Color:
    """``share`` of the other colour in the first."""
    red, green, blue = (int(a * (1 - share) + b * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
