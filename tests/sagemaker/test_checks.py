"""What AWS is asked before anything is started: each mistake is said, and no job exists afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto")

JOB = [
    "--data",
    "s3://data/scenes",
    "--output",
    "s3://data/out",
    "--job-name",
    "my-job",
    "--region",
    "us-east-1",
]


def trust(service: str) -> str:
    allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account with data, a role for jobs and one that is not, and no endpoint but moto's."""
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with moto.mock_aws():
        session = boto3.Session(region_name="us-east-1")
        session.client("s3").create_bucket(Bucket="data")
        session.client("s3").put_object(Bucket="data", Key="scenes/scenes_metadata.json", Body=b"[]")
        iam = session.client("iam")
        iam.create_role(RoleName="Trainer", AssumeRolePolicyDocument=trust("sagemaker.amazonaws.com"))
        iam.create_role(RoleName="Machine", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
        yield session


@pytest.fixture
def launch(scripts: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The launcher, as if an SDK were installed that only notes what it is given."""
    program = scripts("launch")
    monkeypatch.setattr(program, "sdk_version", lambda asked: 2)
    program.submitted = []

    def submit(job: Any, role: str, *_: Any, **__: Any) -> str:
        program.submitted.append(role)
        return str(job.asked.job_name)

    monkeypatch.setattr(program, "submit", submit)
    return program


def test_a_role_by_name_becomes_its_arn(
    account: Any, launch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch.main([*JOB, "--role", "Trainer"]) == 0, capsys.readouterr().err
    assert launch.submitted == ["arn:aws:iam::123456789012:role/Trainer"]
    assert "started my-job" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--role", "Nobody"], "no such role"),
        (["--role", "Machine"], "may not take the role"),
        (["--role", "Trainer", "--instance-type", "ml.g6e.xlrge"], "'ml.g6e.xlarge'"),
        (["--role", "Trainer", "--data", "s3://data/elsewhere"], "nothing for the channel 'training'"),
        (["--role", "Trainer", "--data", "s3://not-there/scenes"], "'not-there' does not exist"),
        (["--role", "Trainer", "--output", "s3://not-there/out"], "'not-there' does not exist"),
        (["--role", "Trainer", "--checkpoints", "s3://not-there/out"], "'not-there' does not exist"),
    ],
)
def test_what_is_missing_is_said(
    argv: list[str], said: str, account: Any, launch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch.main([*JOB, *argv]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "to do" in told
    assert not launch.submitted


def test_an_output_that_is_there_is_not_mixed_with_a_new_one(
    account: Any, launch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    account.client("s3").put_object(Bucket="data", Key="out/my-job/output/model.tar.gz", Body=b"x")
    assert launch.main([*JOB, "--role", "Trainer"]) == 2
    assert "there already" in capsys.readouterr().err


def test_a_job_of_that_name(account: Any, launch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    account.client("sagemaker").create_training_job(
        TrainingJobName="my-job",
        AlgorithmSpecification={"TrainingImage": "x", "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::123456789012:role/Trainer",
        OutputDataConfig={"S3OutputPath": "s3://data/other"},
        ResourceConfig={"InstanceType": "ml.g6e.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    assert launch.main([*JOB, "--role", "Trainer"]) == 2
    assert "job 'my-job' already" in capsys.readouterr().err


def test_no_region_and_no_sdk(
    account: Any, scripts: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = scripts("launch")
    monkeypatch.setattr("importlib.metadata.version", _absent)
    assert program.main([*JOB, "--role", "Trainer"]) == 2
    assert "pip install 'sagemaker" in capsys.readouterr().err
    monkeypatch.setattr(program, "sdk_version", lambda asked: 2)
    assert program.main([*JOB[:-2], "--role", "Trainer"]) == 2
    assert "--region" in capsys.readouterr().err


def _absent(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredToken", "expired or not valid"),
        ("AccessDeniedException", "have sagemaker:CreateTrainingJob allowed"),
        ("ResourceLimitExceeded", "Service Quotas"),
    ],
)
def test_refusals_of_the_service(code: str, said: str, scripts: Any) -> None:
    from botocore.exceptions import ClientError

    from multimodal_search.errors import ProjectError

    with pytest.raises(ProjectError, match=said), scripts("checks").telling("sagemaker:CreateTrainingJob"):
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateTrainingJob")


def test_an_arn_needs_no_right_to_look_at_roles(scripts: Any) -> None:
    from botocore.exceptions import ClientError

    class Session:
        def client(self, name: str) -> Any:
            return self

        def get_role(self, **_: str) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetRole")

    arn = "arn:aws:iam::123456789012:role/path/Trainer"
    assert scripts("checks").find_role(Session(), arn) == arn
    with pytest.raises(ValueError, match="give its ARN"):
        scripts("checks").find_role(Session(), "Trainer")


def test_a_bucket_that_one_may_not_use(scripts: Any) -> None:
    from botocore.exceptions import ClientError

    class S3:
        def head_bucket(self, **_: str) -> Any:
            raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadBucket")

    with pytest.raises(ValueError, match=r"may not use the bucket 'theirs'") as error:
        scripts("checks")._bucket(S3(), "s3://theirs/out", "--output")
    assert "s3:PutObject" in str(error.value)
