"""Whether the hub answers, and what is said when it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from multimodal_search.encoders.hub import hub_access, unreachable
from multimodal_search.types import Modality


class _Absent(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Absent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_any_answer_counts_as_reachable(answering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", answering)
    with hub_access():
        assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://no-such-host.invalid", "not an address"])
def test_without_an_answer_only_the_cache_is_used(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    with hub_access():
        assert constants.HF_HUB_OFFLINE is True
    assert constants.HF_HUB_OFFLINE is False


def test_an_offline_setting_stays_in_force(answering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", answering)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with hub_access():
        assert constants.HF_HUB_OFFLINE is True
    assert constants.HF_HUB_OFFLINE is True


def test_the_message_names_the_tower_s_own_flag() -> None:
    text = unreachable("hf/a/b", "published", Modality.TEXT, OSError("no\nmore"))
    assert "--text-weights" in str(text)
    assert "no" in str(text)
    assert "--image-weights" in str(unreachable("hf/a/b", "published", Modality.IMAGE, OSError()))
