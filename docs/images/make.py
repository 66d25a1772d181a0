"""Draws the pictures of README.md: six scenes of the demo's world, and the map of a bundle.

python docs/images/make.py [BUNDLE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

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


def main() -> None:
    """Write sample-world.jpg, and umap.png where a bundle is given."""
    scenes = make_scenes(2000, 0)
    sheet = Image.new("RGB", (3 * 480 + 20, 2 * 270 + 10), "white")
    for place, wanted in enumerate(WANTED):
        scene = next(
            one for one in scenes if all(getattr(one, key) == value for key, value in wanted.items())
        )
        sheet.paste(render(scene), ((place % 3) * 490, (place // 3) * 280))
    sheet.save(HERE / "sample-world.jpg", quality=85)
    if len(sys.argv) > 1:
        with Image.open(Path(sys.argv[1]) / "umap.png") as chart:
            small = chart.convert("RGB").resize(
                (1300, round(1300 * chart.height / chart.width)), Image.Resampling.LANCZOS
            )
            small.save(HERE / "umap.png", optimize=True)


if __name__ == "__main__":
    main()
