"""Draws the pictures of the search page in a real browser, over a bundle of the sample world.

python train.py --use-sample-data --include-timeseries --sample-scenes 200
python docs/images/make_page.py output
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
QUIET_MS = 4000  # pictures and the map have come by then


@dataclass(frozen=True)
class Shot:
    """What is asked, and how it is looked at."""

    name: str
    query: str
    width_px: int = 1440
    height_px: int = 900
    scheme: str = "light"
    locale: str = "en-GB"
    opened: bool = False


SHOTS = (
    Shot("page-light", "?q=a+bus+in+the+rain&not=night&colour=weather"),
    Shot("page-dark", "?q=night,+wet+road&f.weather=%3Drain&f.weather=%3Dfog&colour=place", scheme="dark"),
    Shot("page-japanese", "?q=雨の夜、右折&colour=time_of_day", locale="ja-JP"),
    Shot("page-moment", "?q=hard+braking+behind+a+truck", opened=True),
    Shot("page-phone", "?q=snow+on+a+bridge", width_px=375, height_px=812),
)


@contextmanager
def served(bundle: Path, folder: Path) -> Iterator[str]:
    """The address of a server over the bundle."""
    command = [sys.executable, "-m", "multimodal_search", "serve", "--bundle", str(bundle), "--port", "0"]
    process = subprocess.Popen([*command, "--cache-dir", str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                yield found[0]
                return
        raise SystemExit("the server has ended")
    finally:
        process.terminate()
        process.wait()


def picture(browser: Any, address: str, shot: Shot) -> Image.Image:
    """The page as it is seen, after everything has come."""
    context = browser.new_context(
        viewport={"width": shot.width_px, "height": shot.height_px},
        color_scheme=shot.scheme,
        locale=shot.locale,
        device_scale_factor=1 if shot.width_px > 1000 else 2,
    )
    page = context.new_page()
    page.goto(f"{address}/{shot.query}")
    page.wait_for_timeout(QUIET_MS)
    if shot.opened:
        page.locator(".card-open").first.click()
        page.locator(".plot:not(.waiting)").hover(position={"x": 215, "y": 20})
        page.mouse.down()
        page.mouse.move(580, 700, steps=4)
        page.mouse.up()
        page.wait_for_timeout(QUIET_MS)
    content = page.screenshot()
    context.close()
    return Image.open(io.BytesIO(content)).convert("RGB")


def main() -> None:
    """Write page-*.png."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with served(Path(sys.argv[1]), Path(folder)) as address:
            urlopen(f"{address}/map/clusters").read()  # names are made when they are first asked for
            for shot in SHOTS:
                # without k-means the small blue of a button is lost among the greys of the pictures
                few = picture(browser, address, shot).quantize(256, kmeans=3, dither=Image.Dither.NONE)
                few.save(HERE / f"{shot.name}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
