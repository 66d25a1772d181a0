"""Scenarios: made, corrected, asked again; and none that was confirmed is ever lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from multimodal_search.search import Searcher

Open = Callable[..., TestClient]
RAIN = {"parts": [{"text": "rain"}, {"text": "night", "weight": -0.5}]}


def test_made_asked_corrected_and_removed(open_client: Open, own_bundle: Path) -> None:
    client = open_client(own_bundle)
    name = "rain / 雨, by day?"
    path = "/scenarios/rain%20%2F%20%E9%9B%A8%2C%20by%20day%3F"
    assert client.post("/scenarios", json={"name": name, "query": RAIN}).status_code == 200
    before = [one["id"] for one in client.post(f"{path}/run", json={"k": 30}).json()["hits"]]
    last = before[-1]
    saved = client.post("/scenarios", json={"name": name, "up": [last], "down": before[:2]}).json()
    assert saved["up"] == [last]
    assert saved["words"] == "rain; night"
    after = [one["id"] for one in client.post(f"{path}/run", json={"k": 30}).json()["hits"]]
    assert after.index(last) < before.index(last)
    assert [one["name"] for one in client.get("/scenarios").json()] == [name]
    left = client.post("/scenarios", json={"name": name, "withdraw": [last, *before[:2]]}).json()
    assert (left["up"], left["down"]) == ([], [])
    assert [one["id"] for one in client.post(f"{path}/run", json={"k": 30}).json()["hits"]] == before
    assert client.delete(path).status_code == 204
    assert client.get("/scenarios").json() == []
    for method, gone in (("DELETE", path), ("POST", f"{path}/run")):
        assert client.request(method, gone).status_code == 404


def test_it_keeps_filter_and_times(open_client: Open, own_bundle: Path) -> None:
    client = open_client(own_bundle)
    query = {**RAIN, "where": "weather == 'rain' or weather == 'snow'", "after": "2024-02-01"}
    saved = client.post("/scenarios", json={"name": "x", "query": query}).json()
    hits = client.post("/scenarios/x/run", json={"k": 100}).json()["hits"]
    assert hits
    assert {one["metadata"]["weather"] for one in hits} <= {"rain", "snow"}
    assert "timestamp_us >=" in saved["where"]


def test_a_picture_and_a_signal_stay_with_it(open_client: Open, own_bundle: Path) -> None:
    client = open_client(own_bundle)
    frame = (Searcher.open(own_bundle, "cpu").root / "images/sample-00006.jpg").read_bytes()
    upload = client.post("/uploads", files={"file": frame}).json()["upload_id"]
    stretch = {"id": "sample-00006", "start_seconds": 0, "end_seconds": 5}
    query = {"parts": [{"image": upload}, {"series_of": stretch, "weight": 0.1}]}
    saved = client.post("/scenarios", json={"name": "like this", "query": query})
    assert saved.status_code == 200, saved.text
    assert saved.json()["words"] == "picture; signal"
    first = client.post("/scenarios/like this/run", json={"k": 1}).json()["hits"]
    # a vote fits it anew, from the copies in the bundle
    for path in client.services.uploads._folder.iterdir():  # type: ignore[attr-defined]
        path.unlink()
    again = client.post("/scenarios", json={"name": "like this", "up": ["sample-00006"]})
    assert again.status_code == 200, again.text
    assert client.post("/scenarios/like this/run", json={"k": 1}).json()["hits"][0]["id"] == first[0]["id"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": " ", "up": ["sample-00001"]},
        {"name": "x" * 201, "up": ["sample-00001"]},
        {"name": "x", "up": ["nothing"]},
        {"name": "x", "up": ["sample-00001"], "down": ["sample-00001"]},
        {"name": "x", "query": {**RAIN, "within": ["sample-00001"]}},
        {"name": "x", "query": {**RAIN, "where": "("}},
        {"name": "x", "query": {"parts": []}},
    ],
)
def test_what_means_nothing_is_said(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/scenarios", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_votes_of_many_at_once_are_all_there(open_client: Open, own_bundle: Path) -> None:
    client = open_client(own_bundle)
    client.post("/scenarios", json={"name": "x", "query": RAIN})
    threads = [
        threading.Thread(
            target=client.post,
            args=("/scenarios",),
            kwargs={"json": {"name": "x", "up": [f"sample-{n:05d}"]}},
        )
        for n in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(client.get("/scenarios").json()[0]["up"]) == 8


@pytest.mark.slow
def test_killed_while_it_writes_every_confirmed_one_is_there(
    start: Callable[..., Any], own_bundle: Path, open_client: Open
) -> None:
    confirmed: list[str] = []
    for turn in range(2):
        server = start(own_bundle, "--rate-per-second", "10000")

        def write(worker: int, turn: int = turn, url: str = server.url) -> None:
            with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
                for number in range(10_000):
                    name = f"turn {turn} writer {worker} number {number}"
                    try:
                        answer = client.post("/scenarios", json={"name": name, "query": RAIN})
                    except httpx.HTTPError:
                        return
                    if answer.status_code == 200:
                        confirmed.append(name)

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
        for one in threads:
            one.start()
        before = len(confirmed)
        ends = time.monotonic() + 60
        while len(confirmed) < before + 15 and time.monotonic() < ends:
            time.sleep(0.02)
        os.kill(server.process.pid, signal.SIGKILL)
        for one in threads:
            one.join()
    assert len(confirmed) >= 30
    there = {one["name"] for one in open_client(own_bundle).get("/scenarios").json()}
    assert set(confirmed) <= there
    assert len(there) <= len(confirmed) + 6  # at most those in flight
