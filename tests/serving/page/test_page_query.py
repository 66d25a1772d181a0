"""What is asked on the page is what is found: words, pictures, signals, filters, votes, addresses."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

Look = Callable[..., Any]
Shown = Callable[[Any], list[str]]


def asked(server: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The hits that the API itself gives."""
    request = urllib.request.Request(
        f"{server}/search", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    hits: list[dict[str, Any]] = json.load(urllib.request.urlopen(request))["hits"]
    return hits


def settle(page: Any, act: Callable[[], Any]) -> dict[str, Any]:
    """Do something that searches; what the page asked the server."""
    with page.expect_response(lambda one: one.request.method == "POST" and "/search" in one.url) as answer:
        act()
    answer.value.finished()
    page.locator("#hits[aria-busy=false]").wait_for(state="attached")
    body: dict[str, Any] = json.loads(answer.value.request.post_data or "{}")
    return body


def test_words_and_not_words(look: Look, shown: Shown, server: str) -> None:
    page = look()
    assert len(shown(page)) == 12, "before anything is asked, moments from all over"
    page.get_by_role("searchbox", name="Words", exact=False).first.fill("a bus in the rain")
    settle(page, lambda: page.keyboard.press("Enter"))
    parts = [{"text": "a bus in the rain", "weight": 1.0}]
    assert shown(page) == [one["id"] for one in asked(server, {"parts": parts, "k": 24})]
    page.get_by_label("Not these words").fill("night")
    settle(page, lambda: page.keyboard.press("Enter"))
    parts.append({"text": "night", "weight": -1.0})
    assert shown(page) == [one["id"] for one in asked(server, {"parts": parts, "k": 24})]
    assert "not=night" in page.url


def test_words_are_searched_while_they_are_typed(look: Look, shown: Shown) -> None:
    page = look()
    shown(page)
    body = settle(page, lambda: page.locator("#words").press_sequentially("snow"))
    assert body["parts"] == [{"text": "snow", "weight": 1}]
    assert "q=snow" in page.url
    settle(page, lambda: page.locator("#words").press_sequentially(" storm"))
    page.go_back()
    page.wait_for_url(lambda url: "q=" not in url)
    assert page.locator("#words").input_value() == "", "one step back for all that was typed at once"


def test_weights(look: Look, shown: Shown, server: str) -> None:
    page = look("?q=rain&not=night")
    shown(page)
    slider = page.get_by_label("Weight of not words: night")
    slider.focus()
    body = settle(page, lambda: page.keyboard.press("ArrowLeft"))
    assert body["parts"][1] == {"text": "night", "weight": -0.9}
    assert "not-weight=0.9" in page.url
    assert slider.evaluate("node => node === document.activeElement"), "the next press moves it, too"


DROP = """([kind, content]) => {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "picture.jpg", { type: "image/jpeg" }));
  const carried = kind === "paste" ? { clipboardData: files } : { dataTransfer: files };
  const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
  if (kind === "drop") document.body.dispatchEvent(new DragEvent("dragenter", { ...carried, bubbles: true }));
  document.body.dispatchEvent(new Kind(kind, { ...carried, bubbles: true, cancelable: true }));
}"""


def test_a_picture_dropped_and_pasted(look: Look, shown: Shown, server: str) -> None:
    page = look()
    wanted = shown(page)[5]
    picture = base64.b64encode(
        urllib.request.urlopen(f"{server}/images/{quote(wanted, safe='')}").read()
    ).decode()
    for way in ("drop", "paste"):
        body = settle(page, lambda way=way: page.evaluate(DROP, [way, picture]))
        assert shown(page)[0] == wanted, way
        assert "image" in body["parts"][-1]
        assert page.locator("#drop").is_hidden()
    assert page.locator(".chip img").count() == 2
    page.reload()
    assert shown(page)[0] == wanted, "the address still names the upload"


def test_a_stretch_of_signal(look: Look, shown: Shown, server: str) -> None:
    page = look("?q=hard%20braking")
    first = shown(page)[0]
    page.locator(".card-open").first.click()
    plot = page.locator(".plot:not(.waiting)")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 30, steps=5)
    page.mouse.up()
    body = settle(page, page.get_by_role("button", name="Search this stretch").click)
    stretch = body["parts"][0]["series_of"]
    assert stretch["id"] == first
    assert 4.5 < stretch["start_seconds"] < 5.5
    assert 14.3 < stretch["end_seconds"] < 15.5
    assert not page.locator("#moment").is_visible()
    assert shown(page) == [one["id"] for one in asked(server, body)]
    page.reload()
    assert shown(page) == [one["id"] for one in asked(server, body)], "the stretch is in the address"


