"""Who can use the page: in two languages, by keyboard, on a phone, by screen reader, with a token; safely."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

Look = Callable[..., Any]
Shown = Callable[[Any], list[str]]


def test_japanese_by_the_browser_and_by_the_switch(look: Look, shown: Shown) -> None:
    page = look("?q=雨の夜", locale="ja-JP")
    shown(page)
    assert page.locator("html").get_attribute("lang") == "ja"
    assert page.locator("#go").text_content() == "検索"
    assert "件" in page.locator("#summary").text_content()
    assert any("\u3040" < letter < "\u30ff" for letter in page.locator(".card-open").first.text_content())
    page.get_by_label("Language").select_option("en")
    assert page.locator("#go").text_content() == "Search"
    assert "moments in" in page.locator("#summary").text_content()
    page.reload()
    shown(page)
    assert page.locator("html").get_attribute("lang") == "en", "the choice is kept"


def test_both_languages_say_everything(look: Look) -> None:
    page = look()
    words = page.evaluate("import('/page/words.js').then(({ WORDS }) => WORDS)")
    assert words["en"].keys() == words["ja"].keys()
    for name, said in words["en"].items():
        if name != "fields":
            holes = [sorted(re.findall(r"{\w+}", one)) for one in (said, words["ja"][name])]
            assert holes[0] == holes[1], name


def test_dark_by_the_system_and_by_the_switch(look: Look, shown: Shown) -> None:
    page = look(color_scheme="dark")
    shown(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_label("Light or dark").click()
    assert page.evaluate(ground) != dark
    page.reload()
    assert page.evaluate(ground) != dark, "the choice is kept"


@pytest.mark.parametrize("query", ["", "?q=rain&not=snow&f.weather=%3Drain"])
def test_a_phone(look: Look, shown: Shown, query: str) -> None:
    page = look(query, width=375, has_touch=True, is_mobile=True)
    shown(page)
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(fits)
    assert not page.locator(".stage").is_visible()
    page.get_by_role("button", name="Map", exact=True).click()
    page.locator(".legend > :nth-child(2)").wait_for()
    assert page.locator(".over").bounding_box()["height"] > 300
    assert page.evaluate(fits)
    page.get_by_role("button", name="Hits", exact=True).click()
    page.locator(".card-open").first.click()
    page.locator("#moment .big").wait_for()
    assert page.evaluate("document.querySelector('.moment-body').scrollWidth <= innerWidth")


def test_by_keyboard_alone(look: Look, shown: Shown) -> None:
    page = look()
    shown(page)
    page.keyboard.press("/")
    page.keyboard.type("snow")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=snow**")
    ids = shown(page)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("u")
    assert page.locator(".card").nth(1).get_by_label("Belongs to it").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Enter")
    page.locator("#moment .facts").get_by_text(ids[1], exact=True).first.wait_for()
    page.keyboard.press("j")
    page.locator("#moment .facts").get_by_text(ids[2], exact=True).first.wait_for()
    for name, value in (("from", "2"), ("to", "8")):
        page.get_by_label(f"Stretch {name}, seconds").fill(value)
    page.get_by_role("button", name="Search this stretch").press("Enter")
    page.wait_for_url("**stretch=**2%3A8")
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(look: Look, shown: Shown, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = look("?q=rain&not=snow&f.weather=%3Drain", color_scheme=scheme)
    shown(page)
    page.locator(".card").first.get_by_label("Belongs to it").click()

    def faults() -> list[str]:
        # by the page's own origin: what a strict policy refuses, axe has to live without
        found = axe.run(page).response["violations"]
        return [
            f"{one['id']}: {node['html'][:120]} {node['any'][0]['message'][:160] if node['any'] else ''}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    assert faults() == []
    page.locator("#filters summary").first.click()
    assert faults() == []
    page.keyboard.press("Escape")
    page.locator(".card-open").first.click()
    page.locator("#moment .plot:not(.waiting)").wait_for()
    assert faults() == []


EVIL = '<img src=x onerror="document.title=1"><script>document.title=1</script>'


def test_html_in_the_data_shows_as_text(look: Look, shown: Shown) -> None:
    page = look()
    shown(page)
    title = page.title()

    def poisoned(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        for one in body.get("hits", [body]):
            one |= {"text": EVIL, "texts": [EVIL], "location": EVIL, "metadata": {EVIL: EVIL, "a": EVIL}}
        route.fulfill(response=answer, body=json.dumps(body))

    for path in ("**/search", "**/moments/*"):
        page.route(path, poisoned)
    page.locator("#words").fill("rain")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=rain**")
    shown(page)
    assert page.locator(".card-open").first.text_content() == EVIL
    assert EVIL in page.locator(".about").first.text_content()
    page.locator(".card-open").first.click()
    page.locator("#moment-title", has_text="onerror").wait_for()
    page.locator("#moment dd", has_text="onerror").first.wait_for()
    assert page.title() == title
    assert page.locator("img[src=x], main script, dialog script").count() == 0


def test_a_strict_policy_holds(look: Look, server: str) -> None:
    """No script or style but the page's own files; the page works under it, as every other test sees."""
    page = look(allow=("Content Security Policy",))
    refused = page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener('securitypolicyviolation', (one) => done(one.effectiveDirective));
          const script = document.createElement('script');
          script.textContent = 'document.title = "taken"';
          document.body.append(script);
          setTimeout(done, 1000, 'nothing');
        })"""
    )
    assert refused == "script-src-elem"
    with page.expect_request(f"{server}/") as request:
        page.reload()
    policy = request.value.response().headers["content-security-policy"]
    assert "unsafe" not in policy


def test_a_token_is_asked_for(look: Look, shown: Shown, serving: Callable[..., str]) -> None:
    token = "a-token-of-twenty-letters"
    address = serving("--token", token)
    page = look("?q=rain", address=address, allow=("401",))
    field = page.get_by_label("Token", exact=True)
    field.fill("not the token at all")
    page.get_by_role("button", name="Open").click()
    page.get_by_text("That is not the token.").wait_for()
    field.fill(token)
    page.keyboard.press("Enter")
    assert len(shown(page)) > 1
    assert page.locator(".card").first.is_visible()
    page.reload()
    assert len(shown(page)) > 1, "the cookie is kept"
