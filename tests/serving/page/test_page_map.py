"""The map beside the hits: colours, pictures under the pointer, outlines that filter, clicks that open."""

from __future__ import annotations

import json
import struct
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

expect = pytest.importorskip("playwright.sync_api").expect

Look = Callable[..., Any]
Shown = Callable[[Any], list[str]]


@pytest.fixture(scope="module")
def points(server: str) -> tuple[np.ndarray[Any, Any], list[str]]:
    """(n, 2) places and ids, as the server has them."""
    content = urllib.request.urlopen(f"{server}/map").read()
    count = struct.unpack("<I", content[8:12])[0]
    places = np.frombuffer(content, "<f4", 2 * count, 12).reshape(2, count).T
    return places, json.load(urllib.request.urlopen(f"{server}/map/ids"))


def pixels(page: Any, places: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(n, 2) where the points are on the screen: the whole map is shown, in the middle."""
    box = page.locator(".over").bounding_box()
    low, high = places.min(axis=0), places.max(axis=0)
    zoom = 0.92 * min(box["width"] / (high[0] - low[0]), box["height"] / (high[1] - low[1]))
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    return np.asarray(middle + (places - (low + high) / 2) * zoom * np.array([1, -1]))


def drawn(page: Any) -> None:
    """Wait for the points."""
    page.locator(".legend > :nth-child(2)").wait_for()
    page.wait_for_timeout(100)


def colours(page: Any) -> int:
    """How many colours the points have."""
    script = """() => new Promise((done) => requestAnimationFrame(() => {
      const points = document.querySelector('.points');
      const copy = new OffscreenCanvas(points.width, points.height).getContext('2d');
      dispatchEvent(new Event('resize'));
      copy.drawImage(points, 0, 0);
      const { data } = copy.getImageData(0, 0, points.width, points.height);
      const seen = new Set();
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 150) seen.add(data.slice(at, at + 3).join());
      }
      done(seen.size);
    }))"""
    found: int = page.evaluate(script)
    return found


def test_colours_and_a_scale(look: Look, shown: Shown) -> None:
    page = look("?q=rain")
    shown(page)
    drawn(page)
    page.get_by_label("Colour", exact=True).select_option("weather")
    page.locator(".legend .kind", has_text="rain").wait_for()
    assert page.locator(".legend .kind").count() == 5
    assert "colour=weather" in page.url
    page.get_by_label("Colour", exact=True).select_option("timestamp_us")
    page.locator(".legend .scale").wait_for()
    page.get_by_label("Colour", exact=True).select_option("cluster")
    page.locator(".legend .kind").first.wait_for()


def test_hover_shows_the_picture_and_a_click_opens(look: Look, shown: Shown, points: Any) -> None:
    page = look()
    shown(page)
    drawn(page)
    places, ids = points
    across, down = pixels(page, places)[7]
    page.mouse.move(across - 30, down)
    page.mouse.move(across, down)
    hint = page.locator(".map-hint")
    hint.wait_for()
    assert hint.locator("strong").text_content() == ids[7]
    expect(hint.locator("img")).to_have_js_property("complete", True)
    assert hint.locator("img").evaluate("image => image.naturalWidth") > 0
    page.mouse.click(across, down)
    page.locator("#moment .facts").get_by_text(ids[7], exact=True).first.wait_for()


def test_an_outline_filters_the_hits(look: Look, shown: Shown, points: Any) -> None:
    page = look("?q=rain")
    everything = shown(page)
    drawn(page)
    places, ids = points
    spots = pixels(page, places)
    middle = np.median(spots[:, 0])
    box = page.locator(".over").bounding_box()
    left, right = box["x"] + 3, middle
    top, bottom = box["y"] + 3, box["y"] + box["height"] - 3
    page.get_by_label("Draw around moments").click()
    page.mouse.move(left, top)
    page.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom)):
        page.mouse.move(*corner, steps=12)
    with page.expect_response("**/search") as answer:
        page.mouse.up()
    inside = {one for one, spot in zip(ids, spots, strict=True) if spot[0] < middle}
    chosen = set(json.loads(answer.value.request.post_data)["within"])
    assert len(chosen ^ inside) <= 2, "those on the line may lie on either side"
    hits = shown(page)
    assert set(hits) <= chosen
    assert hits != everything
    page.reload()
    assert shown(page) == hits, "the outline is in the address"
    page.locator("#export summary").click()
    page.get_by_label("The selection on the map").check()
    with page.expect_download() as download:
        page.locator("#export [data-format=json]").click()
    assert {one["id"] for one in json.loads(download.value.path().read_bytes())} == chosen
    page.get_by_label("Remove Map").click()
    page.wait_for_url(lambda url: "area" not in url)
    assert shown(page) == everything


def test_it_moves_by_wheel_drag_and_keys(look: Look, shown: Shown) -> None:
    page = look()
    shown(page)
    drawn(page)
    before = page.locator(".points").screenshot()
    box = page.locator(".over").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)
    nearer = page.locator(".points").screenshot()
    assert nearer != before
    page.keyboard.press("m")
    for key in ("ArrowLeft", "+", "-", "ArrowRight", "0"):
        page.keyboard.press(key)
    page.mouse.move(5, 5)
    page.wait_for_timeout(100)
    assert page.evaluate("document.activeElement.className") == "over"


def test_without_webgl_there_is_a_map(look: Look, shown: Shown, chromium: Any, server: str) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 860})
    context.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind === 'webgl2' ? null : real.call(this, kind, ...rest); };"
    )
    page = context.new_page()
    page.goto(server)
    drawn(page)
    assert colours(page) > 3
    context.close()
