"""A server in a process of its own over a small trained bundle, and Debian's Chromium to look at it with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# no graphics card in a test machine: WebGL is drawn by the processor
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
START_SECONDS = 60


@pytest.fixture(scope="session")
def serving(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts a server over a copy of the bundle; gives its address."""
    running = []

    def start(*flags: str) -> str:
        folder = tmp_path_factory.mktemp("served")
        shutil.copytree(bundle, folder / "output")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "multimodal_search", "serve", "--bundle", str(folder / "output")]
        log = (folder / "log").open("w")
        process = subprocess.Popen(
            [*command, "--port", str(port), "--cache-dir", str(folder / "cache"), *flags],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
        running.append(process)
        address = f"http://127.0.0.1:{port}"
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            try:
                urllib.request.urlopen(f"{address}/healthz", timeout=5).read()
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            else:
                return address
        pytest.fail((folder / "log").read_text())

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


@pytest.fixture(scope="session")
def server(serving: Callable[..., str]) -> str:
    """The address of a server; what a test saves there, it removes."""
    return serving("--rate-per-second", "1000")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A page whose every request, message and error is noted."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.allowed: list[str] = []
        page.on("console", lambda one: self.errors.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda one: self.errors.append(str(one)))
        page.on("request", lambda one: self._note(one.url, address))

    def _note(self, url: str, address: str) -> None:
        if not url.startswith((address, "blob:", "data:")):
            self.foreign.append(url)

    def check(self) -> None:
        errors = [one for one in self.errors if not any(part in one for part in self.allowed)]
        assert errors == []
        assert self.foreign == []


@pytest.fixture
def look(chromium: Any, server: str) -> Iterator[Callable[..., Any]]:
    """Opens the page: ``look("?q=rain", width=375)``; in the end, no error and no foreign request came."""
    opened: list[Watched] = []
    contexts = []

    def open_page(
        query: str = "",
        *,
        address: str = server,
        width: int = 1280,
        allow: tuple[str, ...] = (),
        **options: Any,
    ) -> Any:
        options = {"locale": "en-GB", "viewport": {"width": width, "height": 860}, **options}
        context = chromium.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        watched = Watched(context.new_page(), address)
        watched.allowed.extend(allow)
        opened.append(watched)
        watched.page.goto(f"{address}/{query}")
        return watched.page

    yield open_page
    for context in contexts:
        context.close()
    for one in opened:
        one.check()


@pytest.fixture
def shown() -> Callable[[Any], list[str]]:
    """Waits for the search to end; the ids of the hits that are shown."""

    def ids(page: Any) -> list[str]:
        page.locator("#hits[aria-busy=false]").wait_for(state="attached")
        return list(page.eval_on_selector_all(".card", "cards => cards.map(card => card.dataset.id)"))

    return ids