def test_filters(look: Look, shown: Shown, server: str) -> None:
    page = look("?q=car")
    shown(page)
    page.locator("#filters summary", has_text="weather").click()
    settle(page, page.get_by_label("rain", exact=True).check)
    body = settle(page, page.get_by_label("snow", exact=True).check)
    hits = asked(server, body)
    assert {one["metadata"]["weather"] for one in hits} == {"rain", "snow"}
    assert shown(page) == [one["id"] for one in hits]
    page.locator("#filters summary", has_text="Expression").click()
    page.get_by_label("Condition on metadata").fill("weather == 'rain'")
    body = settle(page, page.get_by_role("button", name="Apply").click)
    assert {one["metadata"]["weather"] for one in asked(server, body)} == {"rain"}
    page.go_back()
    assert set(shown(page)) >= {one["id"] for one in hits}


def test_filters_alone(look: Look, shown: Shown) -> None:
    page = look("?f.weather=%3Drain")
    ids = shown(page)
    assert ids
    assert "rain" in page.locator(".about").first.text_content()
    assert page.locator(".score").count() == 0, "nothing was asked that could be scored"


def test_a_mistake_in_an_expression_is_told(look: Look) -> None:
    page = look("?q=car&where=weather%20%3D%20%27rain%27", allow=("422",))
    page.locator("#problem", has_text="==").wait_for()


def test_votes_become_a_scenario(look: Look, shown: Shown) -> None:
    page = look("?q=rain")
    before = shown(page)
    page.locator(".card").nth(2).get_by_label("Belongs to it").click()
    page.locator(".card").nth(0).get_by_label("Does not belong to it").click()
    name = "wet <b>roads</b> / 1"
    page.get_by_label("Name of the scenario").fill(name)
    page.get_by_role("button", name="Save scenario").click()
    page.wait_for_url("**scenario=**")
    after = shown(page)
    assert after.index(before[2]) < after.index(before[0])
    page.goto(page.url.split("?")[0])
    shown(page)
    page.locator("#scenarios summary").click()
    page.get_by_role("button", name=f"Run {name}").click()
    page.wait_for_url("**scenario=**")
    assert shown(page) == after
    page.locator(".votes .count", has_text="1 up, 1 down").wait_for()
    page.get_by_role("button", name="Clear votes").click()  # both are taken back
    page.locator(".votes .count", has_text="0 up, 0 down").wait_for()
    page.get_by_role("button", name="Save scenario").click()
    page.locator("#votes").wait_for(state="hidden")
    assert shown(page) == before
    page.once("dialog", lambda one: one.accept())
    page.locator("#scenarios summary").click()
    page.get_by_role("button", name=f"Delete the scenario {name}").click()
    page.locator("#scenarios", has_text="None yet").wait_for()


def test_more_like_this_and_back(look: Look, shown: Shown) -> None:
    page = look("?q=tunnel")
    before = shown(page)
    settle(page, page.locator(".card").nth(3).get_by_role("button", name="More like this").click)
    assert shown(page)[0] == before[3]
    page.go_back()
    expect(page.locator("#words")).to_have_value("tunnel")
    assert shown(page) == before


def test_export_is_what_is_shown(look: Look, shown: Shown) -> None:
    page = look("?q=bridge&f.weather=%3Drain")
    hits = shown(page)
    page.locator("#export summary").click()
    taken = {}
    for name in ("csv", "json", "parquet", "paths"):
        with page.expect_download() as download:
            page.locator(f"#export [data-format={name}]").click()
        taken[name] = download.value.path().read_bytes()
    assert [one["id"] for one in json.loads(taken["json"])] == hits
    assert len(taken["csv"].decode("utf-8-sig").strip().splitlines()) == len(hits) + 1
    assert taken["parquet"][:4] == b"PAR1"
    assert len(taken["paths"].decode().splitlines()) == len(hits)


def test_an_address_is_shared(look: Look, shown: Shown) -> None:
    query = "?q=rain&q-weight=0.7&not=bus&f.weather=%3Drain&f.weather=%3Dfog"
    query += "&against=text&per-scene=1&diverse=1&k=6"
    page = look(query)
    ids = shown(page)
    assert len(ids) <= 6
    page.reload()
    assert shown(page) == ids
    assert look(query).url == page.url
    assert page.locator("#words").input_value() == "rain"
    assert page.locator("#filters summary", has_text="weather").text_content() == "weatherrain, fog"


def test_a_moment_by_its_address(look: Look, shown: Shown) -> None:
    page = look("?q=rain")
    one = shown(page)[1]
    page = look(f"?q=rain&moment={quote(one, safe='')}")
    page.locator("#moment .big img").wait_for()
    assert page.locator("#moment .facts").get_by_text(one, exact=True).first.is_visible()
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "moment" not in url)


def test_a_recording_is_linked(look: Look, shown: Shown) -> None:
    page = look("?q=rain")
    shown(page)
    links = {"foxglove_url": "foxglove://open?ds=remote-file&ds.url=x", "rerun_url": "javascript:alert(1)"}

    def linked(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps(answer.json() | {"recording": links}))

    page.route("**/moments/*", linked)
    page.locator(".card-open").first.click()
    link = page.get_by_role("link", name="Open in Foxglove")
    assert link.get_attribute("href") == links["foxglove_url"]
    assert page.get_by_role("link", name="Open in Rerun").count() == 0, (
        "an address that runs a script is none"
    )
