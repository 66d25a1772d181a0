"""Draws the pictures of the documents: scenes of the demo, what resizing keeps of a frame, a bundle's map.

python docs/images/make.py [BUNDLE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from multimodal_search.encoders.framing import Framing
from multimodal_search.encoders.options import Resize
from multimodal_search.sources.sample.render import render
from multimodal_search.sources.sample.world import make_scenes

HERE = Path(__file__).parent
WANTED = (
    {"weather": "rain", "time_of_day": "night", "manoeuvre": "congestion"},
    {"weather": "clear", "time_of_day": "day", "place": "highway"},
    {"weather": "snow", "time_of_day": "day", "place": "bridge"},
    {"weather": "clear", "time_of_day": "dusk", "place": "intersection"},
    {"weather": "cloudy", "time_of_day": "day", "place": "residential_street", "manoeuvre": "hard_braking"},
    {"weather": "fog", "place": "construction_zone", "manoeuvre": "u_turn"},
)


SIDE = 224  # of the input of most models
KEPT: tuple[tuple[Resize, str], ...] = (
    ("crop", "crop: 44 % of the width is lost"),
    ("pad", "pad: 44 % of the input is black"),
    ("squash", "squash: all, distorted"),
)


def resizing(frame: Image.Image) -> Image.Image:
    """A frame of 16 : 9 with the square that ``crop`` keeps, then the model's input of each way."""
    whole = frame.resize((round(SIDE * frame.width / frame.height), SIDE), Image.Resampling.BICUBIC)
    left = (whole.width - SIDE) // 2
    ImageDraw.Draw(whole).rectangle((left, 1, left + SIDE, SIDE - 2), outline=(255, 60, 30), width=3)
    panels = [("1600 x 900", whole)]
    for resize, title in KEPT:
        pixels = Framing((SIDE, SIDE), resize).of_array(np.asarray(frame.convert("RGB")))
        panels.append((title, Image.fromarray(pixels)))
    sheet = Image.new("RGB", (sum(one.width + 10 for _, one in panels) - 10, SIDE + 18), "white")
    across = 0
    for title, panel in panels:
        ImageDraw.Draw(sheet).text((across, 2), title, fill="black")
        sheet.paste(panel, (across, 18))
        across += panel.width + 10
    return sheet


def main() -> None:
    """Write sample-world.jpg and resize.png, and umap.png where a bundle is given."""
    scenes = make_scenes(2000, 0)
    sheet = Image.new("RGB", (3 * 480 + 20, 2 * 270 + 10), "white")
    for place, wanted in enumerate(WANTED):
        scene = next(
            one for one in scenes if all(getattr(one, key) == value for key, value in wanted.items())
        )
        sheet.paste(render(scene), ((place % 3) * 490, (place // 3) * 280))
    sheet.save(HERE / "sample-world.jpg", quality=85)
    busy = next(one for one in scenes if one.place == "intersection" and one.time_of_day == "day")
    resizing(render(busy)).quantize(192).save(HERE / "resize.png", optimize=True)
    if len(sys.argv) > 1:
        with Image.open(Path(sys.argv[1]) / "umap.png") as chart:
            small = chart.convert("RGB").resize(
                (1300, round(1300 * chart.height / chart.width)), Image.Resampling.LANCZOS
            )
            small.save(HERE / "umap.png", optimize=True)


if __name__ == "__main__":
    main()
