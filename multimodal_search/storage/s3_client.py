"""boto3's clients, made from the options of this process; boto3 is imported on first use."""

from __future__ import annotations

import ipaddress
import os
import threading
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multimodal_search.errors import require
from multimodal_search.storage.options import S3Options

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONNECT_SECONDS = 10.0  # a host that does not even take a connection by then is not there
_CONNECTIONS = 256  # kept open, at most: more than there are reading threads; unused ones cost nothing

_options = S3Options()
_making = threading.Lock()


def configure_s3(options: S3Options) -> None:
    """Reach S3 so from now on, in this process; clients made before are forgotten."""
    global _options
    with _making:
        _options = options
        _make.cache_clear()


def current_s3() -> S3Options:
    """How S3 is reached in this process; hand it to ``configure_s3`` in a worker."""
    return _options


def client(*, attempts: int = 1) -> S3Client:
    """The client of this process; safe to use from many threads.

    Args:
        attempts: how often botocore itself sends a request that fails. Our own loops repeat request and body
            as one unit and want 1; boto3's transfers of large files want more.

    Raises:
        MissingDependencyError: boto3 is not installed.
    """
    with _making:  # boto3 loads its models while it makes a client: once is enough
        return _make(_options, endpoint_url(), attempts)


def endpoint_url() -> str | None:
    """The endpoint that is named, by the options or by the environment; None is Amazon's."""
    environment = os.environ
    named = (
        _options.endpoint_url or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    )
    return named or None


@lru_cache(maxsize=8)
def _make(options: S3Options, endpoint: str | None, attempts: int) -> S3Client:
    boto3 = require("boto3", extra="s3")
    from botocore.config import Config

    config = Config(
        connect_timeout=min(_CONNECT_SECONDS, options.timeout_seconds),
        read_timeout=options.timeout_seconds,
        # total_max_attempts is exact; max_attempts counts what comes after the first
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
        proxies=_proxies(options, endpoint),
    )
    # a session of our own: boto3's default one is not safe to build clients from in several threads
    made: S3Client = boto3.session.Session().client(
        "s3", endpoint_url=endpoint, region_name=options.region_name, config=config
    )
    return made


def _proxies(options: S3Options, endpoint: str | None) -> dict[str, str] | None:
    """botocore's setting: {} is none at all, None follows the environment, ``NO_PROXY`` included."""
    address = urlsplit(endpoint or "https://s3.amazonaws.com")
    if not options.use_proxy or _is_loopback(address.hostname or ""):
        return {}  # to this machine a proxy leads nowhere, and a dead one costs many seconds a request
    given = options.http_proxy if address.scheme == "http" else options.https_proxy
    return {address.scheme: given} if given else None


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if hasattr(os, "register_at_fork"):  # a forked child must not share its parent's connections
    os.register_at_fork(after_in_child=_make.cache_clear)
