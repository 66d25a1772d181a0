"""What the options say is what boto3 does; proxies are real ones that count."""

from __future__ import annotations

import pickle
import socket
from typing import Any

import pytest

from multimodal_search import storage
from multimodal_search.errors import DataError
from multimodal_search.storage import S3Options, configure_s3, current_s3, s3_client

FAR = "http://faraway:9000"  # nobody resolves it: only a proxy knows the way


@pytest.fixture
def address(s3_client: Any, bucket: str) -> str:
    s3_client.put_object(Bucket=bucket, Key="a", Body=b"content")
    return f"s3://{bucket}/a"


def test_options_hold_for_the_process_and_are_pickled(s3: str) -> None:
    options = S3Options(endpoint_url=s3, retries=2, region_name="eu-central-1")
    configure_s3(pickle.loads(pickle.dumps(options)))
    assert current_s3() == options
    assert s3_client.client() is s3_client.client()
    configure_s3(S3Options(endpoint_url=s3, retries=3))
    assert s3_client.client().meta.region_name == "us-east-1"  # the environment's


def test_endpoint_region_and_timeouts_are_passed(
    faulty: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the flag is the stronger
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    configure_s3(S3Options(endpoint_url=faulty.url, region_name="eu-north-1", timeout_seconds=7.5, retries=3))
    assert storage.read_bytes(address) == b"content"
    assert faulty.requests["GET"] == 1
    client = s3_client.client(attempts=4)
    assert client.meta.region_name == "eu-north-1"
    assert client.meta.endpoint_url == faulty.url
    config = client.meta.config
    assert (config.read_timeout, config.connect_timeout) == (7.5, 7.5)
    assert config.retries == {"total_max_attempts": 4, "mode": "standard"}
    assert config.max_pool_connections >= 64
    assert any("eu-north-1" in one for one in faulty.signatures)


def test_a_proxy_is_really_used(faulty: Any, address: str) -> None:
    configure_s3(S3Options(endpoint_url=FAR, http_proxy=faulty.url, retries=0))
    assert storage.read_bytes(address) == b"content"
    assert storage.read_object(address)[0] == b"content"
    assert faulty.hosts["faraway:9000"] == 2


def test_the_environments_proxy_is_used(faulty: Any, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, faulty.url)
    configure_s3(S3Options(endpoint_url=FAR, retries=0))
    assert storage.read_bytes(address) == b"content"
    assert faulty.hosts["faraway:9000"] == 1


def test_the_https_proxy_is_for_https_only(faulty: Any, address: str) -> None:
    configure_s3(
        S3Options(endpoint_url=FAR, https_proxy=faulty.url, http_proxy="http://127.0.0.1:9", retries=0)
    )
    with pytest.raises(DataError, match="proxy cannot be reached"):
        storage.read_bytes(address)
    configure_s3(S3Options(endpoint_url="https://faraway", https_proxy=faulty.url, retries=0))
    with pytest.raises(DataError):
        storage.read_bytes(address)
    assert faulty.requests["CONNECT"] == 1  # https asks a proxy for a tunnel; this one digs none


def test_no_proxy_ignores_a_dead_one_of_the_environment(
    address: str, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixture sets a dead HTTP_PROXY."""
    port = int(s3.rpartition(":")[2])
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: real("127.0.0.1" if host == "faraway" else host, *rest, **named),
    )
    configure_s3(S3Options(endpoint_url=f"http://faraway:{port}", use_proxy=False, retries=0))
    assert storage.read_bytes(address) == b"content"
    configure_s3(S3Options(endpoint_url=f"http://faraway:{port}", retries=0))
    with pytest.raises(DataError, match="proxy cannot be reached") as caught:
        storage.read_bytes(address)
    assert "--no-proxy" in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
def test_never_a_proxy_to_this_machine(address: str, s3: str, faulty: Any, host: str) -> None:
    configure_s3(S3Options(endpoint_url=s3.replace("127.0.0.1", host), http_proxy=faulty.url, retries=0))
    if host == "127.1.2.3":  # the server does not listen there
        with pytest.raises(DataError, match="cannot be reached"):
            storage.read_bytes(address)
    else:
        assert storage.read_bytes(address) == b"content"
    assert not faulty.requests
