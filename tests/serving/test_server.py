"""The command: it starts, answers, shares among processes, and ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from multimodal_search import storage
from multimodal_search.cli import main
from multimodal_search.search import Searcher
from multimodal_search.types import Item

Start = Callable[..., Any]
RAIN = {"parts": [{"text": "rain"}], "k": 3}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_answers_and_ends(start: Start, own_bundle: Path, tmp_path: Path, end: int) -> None:
    began = time.monotonic()
    server = start(own_bundle, TMPDIR=str(tmp_path))
    with server.client() as client:
        assert client.post("/search", json=RAIN).status_code == 200
        assert time.monotonic() - began < 30  # 5 s on a quiet machine: benchmarks/serve.py
        answer = client.get("/healthz")
        assert answer.json()["status"] == "ok"
        assert "server" not in answer.headers
    server.process.send_signal(end)
    assert server.process.wait(30) == 0
    assert "Traceback" not in server.said
    assert list(tmp_path.glob("multimodal-search-*")) == []


def test_a_bundle_on_s3_is_fetched_and_served(
    start: Start, own_bundle: Path, s3: str, bucket: str, tmp_path: Path
) -> None:
    url = f"s3://{bucket}/runs/1"
    storage.send_folder(own_bundle, url, "bundle.json")
    cache = str(tmp_path / "cache/features")
    server = start(own_bundle, "--bundle", url, MULTIMODAL_SEARCH_FEATURES_DIR=cache)
    with server.client() as client:
        hits = client.post("/search", json=RAIN).json()["hits"]
        assert len(hits) == 3
        assert client.get(f"/thumbnails/{hits[0]['id']}").status_code == 200
    assert f"served from {tmp_path}" in server.said


@pytest.mark.slow
def test_several_processes_share_uploads_and_counts(start: Start, own_bundle: Path) -> None:
    server = start(own_bundle, "--workers", "2")
    frame = (Searcher.open(own_bundle, "cpu").root / "images/sample-00004.jpg").read_bytes()
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        try:
            with server.client() as client:
                client.get("/healthz").raise_for_status()
                break
        except Exception:
            time.sleep(0.2)
    with server.client() as client:
        upload = client.post("/uploads", files={"file": frame}).json()["upload_id"]
    for _ in range(12):  # a connection each: they come to both processes
        with server.client() as client:
            answer = client.post("/search", json={"parts": [{"image": upload}], "k": 1})
            assert answer.json()["hits"][0]["id"] == "sample-00004"
    with server.client() as client:
        counted = client.get("/metrics").text
    assert 'route="/search",status="200"} 12.0' in counted
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) is not None


def test_an_id_that_needs_encoding_survives_a_real_server(
    start: Start, bundle: Path, tmp_path: Path, with_moments: Callable[..., Path]
) -> None:
    one = "a b/..%2F../c?d#e/%41/日本"
    folder = with_moments(bundle, tmp_path / "odd", [Item(id=one, scene_id="s"), Item(id="aA", scene_id="s")])
    with start(folder).client() as client:
        answer = client.get(f"/moments/{quote(one, safe='')}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == one


def test_a_bundle_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--bundle", str(tmp_path / "none")]) == 2
    assert "bundle" in capsys.readouterr().err
