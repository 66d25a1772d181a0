"""What AWS is asked before anything is started or paid for: who we are, role, buckets, data, names."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from specification import Specification, check_instance_type

from multimodal_search.errors import DataError, OutputError, ProjectError, SettingsError, require

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId",
            "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"}  # fmt: skip
_REFUSED = {"AccessDenied", "AccessDeniedException", "403", "Forbidden", "UnauthorizedOperation"}
_MISSING = {"404", "NoSuchBucket", "NotFound"}


def open_session(region: str | None) -> Any:
    """A boto3 session with a region and credentials that are valid now.

    Raises:
        SettingsError: there is no region, or no valid credentials.
    """
    session = require("boto3", extra="s3").Session(region_name=region)
    if session.region_name is None:
        raise SettingsError("No AWS region is set.", remedy="give --region, or run 'aws configure'")
    with telling("sts:GetCallerIdentity"):
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
    for channel, url in job.asked.data.items():
        if next(_keys(s3, url, f"the channel {channel!r}"), None) is None:
            raise DataError(
                f"There is nothing for the channel {channel!r}.",
                where=url,
                remedy="upload the data first: aws s3 cp --recursive my_data " + url,
            )
    _bucket(s3, job.asked.output, "--output")
    _bucket(s3, job.checkpoints, "--checkpoints")
    if empty_output is not None and next(_keys(s3, empty_output, "--output"), None) is not None:
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
    except exceptions.ClientError as error:
        raise _explained(error, action) from error
    except exceptions.BotoCoreError as error:
        raise ProjectError(
            f"AWS cannot be reached: {error}", remedy="check the network and --region"
        ) from error


def _explained(error: Any, action: str) -> ProjectError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", error))
    if code in _EXPIRED:
        return SettingsError(
            f"The AWS credentials are expired or not valid ({code}).",
            remedy="sign in again: 'aws sso login', or new keys by 'aws configure'",
        )
    if code in _REFUSED:
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


def _bucket(s3: Any, url: str, flag: str) -> tuple[str, str]:
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    try:
        with telling("s3:ListBucket"):
            s3.head_bucket(Bucket=bucket)
    except ProjectError as error:
        code = str(getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise OutputError(
                f"The bucket {bucket!r} does not exist.", where=flag, remedy="create it, or correct the name"
            ) from error
        if code in _REFUSED:
            raise OutputError(
                f"These credentials may not use the bucket {bucket!r}.",
                where=flag,
                remedy="have s3:ListBucket, s3:GetObject and s3:PutObject allowed on it, or correct the name",
            ) from error
        raise
    return bucket, prefix


def _keys(s3: Any, url: str, flag: str) -> Iterator[str]:
    bucket, prefix = _bucket(s3, url, flag)
    with telling("s3:ListBucket"):
        for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=2).get("Contents", []):
            if one["Size"] or not one["Key"].endswith("/"):  # a folder that the console made is nothing
                yield one["Key"]


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
