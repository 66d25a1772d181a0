"""What AWS is asked before anything is started or paid for: who we are, role, buckets, data, names."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from specification import Specification, check_instance_type

from multimodal_search.errors import DataError, OutputError, ProjectError, SettingsError, require

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId",
            "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"}  # fmt: skip
_REFUSED = {"AccessDenied", "AccessDeniedException", "403", "Forbidden", "UnauthorizedOperation"}
# What S3 does not name when it refuses; the SDKs upload the code on the way to the job.
_OF_OPERATION = {"PutObject": "s3:PutObject", "CreateMultipartUpload": "s3:PutObject"}
_MISSING = {"404", "NoSuchBucket", "NotFound"}


def open_session(region: str | None) -> Any:
    """A boto3 session with a region and credentials that are valid now.

    Raises:
        SettingsError: there is no region, or no valid credentials.
    """
    with telling("sts:GetCallerIdentity"):
        session = require("boto3", extra="s3").Session(region_name=region)
        if session.region_name is None:
            raise SettingsError("No AWS region is set.", remedy="give --region, or run 'aws configure'")
        session.client("sts").get_caller_identity()
    return session


def check_with_aws(session: Any, job: Specification, *, empty_output: str | None) -> str:
    """Ask for everything that the job needs; the role's ARN.

    Args:
        empty_output: an ``s3://`` prefix that must hold nothing yet.

    Raises:
        ProjectError: something is missing, refused, or there already.
    """
    known = session.client("sagemaker").meta.service_model.shape_for("TrainingInstanceType").enum
    check_instance_type(job.asked.instance_type, known)
    role = find_role(session, job.asked.role)
    s3 = session.client("s3")
    region = session.region_name
    for channel, url in job.asked.data.items():
        _bucket(s3, url, f"the channel {channel!r}", region)
        _check_channel(s3, channel, url, job.program.expects)
    _bucket(s3, job.asked.output, "--output", region)
    _bucket(s3, job.checkpoints, "--checkpoints", region)
    for flag, urls in job.program.places.items():
        for url in urls:
            _bucket(s3, url, flag)
    if empty_output is not None and _keys(s3, empty_output):
        raise OutputError(
            "The output is there already.", where=empty_output, remedy="take another --output or --job-name"
        )
    _check_new(session, job.asked.job_name)
    return role


def find_role(session: Any, role: str) -> str:
    """The role's ARN; where it may be looked at, that SageMaker may take it.

    Raises:
        SettingsError: there is no such role, or it is not for SageMaker.
    """
    name = role.rpartition("/")[2]
    try:
        with telling("iam:GetRole"):
            found = session.client("iam").get_role(RoleName=name)["Role"]
    except OutputError:
        if role.startswith("arn:"):
            return role  # whoever starts jobs need not be allowed to look at roles
        raise SettingsError(
            f"The role {role!r} cannot be looked up with these credentials.",
            where="--role",
            remedy="give its ARN: arn:aws:iam::<account>:role/<name>",
        ) from None
    document = found["AssumeRolePolicyDocument"]
    if "sagemaker.amazonaws.com" not in (document if isinstance(document, str) else json.dumps(document)):
        raise SettingsError(
            f"SageMaker may not take the role {name!r}: its trust policy lacks sagemaker.amazonaws.com.",
            where="--role",
            remedy="add the service to its trust policy, or give another role",
        )
    return str(found["Arn"])


@contextlib.contextmanager
def telling(action: str) -> Iterator[None]:
    """AWS's errors as ours.

    Raises:
        OutputError: it is not allowed.
        ProjectError: anything else that AWS says.
    """
    exceptions = require("botocore.exceptions", extra="s3")
    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise SettingsError(
            "No AWS credentials were found.",
            remedy="run 'aws configure' or 'aws sso login', or set AWS_PROFILE",
        ) from error
    except (
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
        exceptions.CredentialRetrievalError,
    ) as error:
        raise SettingsError(
            f"The AWS credentials are expired or not valid: {error}",
            remedy="sign in again: 'aws sso login', or new keys by 'aws configure'",
        ) from error
    except exceptions.ClientError as error:
        raise _explained(error, action) from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        raise ProjectError(
            f"AWS cannot be reached: {error}", remedy="check the network and --region"
        ) from error
    except exceptions.BotoCoreError as error:
        raise SettingsError(
            f"The AWS settings cannot be used: {error}",
            remedy="correct --region, AWS_PROFILE or ~/.aws/config",
        ) from error
    except require("boto3.exceptions", extra="s3").Boto3Error as error:
        if isinstance(error.__context__, exceptions.ClientError):  # an upload hides what S3 said
            raise _explained(error.__context__, action) from error
        raise ProjectError(str(error), remedy="try again") from error


def _explained(error: Any, action: str) -> ProjectError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", error))
    if code in _EXPIRED:
        return SettingsError(
            f"The AWS credentials are expired or not valid ({code}).",
            remedy="sign in again: 'aws sso login', or new keys by 'aws configure'",
        )
    if code in _REFUSED:
        named = re.search(r"not authorized to perform: ([A-Za-z0-9]+:[A-Za-z0-9]+)", said)
        action = named[1] if named else _OF_OPERATION.get(error.operation_name, action)
        return OutputError(f"AWS refuses {action} ({code}): {said}", remedy=f"have {action} allowed")
    if code == "NoSuchEntity":
        return SettingsError(
            f"There is no such role: {said}", where="--role", remedy="correct its name or create it"
        )
    if code == "ResourceLimitExceeded":
        return SettingsError(
            f"The account's quota does not allow it: {said}",
            where="--instance-type",
            remedy="ask for it under Service Quotas (SageMaker, 'training job usage'), or take another type",
        )
    return ProjectError(f"AWS refuses {action} ({code}): {said}", remedy="correct what it names")


def _check_channel(s3: Any, channel: str, url: str, expects: Mapping[str, str | None]) -> None:
    found = _keys(s3, url)
    if not found:
        raise DataError(
            f"There is nothing for the channel {channel!r}.",
            where=url,
            remedy="upload the data first: aws s3 cp --recursive my_data " + url,
        )
    expected = expects.get(channel, "")
    if expected is None and len(found) > 1:
        raise DataError(
            f"The channel {channel!r} is one file, and several names begin so: {', '.join(found)}.",
            where=url,
            remedy="name the file whole, and have no other whose name begins with all of its name",
        )
    if expected and not _keys(s3, url + expected):
        raise DataError(
            f"The channel {channel!r} has no {expected}.",
            where=url,
            remedy="name the folder that it is in; for other data say where in the job it is, for example "
            f"--pairs /opt/ml/input/data/{channel}/pairs.csv",
        )


def _bucket(s3: Any, url: str, flag: str, region: str | None = None) -> None:
    bucket = url.removeprefix("s3://").partition("/")[0]
    try:
        with telling("s3:ListBucket"):
            found = s3.head_bucket(Bucket=bucket).get("BucketRegion")
    except ProjectError as error:
        code = str(getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise OutputError(
                f"The bucket {bucket!r} does not exist.", where=flag, remedy="create it, or correct the name"
            ) from error
        if code in _REFUSED and region is None:
            return  # the job's role may, though whoever starts it may not
        if code in _REFUSED:
            raise OutputError(
                f"These credentials may not use the bucket {bucket!r}.",
                where=flag,
                remedy="have s3:ListBucket, s3:GetObject and s3:PutObject allowed on it, or correct the name",
            ) from error
        raise
    if region is not None and found not in (None, region):
        raise SettingsError(
            f"The bucket {bucket!r} is in {found}, the job would be in {region}; SageMaker wants one region.",
            where=flag,
            remedy=f"give --region {found}, or a bucket in {region}",
        )


def _keys(s3: Any, url: str) -> list[str]:
    """At most two names that begin so; a folder that the console made is none."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    with telling("s3:ListBucket"):
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=3).get("Contents", [])
    return [one["Key"] for one in listed if one["Size"] or not one["Key"].endswith("/")][:2]


def _check_new(session: Any, name: str) -> None:
    exceptions = require("botocore.exceptions", extra="s3")
    try:
        session.client("sagemaker").describe_training_job(TrainingJobName=name)
    except exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in {"ValidationException", "ResourceNotFound"}:
            with telling("sagemaker:DescribeTrainingJob"):
                raise
        return
    raise OutputError(f"There is a job {name!r} already.", where="--job-name", remedy="take another name")
