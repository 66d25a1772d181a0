"""An object of any size as a file that is read here and there: pieces are asked for, nothing is kept."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal_search.errors import BundleError, DataError
from multimodal_search.storage.addresses import S3Address, parse_object
from multimodal_search.storage.local import write_atomically
from multimodal_search.storage.s3_errors import error_code, explaining
from multimodal_search.storage.s3_requests import insist

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FETCHED_BYTES = 8 << 20
_PIECE_BYTES = 4 << 20  # a request takes tens of milliseconds whatever it brings


class _S3File(io.RawIOBase):
    """Reads come as requests for ranges, each repeated by itself where the network fails."""

    def __init__(self, url: str) -> None:
        self._address = parse_object(url)
        with explaining(self._address, DataError):
            head = insist(
                lambda client: client.head_object(Bucket=self._address.bucket, Key=self._address.key),
                self._address.bucket,
            )
        self.size_bytes = int(head["ContentLength"])
        self._tag = head["ETag"]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size_bytes}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Raises DataError where S3 refuses, is away, or the object has changed since it was opened."""
        wanted = min(len(buffer), self.size_bytes - self._at)
        if wanted <= 0:
            return 0
        span = f"bytes={self._at}-{self._at + wanted - 1}"

        def get(client: S3Client) -> bytes:
            answer = client.get_object(
                Bucket=self._address.bucket, Key=self._address.key, Range=span, IfMatch=self._tag
            )
            return answer["Body"].read()

        with explaining(self._address, DataError):
            try:
                content = insist(get, self._address.bucket, patient=True)
            except Exception as error:
                if error_code(error) in {"PreconditionFailed", "412"}:
                    raise DataError(
                        "The object changed while it was read.", where=self._address, remedy="run it again"
                    ) from error
                raise
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def fetch_object(address: S3Address, path: Path) -> str:
    """Copy an object into a file, a piece at a time, waiting while S3 is away; returns its content key.

    Args:
        address: of the object.
        path: appears once it is whole.

    Raises:
        FileNotFoundError: there is no such object.
        BundleError: it was replaced meanwhile.
        DataError: S3 refuses or has been away for ``outage_seconds``.
        OutputError: the file cannot be written.
    """
    at, size_bytes, tag = 0, 0, ""

    def get(client: S3Client) -> tuple[bytes, int, str]:
        asked: dict[str, Any] = {"Range": f"bytes={at}-{at + _FETCHED_BYTES - 1}"}
        if tag:
            asked["IfMatch"] = tag
        try:
            answer = client.get_object(Bucket=address.bucket, Key=address.key, **asked)
        except client.exceptions.ClientError as error:
            if at or error_code(error) not in {"InvalidRange", "416"}:
                raise
            answer = client.get_object(Bucket=address.bucket, Key=address.key)  # an empty object has no range
        whole = answer.get("ContentRange", "").rpartition("/")[2] or answer["ContentLength"]
        return answer["Body"].read(), int(whole), answer.get("ETag", "")

    with write_atomically(path) as file, explaining(address, DataError):
        while True:
            try:
                content, size_bytes, tag = insist(get, address.bucket, patient=True)
            except Exception as error:
                if error_code(error) in {"PreconditionFailed", "412"}:
                    raise BundleError(
                        "It was replaced while it was fetched.", where=address, remedy="run it again"
                    ) from error
                raise
            file.write(content)
            at += len(content)
            if at >= size_bytes or not content:
                return f"{at}:{tag.strip(chr(34))}"


def open_object(url: str) -> tuple[io.BufferedReader, int]:
    """An ``s3://`` object as a file, and its size in bytes. It waits while S3 is away.

    Raises:
        FileNotFoundError: there is no such object.
        DataError: the bucket is missing, S3 refuses or cannot be reached. Also from reading.
        MissingDependencyError: boto3 is not installed.
    """
    raw = _S3File(url)
    return io.BufferedReader(raw, _PIECE_BYTES), raw.size_bytes
