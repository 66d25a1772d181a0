"""S3 through a real server: clear errors, bodies that break off."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search import storage
from multimodal_search.errors import DataError, MissingDependencyError, OutputError, SettingsError


def client(endpoint: str) -> object:
    return boto3.session.Session().client("s3", endpoint_url=endpoint, config=Config(proxies={}))


@pytest.mark.parametrize(
    ("url", "bucket", "key"),
    [
        ("s3://data", "data", ""),
        ("s3://data/", "data", ""),
        ("s3://data/a/b c/雨.png", "data", "a/b c/雨.png"),
        ("s3://data/a?b#c%20", "data", "a?b#c%20"),
        ("s3://data/prefix/", "data", "prefix"),
    ],
)
def test_parse(url: str, bucket: str, key: str) -> None:
    assert storage.parse_s3(url) == (bucket, key)


@pytest.mark.parametrize("url", ["", "s3://", "s3:///key", "data/x", "s3:data", "gs://a/b", "s3://a b/c"])
def test_parse_refuses(url: str) -> None:
    with pytest.raises(SettingsError, match="s3://bucket/prefix"):
        storage.parse_s3(url)


@given(
    st.from_regex(r"[a-z0-9.-]{3,20}", fullmatch=True), st.text(min_size=1).map(lambda key: key.strip("/"))
)
def test_parse_round_trip(bucket: str, key: str) -> None:
    assert storage.parse_s3(str(storage.S3Address(bucket, key))) == (bucket, key)


def test_reads_local_and_remote_alike(s3: str, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"local")
    client(s3).put_object(Bucket=bucket, Key="x/雨.png", Body=b"remote")
    assert storage.read_bytes(tmp_path / "a") == b"local"
    assert storage.read_bytes(f"s3://{bucket}/x/雨.png") == b"remote"
    for missing in (tmp_path / "none", f"s3://{bucket}/none"):
        with pytest.raises(FileNotFoundError):
            storage.read_bytes(missing)
        with pytest.raises(FileNotFoundError):
            storage.content_key(missing)


def test_content_key_changes_with_the_content(s3: str, bucket: str) -> None:
    url = f"s3://{bucket}/a"
    seen = set()
    for body in (b"one", b"two"):
        client(s3).put_object(Bucket=bucket, Key="a", Body=body)
        assert storage.content_key(url) == storage.content_key(url)
        seen.add(storage.content_key(url))
    assert len(seen) == 2


def test_missing_bucket(s3: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    for action in (
        lambda: storage.send_folder(tmp_path, "s3://not-there/x"),
        lambda: storage.ensure_bucket("s3://not-there/x"),
        lambda: storage.ensure_writable("s3://not-there/x"),
    ):
        with pytest.raises(OutputError, match="'not-there' does not exist") as caught:
            action()
        assert "s3://not-there/x" in str(caught.value)
    with pytest.raises(DataError, match="'not-there' does not exist"):
        storage.read_bytes("s3://not-there/x")


def test_bucket_that_is_there(s3: str, bucket: str) -> None:
    storage.ensure_bucket(f"s3://{bucket}/any/prefix")


def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(OutputError, match="No AWS credentials"):
        storage.ensure_bucket("s3://any/x")


def test_unreachable_endpoint(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(OutputError, match="cannot be reached, after 6 attempts") as caught:
        storage.ensure_bucket("s3://any/x")
    assert "AWS_ENDPOINT_URL" in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "requests"),
    [(["403 Forbidden"], 1), (["500 Internal Server Error"] * 6, 6)],
    ids=["refused", "broken"],
)
def test_refusing_server(s3: str, monkeypatch: pytest.MonkeyPatch, answers: list[str], requests: int) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    body = b"<Error><Code>AccessDenied</Code></Error>"
    server = ScriptedServer(
        [
            f"HTTP/1.1 {one}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
            for one in answers
        ]
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with pytest.raises(DataError, match="S3 refuses" if requests == 1 else "S3 "):
        storage.read_bytes("s3://any/x")
    assert server.served == requests


def test_body_that_breaks_off_is_asked_for_again(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n01234"
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789"
    server = ScriptedServer([cut, cut, whole])
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    assert storage.read_bytes("s3://any/x") == b"0123456789"
    server = ScriptedServer([cut] * 6)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with pytest.raises(DataError):
        storage.read_bytes("s3://any/x")
    assert server.served == 6


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(MissingDependencyError, match=r"multimodal-search\[s3\]"):
        storage.read_bytes("s3://any/x")


class ScriptedServer:
    """Answers one connection after the other with the given bytes, then hangs up."""

    def __init__(self, answers: list[bytes]) -> None:
        self.served = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, args=(answers,), daemon=True).start()

    def _serve(self, answers: list[bytes]) -> None:
        for answer in answers:
            connection, _ = self._socket.accept()
            with connection:
                connection.recv(65536)
                self.served += 1
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
        self._socket.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])
