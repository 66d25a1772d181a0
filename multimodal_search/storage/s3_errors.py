"""What went wrong with S3: what may come again, what one object's fault is, and what ends the job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from multimodal_search.errors import DataError, ProjectError, SkipInput, require
from multimodal_search.storage.addresses import S3Address
from multimodal_search.storage.s3_client import current_s3

_MISSING_KEY = {"NoSuchKey", "404", "NotFound"}
_REFUSED = {"403", "AccessDenied", "Forbidden", "AllAccessDisabled", "InvalidObjectState"}
# with a status below 500, and yet worth another try
_PASSING = {"RequestTimeout", "RequestTimeoutException", "SlowDown", "Throttling", "ThrottlingException",
            "TooManyRequests", "OperationAborted", "ConditionalRequestConflict"}  # fmt: skip
_CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
                "InvalidSecurity", "TokenRefreshRequired", "NotSignedUp", "AccountProblem",
                "RequestTimeTooSkewed"}  # fmt: skip
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_BUCKET = {"NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "301", "AuthorizationHeaderMalformed"}


class StillAwayError(Exception):
    """S3 has not answered for as long as anybody was willing to wait."""

    def __init__(self, waited_seconds: float) -> None:
        self.waited_seconds = waited_seconds
        super().__init__(f"S3 has not answered for {waited_seconds:.0f} s")


def may_come_again(error: BaseException) -> bool:
    """Whether the same request may succeed later: the network's or the server's fault, not the request's."""
    from botocore import exceptions as botocore
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError  # an error's own answer broke off: botocore lets it through

    error = _unwrapped(error)
    if isinstance(error, botocore.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return (status >= 500 and status != 501) or status == 429 or error_code(error) in _PASSING
    if isinstance(error, botocore.InvalidProxiesConfigError | botocore.SSLError):
        return False
    return isinstance(
        error,
        botocore.HTTPClientError
        | botocore.ConnectionError
        | botocore.IncompleteReadError
        | ResponseParserError
        | HTTPError,
    )


def error_code(error: BaseException) -> str:
    """S3's name of an error, for example ``NoSuchKey``; for a HEAD request the status."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def explaining(address: S3Address, kind: type[ProjectError], *, one_input: bool = False) -> Iterator[None]:
    """Turn boto3's errors into ours.

    Args:
        address: what was asked for.
        kind: of the error, where it is the user's to solve.
        one_input: what is wrong with one object only becomes ``SkipInput``.

    Raises:
        FileNotFoundError: there is no such object, and ``kind`` is ``DataError``.
        SkipInput: only with ``one_input``.
        ProjectError: of this kind: the bucket is missing, credentials are absent or refused, or S3 cannot be
            reached.
    """
    boto3_exceptions = require("boto3", extra="s3").exceptions
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    of_boto3 = (BotoCoreError, ClientError, boto3_exceptions.Boto3Error)
    known = (*of_boto3, ResponseParserError, HTTPError, StillAwayError)
    try:
        yield
    except known as wrapped:
        error = _unwrapped(wrapped)
        if kind is DataError and error_code(error) in _MISSING_KEY:
            raise FileNotFoundError(f"no such object: {address}") from wrapped
        if one_input and (skip := _skip(error)):
            raise skip from wrapped
        raise _project_error(error, address, kind) from wrapped


def _unwrapped(error: BaseException) -> BaseException:
    """What is behind boto3's error of a transfer."""
    if type(error).__name__ == "S3UploadFailedError":
        return error.__cause__ or error.__context__ or error
    return error


def _gone_sessions() -> tuple[type[BaseException], ...]:
    from botocore import exceptions as botocore

    return (botocore.CredentialRetrievalError, botocore.SSOError, botocore.TokenRetrievalError)


def _skip(error: BaseException) -> SkipInput | None:
    if may_come_again(error):
        return SkipInput(
            f"S3 did not send it, after {current_s3().retries + 1} attempts ({error})", again=True
        )
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError) or error_code(error) in _CREDENTIALS | _BUCKET:
        return None
    return SkipInput(f"S3 refuses the object ({error_code(error)})")


def _project_error(error: BaseException, address: S3Address, kind: type[ProjectError]) -> ProjectError:
    from botocore import exceptions as botocore
    from urllib3.exceptions import HTTPError

    code = error_code(error)
    if isinstance(error, botocore.NoCredentialsError | botocore.PartialCredentialsError):
        what = "No AWS credentials were found."
        remedy = "run 'aws configure', set AWS_PROFILE, or give the machine a role that may use the bucket"
    elif isinstance(error, botocore.NoRegionError):
        what, remedy = "No AWS region is set.", "name the bucket's region with --region-name"
    elif code in _BUCKET | _MISSING_KEY:
        what = f"The bucket {address.bucket!r} does not exist (or belongs to another region or account)."
        remedy = "create it, or correct the name or the region"
    elif code in _EXPIRED or isinstance(error, _gone_sessions()):
        what = f"The AWS credentials have expired ({code or error})."
        remedy = "sign in again ('aws sso login', or a new session token), then run the same command"
    elif code in _REFUSED | _CREDENTIALS:
        what = f"S3 refuses the request ({code})."
        remedy = "check the credentials, and that they allow s3:ListBucket, GetObject and PutObject here"
    elif isinstance(error, StillAwayError):
        what = f"{error}."
        remedy = "run the same command again when it does: it goes on from what is finished"
    elif isinstance(error, botocore.ProxyConnectionError):
        what = f"The proxy cannot be reached ({error})."
        remedy = "correct --http-proxy or HTTP_PROXY (--https-proxy, HTTPS_PROXY), or take --no-proxy"
    elif isinstance(error, botocore.HTTPClientError | botocore.ConnectionError | HTTPError):
        what = f"S3 cannot be reached, after {current_s3().retries + 1} attempts ({error})."
        remedy = "check the network, the region, and the endpoint (--endpoint-url, AWS_ENDPOINT_URL)"
    else:
        what = f"S3 answered with an error: {error}"
        remedy = "check the address, the region and the credentials"
    return kind(what, where=address, remedy=remedy)
