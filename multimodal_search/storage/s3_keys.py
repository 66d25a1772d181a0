"""Which of many named objects are there, and their content keys: by listing, many requests at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from multimodal_search.errors import DataError
from multimodal_search.storage.addresses import S3Address, parse_s3
from multimodal_search.storage.s3_errors import explaining
from multimodal_search.storage.s3_requests import insist

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

S3_THREADS = 16  # requests in flight, where each takes tens of milliseconds and brings little
_PAGE_KEYS = 1000  # S3 gives no more at once
_LONGEST_KEY_BYTES = 1024


def content_keys(root: str, paths: Iterable[str]) -> dict[str, str]:
    """Path -> content key, as ``content_key`` gives it, of those of the paths that are there.

    A page of a listing tells of up to a thousand objects, where a question each would cost a thousand
    requests; what lies between the wanted ones is passed over. It waits while S3 is away.

    Args:
        root: ``s3://bucket/prefix``.
        paths: below the root.

    Raises:
        DataError: the bucket is missing, or S3 refuses, or has been away for ``outage_seconds``.
    """
    bucket, prefix = parse_s3(root)
    base = S3Address(bucket, f"{prefix}/" if prefix else "")
    wanted = sorted({base.key + path for path in paths if _may_be_a_key(base.key + path)})
    pieces = [wanted[start : start + _PAGE_KEYS] for start in range(0, len(wanted), _PAGE_KEYS)]
    found: dict[str, str] = {}
    with ThreadPoolExecutor(S3_THREADS) as pool:
        for some in pool.map(partial(_listed, base), pieces):
            found.update(some)
    return {key.removeprefix(base.key): one for key, one in found.items()}


def _listed(base: S3Address, wanted: Sequence[str]) -> dict[str, str]:
    """Those of the sorted keys that are there, by pages that each begin right before the next wanted one."""
    names, found = set(wanted), dict[str, str]()
    at, last = 0, ""
    while at < len(wanted):
        page = _page(base, max(wanted[at][:-1], last))  # keys are listed in the order of their code points
        listed = page.get("Contents", [])
        for one in listed:
            if one["Key"] in names:
                found[one["Key"]] = f"{one['Size']}:{one.get('ETag', '').strip(chr(34))}"
        if not page.get("IsTruncated") or not listed:
            break
        last = listed[-1]["Key"]
        at = bisect_right(wanted, last)
    return found


def _page(base: S3Address, after: str) -> Any:
    def ask(client: S3Client) -> Any:
        return client.list_objects_v2(
            Bucket=base.bucket, Prefix=base.key, StartAfter=after, MaxKeys=_PAGE_KEYS
        )

    with explaining(base, DataError):
        return insist(ask, base.bucket, patient=True)


def _may_be_a_key(key: str) -> bool:
    try:
        return len(key.encode()) <= _LONGEST_KEY_BYTES
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
