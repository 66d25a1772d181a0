"""Servers that are not there, refuse, fail or never answer; folders that hold something else."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.index.backends import collection_name, open_backend, qdrant
from tests.index.backends.conftest import vector_set

pytest.importorskip("qdrant_client")


class Stub(BaseHTTPRequestHandler):
    """Answers everything with one status; no Qdrant."""

    status: ClassVar[int] = 401
    wait_seconds: ClassVar[float] = 0.0
    seen: ClassVar[list[str]] = []

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.seen.append(str(self.headers.get("api-key")))
        time.sleep(self.wait_seconds)
        body = json.dumps({"status": {"error": "Must provide an API key"}}).encode()
        with contextlib.suppress(ConnectionError):  # the client gave up
            self.send_response(self.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Stub.status, Stub.wait_seconds, Stub.seen = 401, 0.0, []
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_no_server(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DataError, match="did not answer") as raised:
            open_backend("qdrant", url, collection="a")
    assert url in str(raised.value)
    assert "6333" in str(raised.value)


def test_no_such_host() -> None:
    with pytest.raises(DataError, match="did not answer"):
        open_backend("qdrant", "http://no-such-host.invalid:6333", collection="a")


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key(stub: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    Stub.status = status
    with pytest.raises(DataError, match=rf"refuses the API key \({status}\)") as raised:
        open_backend("qdrant", stub, collection="a", api_key="secret-word")
    assert "--api-key" in str(raised.value)
    assert "secret-word" not in str(raised.value)
    assert Stub.seen == ["secret-word"]
    assert "unencrypted" in caplog.text


def test_a_server_that_fails(stub: str) -> None:
    Stub.status = 500
    with pytest.raises(qdrant.UnreachableError, match="500"):
        open_backend("qdrant", stub, collection="a")


def test_a_server_that_never_answers(stub: str) -> None:
    Stub.wait_seconds = 5.0
    began = time.monotonic()
    with pytest.raises(DataError, match=r"did not answer.*time"):
        open_backend("qdrant", stub, collection="a", timeout_seconds=1)
    assert time.monotonic() - began < 4


def test_writes_are_tried_again_and_then_told(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = qdrant.QdrantEngine(":memory:", "a")
    pauses: list[float] = []
    monkeypatch.setattr(qdrant.time, "sleep", pauses.append)
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        raise qdrant.UnreachableError("Qdrant is too busy.", retry_after_seconds=7.0 if calls == 2 else None)

    with pytest.raises(qdrant.UnreachableError):
        engine._again(fail)
    assert calls == 4
    assert pauses == [1.0, 7.0, 4.0]


def test_a_collection_of_another_program(tmp_path: Path) -> None:
    client = pytest.importorskip("qdrant_client")
    there = client.QdrantClient(path=str(tmp_path / "q"))
    there.create_collection("a", client.models.VectorParams(size=4, distance=client.models.Distance.DOT))
    there.close()
    with pytest.raises(DataError, match="does not say which encoder"):
        open_backend("qdrant", str(tmp_path / "q"), collection="a")


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="something else"):
        open_backend("qdrant-edge", str(tmp_path))
    with pytest.raises(DataError, match="something else"):
        open_backend("qdrant-edge", str(tmp_path / "notes.txt"))
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "collection.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        open_backend("qdrant-edge", str(tmp_path / "e"))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_damaged_shard_is_told(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    backend = open_backend("qdrant-edge", str(tmp_path / "e"))
    backend.upload(vector_set(np.eye(4)))
    backend.close()
    for file in (tmp_path / "e" / "shard").rglob("*.json"):
        file.write_text("{")
    with pytest.raises(DataError, match="cannot be opened"):
        open_backend("qdrant-edge", str(tmp_path / "e"))


def test_addresses_and_names() -> None:
    with pytest.raises(SettingsError, match="folder"):
        open_backend("qdrant-edge", "http://localhost:6333")
    with pytest.raises(SettingsError, match="collection"):
        open_backend("qdrant", "http://localhost:6333")
    assert collection_name("abc" * 20) == "multimodal-search-abcabcabcabcabca"
    assert collection_name(None, "mine") == "mine"
    with pytest.raises(SettingsError, match="--collection"):
        collection_name(None)
