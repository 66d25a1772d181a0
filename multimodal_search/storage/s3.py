"""S3's objects: read, written, listed."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from multimodal_search.errors import DataError, OutputError, ProjectError, SkipInput
from multimodal_search.storage.addresses import S3Address, is_s3, parse_object, parse_s3
from multimodal_search.storage.s3_client import current_s3
from multimodal_search.storage.s3_errors import error_code, explaining
from multimodal_search.storage.s3_requests import insist

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_WHOLE_PUT_BYTES = 64 << 20  # larger objects go up in pieces; S3 takes 5 GB at once
_WHOLE_FILE_BYTES = 8 << 20  # a larger file goes up in pieces, several at a time
_PAGE_KEYS = 1000  # S3 gives no more at once


class S3Object(NamedTuple):
    """One line of a listing; ``content_key`` is as the function of that name gives it."""

    key: str
    size_bytes: int
    content_key: str


def read_object(url: str, *, max_bytes: int | None = None) -> tuple[bytes, str]:
    """The content of one object of many, and its content key. Waits while S3 is away; for reading threads.

    Args:
        url: ``s3://bucket/key``.
        max_bytes: a larger object is skipped, unread.

    Raises:
        FileNotFoundError: there is no such object.
        SkipInput: it is refused or too large; or (``again``) it did not come in ``retries + 1`` attempts.
        DataError: the bucket is missing, credentials are absent or refused, or S3 has been away for
            ``outage_seconds``.
        MissingDependencyError: boto3 is not installed.
    """
    address = parse_object(url)

    def get(client: S3Client) -> tuple[bytes, str]:
        answer = client.get_object(Bucket=address.bucket, Key=address.key)
        size_bytes = answer["ContentLength"]
        if max_bytes is not None and size_bytes > max_bytes:
            answer["Body"].close()
            raise SkipInput(f"too large: {size_bytes / 1e9:.1f} GB")
        return answer["Body"].read(), _content_key(answer)

    if not address.key:
        raise SkipInput("the address names no object")
    with explaining(address, DataError, one_input=True):
        return insist(get, address.bucket, patient=True)


def read_bytes(path: str | Path, *, patient: bool = False) -> bytes:
    """The content of a local file or of an ``s3://`` object, for somebody who waits for it.

    Args:
        path: a file or an ``s3://`` object.
        patient: a long job asks: wait while S3 is away.

    Raises:
        FileNotFoundError: there is no such file or object.
        DataError: S3 cannot be reached or refuses.
        MissingDependencyError: boto3 is not installed.
    """
    if not is_s3(path):
        return Path(path).read_bytes()
    return read_whole(parse_object(str(path)), patient=patient)


def read_whole(address: S3Address, *, patient: bool = True) -> bytes:
    """The content of an object.

    Raises:
        FileNotFoundError: there is no such object.
        DataError: S3 cannot be reached or refuses.
    """
    with explaining(address, DataError):
        return insist(
            lambda client: client.get_object(Bucket=address.bucket, Key=address.key)["Body"].read(),
            address.bucket,
            patient=patient,
        )


def content_key(path: str | Path, *, patient: bool = False) -> str:
    """What changes when the content does, without reading it: size and time, or S3's size and entity tag.

    Args:
        path: a file or an ``s3://`` object.
        patient: it is one of a long job's many: wait while S3 is away.

    Raises:
        OSError: the file or object is not there, or cannot be looked at.
        SkipInput: with ``patient``, of an object that S3 refuses or does not answer for.
        DataError: S3 cannot be reached or refuses.
    """
    if not is_s3(path):
        status = Path(path).stat()
        return f"{status.st_size}:{status.st_mtime_ns}"
    address = parse_object(str(path))
    with explaining(address, DataError, one_input=patient):
        head = insist(
            lambda client: client.head_object(Bucket=address.bucket, Key=address.key),
            address.bucket,
            patient=patient,
        )
    return _content_key(head)


def _content_key(answer: Any) -> str:
    return f"{answer['ContentLength']}:{answer.get('ETag', '').strip(chr(34))}"


def list_objects(
    prefix: S3Address, *, kind: type[ProjectError] = DataError, recursive: bool = True
) -> Iterator[S3Object]:
    """The objects whose keys start with the prefix, in S3's order (by UTF-8 bytes), a page at a time.

    Fails at once where S3 is away at the beginning; waits where it goes away later.

    Raises:
        ProjectError: of this kind: the bucket is missing, S3 cannot be reached or refuses.
    """
    asked: dict[str, Any] = {"Bucket": prefix.bucket, "Prefix": prefix.key, "MaxKeys": _PAGE_KEYS}
    if not recursive:
        asked["Delimiter"] = "/"
    patient = False
    while True:
        with explaining(prefix, kind):
            page = insist(lambda client: client.list_objects_v2(**asked), prefix.bucket, patient=patient)
        for one in page.get("Contents", []):
            tag = one.get("ETag", "").strip('"')
            yield S3Object(one["Key"], one["Size"], f"{one['Size']}:{tag}")
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]
        patient = True


def ensure_bucket(url: str, *, kind: type[ProjectError] = OutputError) -> None:
    """Find out before any long work that the bucket is there and somebody may ask for it.

    Raises:
        ProjectError: of this kind: the bucket is missing, credentials are absent or refused, or the endpoint
            cannot be reached.
    """
    address = parse_s3(url)

    def ask(client: S3Client) -> None:
        try:  # HEAD would not say what is wrong with the credentials
            client.list_objects_v2(Bucket=address.bucket, Prefix=address.key, MaxKeys=1)
        except client.exceptions.ClientError as error:
            # a role may use objects without the right to list them: let the work decide
            if error_code(error) not in {"403", "AccessDenied"}:
                raise

    with explaining(address, kind):
        insist(ask, address.bucket)


def write_object(address: S3Address, content: bytes | memoryview, *, only_new: bool = False) -> bool:
    """Write an object, waiting while S3 is away; with ``only_new``, False where there is one already.

    Raises:
        OutputError: the bucket is missing, S3 refuses, or it has been away for ``outage_seconds``.
    """
    condition: Any = {"IfNoneMatch": "*"} if only_new else {}

    def put(client: S3Client) -> bool:
        try:
            client.put_object(Bucket=address.bucket, Key=address.key, Body=bytes(content), **condition)
        except client.exceptions.ClientError as error:
            if only_new and error_code(error) == "PreconditionFailed":
                return False
            raise
        return True

    def put_in_pieces(client: S3Client) -> bool:
        client.upload_fileobj(io.BytesIO(content), address.bucket, address.key)
        return True

    large = len(content) > _WHOLE_PUT_BYTES and not only_new
    with explaining(address, OutputError):
        if large:
            return insist(put_in_pieces, address.bucket, patient=True, attempts=_attempts())
        return insist(put, address.bucket, patient=True)


def write_file(address: S3Address, path: Path, *, sha256: str | None = None) -> None:
    """Copy a local file of any size to an object, waiting while S3 is away; S3 compares what comes.

    Args:
        address: of the object.
        path: the file.
        sha256: what its content must have, in hex digits; of a file that fits into one request.

    Raises:
        OutputError: the bucket is missing, S3 refuses, or it has been away for ``outage_seconds``.
    """

    def put(client: S3Client) -> None:
        content = path.read_bytes()
        digest = hashlib.sha256(content)
        if sha256 not in (None, digest.hexdigest()):
            raise OutputError("The file changed while it was sent.", where=path, remedy="run it again")
        checked: Any = {"ChecksumSHA256": base64.b64encode(digest.digest()).decode()}
        if not _takes_checksums(client):
            checked = {}
        client.put_object(Bucket=address.bucket, Key=address.key, Body=content, **checked)

    def put_in_pieces(client: S3Client) -> None:
        checked = {"ChecksumAlgorithm": "SHA256"} if _takes_checksums(client) else {}
        client.upload_file(str(path), address.bucket, address.key, ExtraArgs=checked)

    with explaining(address, OutputError):
        if path.stat().st_size <= _WHOLE_FILE_BYTES:
            insist(put, address.bucket, patient=True)
        else:
            insist(put_in_pieces, address.bucket, patient=True, attempts=_attempts())


def _takes_checksums(client: S3Client) -> bool:
    """Not where the user's configuration says that the store cannot (AWS_REQUEST_CHECKSUM_CALCULATION)."""
    return getattr(client.meta.config, "request_checksum_calculation", None) != "when_required"


def remove_object(address: S3Address) -> None:
    """Remove an object; one that is absent is no error.

    Raises:
        OutputError: S3 cannot be reached or refuses.
    """
    with explaining(address, OutputError):
        insist(
            lambda client: client.delete_object(Bucket=address.bucket, Key=address.key),
            address.bucket,
            patient=True,
        )


def _attempts() -> int:
    """boto3 sends a large file in pieces, each of which it repeats itself."""
    return current_s3().retries + 1
