"""``s3://`` addresses, taken apart without boto3."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from multimodal_search.errors import SettingsError


class S3Address(NamedTuple):
    """A bucket and a key (or a prefix, without slashes at its ends)."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def is_s3(path: str | Path) -> bool:
    """Whether this is an ``s3://`` address."""
    return isinstance(path, str) and path.startswith("s3://")


def parse_s3(url: str) -> S3Address:
    """Split ``s3://bucket/some/prefix``.

    Raises:
        SettingsError: it is no such address, or names no bucket.
    """
    bucket, key = parse_object(url)
    return S3Address(bucket, key.strip("/"))


def parse_object(url: str) -> S3Address:
    """Split ``s3://bucket/some/key``; the key is kept to the letter, for it may start or end with a slash.

    Raises:
        SettingsError: it is no such address, or names no bucket.
    """
    # by hand: a URL parser would cut keys at '?' and '#', which S3 allows
    if is_s3(url):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if bucket and not set(bucket) & set(" \\:@"):
            return S3Address(bucket, key)
    raise SettingsError(
        f"{url!r} is not an S3 address.",
        remedy="write it as s3://bucket/prefix, for example s3://my-data/run-1",
    )
