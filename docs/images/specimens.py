"""Draws the pictures of docs/specimens.md from procedural shapes (and the page from a run of the chain).

multimodal-search sample --format meshes --scenes 120 --out meshes
multimodal-search specimens --in meshes --out specimens --encoder sample/vit --align principal --labels folder
python docs/images/specimens.py specimens
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from multimodal_search.rendering.shapes import CLASSES
from multimodal_search.rendering.views import Looks, draw_views
from multimodal_search.rendering.zbuffer import ZBuffer

HERE = Path(__file__).parent
TILE_PX, WIDE_PX = 150, 900


def save(picture: Image.Image, name: str) -> None:
    """Few colours and few bytes."""
    picture.quantize(256).save(HERE / name, optimize=True)


def views() -> None:
    """Twelve views of one specimen in two rows."""
    shape = CLASSES["shell"](np.random.default_rng(0))
    sheet = Image.new("RGB", (6 * TILE_PX, 2 * TILE_PX), "white")
    looks = Looks(views=12, size=3 * TILE_PX)
    for view, picture in enumerate(draw_views(shape, ZBuffer(3 * TILE_PX, (255, 255, 255)), looks)):
        tile = Image.fromarray(picture.pixels).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
        sheet.paste(tile, (TILE_PX * (view % 6), TILE_PX * (view // 6)))
    save(sheet, "specimen-views.png")


def page(out: Path) -> None:
    """The top of the page, as a browser shows it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player, tempfile.TemporaryDirectory() as folder:
        browser = player.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1220, "height": 1200})
        tab.goto((out / "index.html").resolve().as_uri())
        tab.wait_for_timeout(500)
        tab.screenshot(path=f"{folder}/page.png")
        browser.close()
        with Image.open(f"{folder}/page.png") as whole:
            size = (WIDE_PX, round(WIDE_PX * whole.height / whole.width))
            save(whole.convert("RGB").resize(size, Image.Resampling.LANCZOS), "specimens-page.png")


if __name__ == "__main__":
    views()
    if len(sys.argv) > 1:
        page(Path(sys.argv[1]))
