"""Requests to S3 that are repeated, and that wait together while S3 is away."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from multimodal_search.storage import s3_client
from multimodal_search.storage.s3_errors import StillAwayError, may_come_again

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_FIRST_PAUSE_SECONDS = 0.5  # doubled after each failure
_LONGEST_PAUSE_SECONDS = 20.0
_PROBE_SECONDS = 5.0  # between two questions whether S3 is back


def insist(
    request: Callable[[S3Client], _Answer], bucket: str, *, patient: bool = False, attempts: int = 1
) -> _Answer:
    """The answer of a request, which is sent at most ``retries + 1`` times while S3 is there.

    Args:
        request: sends and reads the answer to its end: both are repeated as one.
        bucket: asked for, to find out whether S3 answers at all.
        patient: where S3 as a whole is away, wait for it (``outage_seconds``) rather than give the request
            up; all threads wait together and one asks. For long jobs; what a user waits for fails at once.
        attempts: those of botocore itself, within each of ours.

    Raises:
        StillAwayError: S3 has not come back.
        Exception: boto3's, of the last attempt, or the first that no repetition can help.
    """
    options = s3_client.current_s3()
    client = s3_client.client(attempts=attempts)
    seen, failures, asked = _outage.ended, 0, False
    latest = time.monotonic() + 2 * options.outage_seconds
    while True:
        try:
            return request(client)
        except Exception as error:
            if not may_come_again(error):
                raise
            failures += 1
            # before the last attempt: it should meet an S3 that answers, or none is to blame but the request
            if patient and not asked and failures >= options.retries:
                asked = True
                if _outage.wait(bucket, seen, options.outage_seconds) and time.monotonic() < latest:
                    seen, failures, asked = _outage.ended, 0, False
                    continue
            if failures > options.retries:
                raise
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** (failures - 1), _LONGEST_PAUSE_SECONDS)
        time.sleep(pause * random.uniform(0.5, 1.0))  # spread, so that threads do not come back together


class _Outage:
    """Whether S3 as a whole is away; shared by the threads of this process."""

    def __init__(self) -> None:
        self.ended = 0  # how many outages are over
        self._lock = threading.Lock()
        self._gave_up = False

    def wait(self, bucket: str, seen: int, outage_seconds: float) -> bool:
        """Return once S3 answers: True where it was away since ``ended`` was ``seen``, else False.

        Raises:
            StillAwayError: it has not answered for ``outage_seconds``.
        """
        with self._lock:
            if self.ended != seen:
                return True
            if _answers(bucket):
                self._gave_up = False
                return False
            if not self._gave_up:
                _log.warning("S3 does not answer; waiting for up to %.0f s", outage_seconds)
            since = time.monotonic()
            while True:
                waited_seconds = time.monotonic() - since
                # those who queued for the lock need not wait as long again
                if self._gave_up or waited_seconds >= outage_seconds:
                    self._gave_up = True
                    raise StillAwayError(outage_seconds)
                time.sleep(min(_PROBE_SECONDS, max(outage_seconds / 20, 0.05)))
                if _answers(bucket):
                    self.ended += 1
                    _log.warning("S3 answers again, after %.0f s", time.monotonic() - since)
                    return True


def _answers(bucket: str) -> bool:
    """Whether S3 says anything of this bucket, be it that it may not be asked for."""
    try:
        s3_client.client().head_bucket(Bucket=bucket)
    except Exception as error:
        return not may_come_again(error)
    return True


_outage = _Outage()
