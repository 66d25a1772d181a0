"""``s3://`` addresses: reading objects and uploading folders with boto3, which is imported on first use."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from multimodal_search.errors import DataError, OutputError, ProjectError, SettingsError, require
from multimodal_search.storage import s3_client

_log = logging.getLogger(__name__)

_ATTEMPTS = 6
_MISSING = {"NoSuchBucket", "NoSuchKey", "404", "NotFound"}


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
    """Split ``s3://bucket/some/key``.

    Raises:
        SettingsError: it is no such address, or names no bucket.
    """
    # by hand: a URL parser would cut keys at '?' and '#', which S3 allows
    if is_s3(url):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if bucket and not set(bucket) & set(" \\:@"):
            return S3Address(bucket, key.strip("/"))
    raise SettingsError(
        f"{url!r} is not an S3 address.",
        remedy="write it as s3://bucket/prefix, for example s3://my-data/run-1",
    )


def read_bytes(path: str | Path) -> bytes:
    """The content of a local file or of an ``s3://`` object.

    Raises:
        FileNotFoundError: there is no such file or object.
        DataError: S3 cannot be reached or refuses.
        MissingDependencyError: boto3 is not installed.
    """
    if not is_s3(path):
        return Path(path).read_bytes()
    address = parse_s3(str(path))
    with _explaining(address, DataError):
        return _read_object(address)


def content_key(path: str | Path) -> str:
    """What changes when the content does, without reading it: size and time, or S3's size and entity tag.

    Raises:
        OSError: the file or object is not there, or cannot be looked at.
        DataError: S3 cannot be reached or refuses.
    """
    if not is_s3(path):
        status = Path(path).stat()
        return f"{status.st_size}:{status.st_mtime_ns}"
    address = parse_s3(str(path))
    with _explaining(address, DataError):
        head = s3_client.client(attempts=_ATTEMPTS).head_object(Bucket=address.bucket, Key=address.key)
    return f"{head['ContentLength']}:{head['ETag'].strip(chr(34))}"


def read_whole(address: S3Address) -> bytes:
    """The content of an object.

    Raises:
        FileNotFoundError: there is no such object.
        DataError: S3 cannot be reached or refuses.
    """
    with _explaining(address, DataError):
        return _read_object(address)


def write_object(address: S3Address, content: bytes | memoryview, *, only_new: bool = False) -> bool:
    """Write an object; with ``only_new``, False where there is one already.

    Raises:
        OutputError: S3 cannot be reached or refuses.
    """
    with _explaining(address, OutputError):
        client = s3_client.client(attempts=_ATTEMPTS)
        if not only_new:
            client.put_object(Bucket=address.bucket, Key=address.key, Body=bytes(content))
            return True
        try:
            client.put_object(Bucket=address.bucket, Key=address.key, Body=bytes(content), IfNoneMatch="*")
        except client.exceptions.ClientError as error:
            if _code(error) == "PreconditionFailed":
                return False
            raise
    return True


def remove_object(address: S3Address) -> None:
    """Remove an object; one that is absent is no error.

    Raises:
        OutputError: S3 cannot be reached or refuses.
    """
    with _explaining(address, OutputError):
        s3_client.client(attempts=_ATTEMPTS).delete_object(Bucket=address.bucket, Key=address.key)


class S3Object(NamedTuple):
    """One line of a listing; ``content_key`` is as the function of that name gives it."""

    key: str
    size_bytes: int
    content_key: str


def list_objects(
    prefix: S3Address, *, kind: type[ProjectError] = DataError, recursive: bool = True
) -> Iterator[S3Object]:
    """The objects whose keys start with the prefix, in S3's order (by UTF-8 bytes).

    Raises:
        ProjectError: of this kind: the bucket is missing, S3 cannot be reached or refuses.
    """
    pages = s3_client.client(attempts=_ATTEMPTS).get_paginator("list_objects_v2")
    with _explaining(prefix, kind):
        for page in pages.paginate(
            Bucket=prefix.bucket, Prefix=prefix.key, Delimiter="" if recursive else "/"
        ):
            for one in page.get("Contents", []):
                size = one["Size"]
                yield S3Object(one["Key"], size, f"{size}:{one['ETag'].strip(chr(34))}")


def ensure_bucket(url: str) -> None:
    """Find out before any long work that the bucket is there and somebody may ask for it.

    Raises:
        OutputError: the bucket is missing, credentials are absent, or the endpoint cannot be reached.
    """
    address = parse_s3(url)
    with _explaining(address, OutputError):
        try:
            s3_client.client(attempts=_ATTEMPTS).head_bucket(Bucket=address.bucket)
        except s3_client.client(attempts=_ATTEMPTS).exceptions.ClientError as error:
            # a role may write objects without the right to ask for the bucket: let the upload decide
            if _code(error) not in {"403", "AccessDenied"}:
                raise


def upload_folder(folder: str | Path, s3_url: str, last: str = "bundle.json") -> int:
    """Copy a folder's files to ``s3_url``; the marker file ``last`` is taken away first and written last.

    Hidden and temporary files stay behind. While the copy runs, the marker is absent, so that its presence
    means that the copy is whole.

    Returns:
        How many files were copied.

    Raises:
        OutputError: the folder is empty, the bucket is missing, S3 cannot be reached or refuses.
    """
    root, address = Path(folder), parse_s3(s3_url)
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise OutputError("There is nothing to upload.", where=root, remedy="train first, then upload")
    files.sort(key=lambda path: path == root / last)
    prefix = f"{address.key}/" if address.key else ""
    with _explaining(address, OutputError):
        client = s3_client.client(attempts=_ATTEMPTS)
        try:
            client.delete_object(Bucket=address.bucket, Key=prefix + last)
        except client.exceptions.ClientError as error:
            if _code(error) != "AccessDenied":
                raise
            _log.warning("%s may not be deleted: until the upload ends it tells of the former one", last)
        for path in files:
            client.upload_file(str(path), address.bucket, prefix + path.relative_to(root).as_posix())
    _log.info("copied %d files to %s", len(files), s3_url)
    return len(files)


def _read_object(address: S3Address) -> bytes:
    from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

    client = s3_client.client(attempts=_ATTEMPTS)
    for attempt in range(1, _ATTEMPTS + 1):
        body = client.get_object(Bucket=address.bucket, Key=address.key)["Body"]
        try:  # boto3 retries requests, not bodies that stall or end early
            return body.read()
        except (HTTPClientError, IncompleteReadError, ResponseStreamingError):
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _code(error: BaseException) -> str:
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def _explaining(address: S3Address, kind: type[ProjectError]) -> Iterator[None]:
    boto3_exceptions = require("boto3", extra="s3").exceptions
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except boto3_exceptions.S3UploadFailedError as error:
        cause = error.__cause__ or error.__context__
        raise _s3_error(cause or error, address, kind) from error
    except ClientError as error:
        if kind is DataError and _code(error) in _MISSING - {"NoSuchBucket"}:
            raise FileNotFoundError(f"no such object: {address}") from error
        raise _s3_error(error, address, kind) from error
    except (BotoCoreError, boto3_exceptions.Boto3Error) as error:
        raise _s3_error(error, address, kind) from error


def _s3_error(error: BaseException, address: S3Address, kind: type[ProjectError]) -> ProjectError:
    from botocore import exceptions as botocore

    code = _code(error)
    if isinstance(error, botocore.NoCredentialsError | botocore.PartialCredentialsError):
        what = "No AWS credentials were found."
        remedy = "run 'aws configure', set AWS_PROFILE, or give the machine a role that may use the bucket"
    elif code in _MISSING:
        what = f"The bucket {address.bucket!r} does not exist (or belongs to another region or account)."
        remedy = "create it, or correct the name"
    elif code in {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}:
        what = f"S3 refuses the request ({code})."
        remedy = "check the credentials and that they allow s3:GetObject and s3:PutObject on this bucket"
    elif isinstance(error, botocore.ProxyConnectionError):
        what = f"The proxy of HTTP_PROXY or HTTPS_PROXY cannot be reached ({error})."
        remedy = "correct it, or name S3's host in NO_PROXY"
    elif isinstance(error, botocore.HTTPClientError | botocore.ConnectionError):
        what = f"S3 cannot be reached, after {_ATTEMPTS} attempts ({error})."
        remedy = "check the network, the region, and AWS_ENDPOINT_URL where it is set"
    else:
        what, remedy = (
            f"S3 answered with an error: {error}",
            "check the address, the region and the credentials",
        )
    return kind(what, where=address, remedy=remedy)
