"""How S3 is reached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class S3Options:
    """Picklable, so that worker processes reach S3 as their parent does.

    Attributes:
        endpoint_url: None follows ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``, then Amazon.
        region_name: None follows the AWS configuration.
        timeout_seconds: without an answer, or without the next bytes of one.
        retries: how often a failed request, or a body that stalls or ends early, is tried again.
        use_proxy: False ignores the environment's proxies too.
        http_proxy: for ``http://`` endpoints; None follows the environment.
        https_proxy: for ``https://`` endpoints; None follows the environment.
        outage_seconds: how long a running job waits for an S3 that has gone away altogether.
    """

    endpoint_url: str | None = None
    region_name: str | None = None
    timeout_seconds: float = 60.0
    retries: int = 5
    use_proxy: bool = True
    http_proxy: str | None = None
    https_proxy: str | None = None
    outage_seconds: float = 600.0
