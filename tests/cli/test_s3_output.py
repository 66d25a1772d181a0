"""``--s3-output`` through the command line, against a real S3 server on loopback."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from multimodal_search.cli import main
from multimodal_search.storage import s3

SMALL = ["--use-sample-data", "--sample-scenes", "4", "--epochs", "1"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server's client; the command finds the server by the environment, as on any machine."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3._make_client.cache_clear()
    yield boto3.session.Session().client("s3", endpoint_url=endpoint, config=Config(proxies={}))
    s3._make_client.cache_clear()


@pytest.fixture
def bucket(client: Any) -> str:
    name = f"b-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return name


def test_the_bundle_arrives_whole_and_its_marker_last(
    client: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent: list[str] = []
    real = s3._client()

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def upload_file(self, file: str, bucket: str, key: str) -> None:
            sent.append(key)
            real.upload_file(file, bucket, key)

    monkeypatch.setattr(s3, "_client", Watched)
    assert main(["train", *SMALL, "--s3-output", f"s3://{bucket}/runs/日本 1/"]) == 0
    assert sent[-1] == "runs/日本 1/bundle.json"
    assert sent.count(sent[-1]) == 1
    assert f"s3://{bucket}/runs/日本 1/" in capsys.readouterr().out
    for name in ("bundle.json", "vector_db.json", "text_projector.pt", "vectors/manifest.json", "report.md"):
        body = client.get_object(Bucket=bucket, Key=f"runs/日本 1/{name}")["Body"].read()
        assert body == (tmp_path / "output" / name).read_bytes(), name


def test_a_missing_bucket_is_found_out_before_any_work(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *SMALL, "--s3-output", "s3://not-there/x"]) == 2
    told = capsys.readouterr().err
    assert "'not-there' does not exist" in told
    assert "to do" in told
    assert not list((tmp_path / "output").glob("*"))


def test_without_boto3_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "boto3", None)
    s3._make_client.cache_clear()
    assert main(["train", *SMALL, "--s3-output", "s3://somewhere/x"]) == 2
    assert "multimodal-search[s3]" in capsys.readouterr().err
    assert not list((tmp_path / "output").glob("*"))
