"""The search page in a real browser: first paint, first hits, a map of many points, and how it moves.

    python benchmarks/page.py --bundle output [--moments 100000] [--points 1000000]

The bundle's encoders and heads serve ``--moments`` moments. ``--points`` makes the map larger still, with
made-up places. Plotly's WebGL scatter draws as many points beside it. The browser draws by processor
(SwiftShader): any graphics card is faster.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright
from serve import Server, grown

FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
PAINT_SECONDS, MAP_SECONDS = 1.0, 2.0
RUNS = 3
TIMES = """async () => {
  const busy = () => document.querySelector('#hits').getAttribute('aria-busy') !== 'false';
  while (busy()) await new Promise((done) => setTimeout(done, 5));
  const hits = performance.now();
  while (!performance.getEntriesByName('map').length) await new Promise((done) => setTimeout(done, 5));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const paint = performance.getEntriesByName('first-contentful-paint')[0].startTime;
  return [paint, hits, performance.getEntriesByName('map')[0].startTime];
}"""
PAN = """async () => {
  const over = document.querySelector('.over');
  const send = (kind, x) => over.dispatchEvent(new PointerEvent(kind, {
    pointerId: 1, clientX: 1000 + x, clientY: 400, bubbles: true, pointerType: 'mouse' }));
  over.setPointerCapture = () => {};
  const frames = [];
  let last = await new Promise(requestAnimationFrame);
  send('pointerdown', 0);
  for (let step = 1; step <= 60; step += 1) {
    send('pointermove', 10 + 3 * step);
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  send('pointerup', 200);
  return frames;
}"""
PLOT = """async ([xs, ys, kinds]) => {
  const start = performance.now();
  const node = document.querySelector('#plot');
  const traces = [...new Set(kinds)].map((kind) => {
    const mine = kinds.flatMap((one, place) => (one === kind ? [place] : []));
    const [x, y] = [xs, ys].map((all) => mine.map((place) => all[place]));
    return { type: 'scattergl', mode: 'markers', x, y, marker: { size: 3 } };
  });
  await Plotly.newPlot(node, traces, { dragmode: 'pan', width: 540, height: 700 });
  await new Promise(requestAnimationFrame);
  const shown = performance.now() - start;
  const frames = [];
  let last = await new Promise(requestAnimationFrame);
  for (let step = 0; step < 20; step += 1) {
    await Plotly.relayout(node, { 'xaxis.range': [-3 + step / 50, 3 + step / 50] });
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  return [shown, frames];
}"""


def looked_at(browser: Any, url: str, points: int | None) -> tuple[list[float], list[float]]:
    """Milliseconds to first paint, hits and map; and of each frame while the map is dragged."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    if points is not None:
        for path, make in made_up(points).items():
            page.route(path, answer(make()))
    page.goto(f"{url}/?q=rain")
    times = page.evaluate(TIMES)
    page.wait_for_timeout(1500)
    frames = page.evaluate(PAN)
    context.close()
    return times, frames


def answer(content: bytes) -> Callable[[Any], None]:
    return lambda route: route.fulfill(body=content, content_type="application/octet-stream")


def made_up(count: int) -> dict[str, Callable[[], bytes]]:
    """The map's files for so many points."""
    generator = np.random.default_rng(0)
    places = generator.standard_normal((2, count)).astype("<f4")
    codes = generator.integers(0, 8, count).astype("<u2")
    names = b'["a","b","c","d","e","f","g","h"]'
    head = b"MMSCOL01" + struct.pack("<II", 1, count)
    padding = b"\0\0" * (count % 2)
    return {
        "**/map": lambda: b"MMSMAP01" + struct.pack("<I", count) + places.tobytes(),
        "**/map/column/*": lambda: head + codes.tobytes() + padding + struct.pack("<I", len(names)) + names,
    }


def plotly(browser: Any, count: int) -> tuple[float, list[float]]:
    """The same by Plotly, whose program has been read already: milliseconds to the plot, and of frames."""
    import plotly as package

    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_content("<div id=plot></div>")
    page.add_script_tag(path=Path(package.__file__).parent / "package_data" / "plotly.min.js")
    generator = np.random.default_rng(0)
    places = generator.standard_normal((2, count))
    shown, frames = page.evaluate(PLOT, [*places.tolist(), generator.integers(0, 8, count).tolist()])
    page.context.close()
    return shown, frames


def told(name: str, times: list[float], frames: list[float]) -> None:
    paint, hits, chart = times
    middle, slow = statistics.median(frames), sorted(frames)[int(0.95 * len(frames))]
    seconds = " ".join(f"{one / 1e3:8.2f} s" for one in (paint, hits, chart))
    print(f"{name:<32}{seconds} {middle:8.0f} ms {slow:6.0f} ms")


def main() -> None:
    """Print the medians of several visits, each by a new visitor with nothing in the cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--moments", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=1_000_000)
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        server = Server(grown(asked.bundle, Path(folder) / "bundle", asked.moments))
        print(f"{'':<32}{'paint':>10} {'hits':>10} {'map':>10} {'frame p50':>11} {'p95':>9}")
        try:
            for name, points in (
                (f"{asked.moments:,} moments", None),
                (f"{asked.points:,} points", asked.points),
            ):
                first = looked_at(browser, server.url, points)
                told(f"{name}, first visit", *first)
                visits = [looked_at(browser, server.url, points) for _ in range(RUNS)]
                times = [statistics.median(one) for one in zip(*(one[0] for one in visits), strict=True)]
                told(f"{name}, later", times, [frame for one in visits for frame in one[1]])
        finally:
            server.end()
        print(f"bars: first paint {PAINT_SECONDS:g} s, map of 100,000 points {MAP_SECONDS:g} s")
        for count in (asked.moments, asked.points):
            shown, frames = plotly(browser, count)
            frame = statistics.median(frames)
            print(f"Plotly's scattergl, {count:,} points: {shown / 1e3:.2f} s, frame {frame:.0f} ms")
        browser.close()


if __name__ == "__main__":
    main()
