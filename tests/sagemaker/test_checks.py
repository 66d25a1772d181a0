"""What AWS is asked before anything is started: each mistake is said, and no job exists afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
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
        for key in ("scenes/scenes_metadata.json", "captioned/pairs.csv", "list.txt", "list.txt.old"):
            session.client("s3").put_object(Bucket="data", Key=key, Body=b"[]")
        far = boto3.Session(region_name="eu-west-1").client("s3")
        far.create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        far.put_object(Bucket="far", Key="scenes/scenes_metadata.json", Body=b"[]")
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
        (["--role", "Trainer", "--data", "s3://data/sce"], "nothing for the channel 'training'"),
        (["--role", "Trainer", "--data", "s3://data/captioned"], "has no scenes_metadata.json"),
        (["--role", "Trainer", "--data", "s3://far/scenes"], "give --region eu-west-1"),
        (["--role", "Trainer", "--output", "s3://far/out"], "give --region eu-west-1"),
        (["--role", "Trainer", "--region", "us east"], "'us east'"),
        (["--role", "Trainer", "--s3-output", "s3://not-there/copy"], "'not-there' does not exist"),
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


def test_other_data_than_scenes(account: Any, launch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = ["--data", "s3://data/captioned", "--pairs", "/opt/ml/input/data/training/pairs.csv"]
    assert launch.main([*JOB, "--role", "Trainer", *pairs]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--path-file", "s3://data/none.txt"], "nothing for the channel 'paths'"),
        (["--path-file", "s3://data/list.txt"], "list.txt, list.txt.old"),
        (["--image-dir", "s3://not-there/photos"], "'not-there' does not exist"),
        (
            ["--path-file", "s3://data/list.txt.old", "--out", "s3://not-there/x"],
            "'not-there' does not exist",
        ),
    ],
)
def test_what_bulk_embedding_misses_is_said(
    argv: list[str],
    said: str,
    account: Any,
    launch: Any,
    scripts: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = ["--out", "s3://data/features", "--output", "s3://data/jobs", "--region", "us-east-1"]
    assert scripts("embed").main([*job, "--role", "Trainer", "--encoder", "sample/vit", *argv]) == 2
    assert said in capsys.readouterr().err
    assert not launch.submitted


def as_user(monkeypatch: pytest.MonkeyPatch, session: Any, *actions: str) -> None:
    """From here on the keys are those of somebody who may do these alone."""
    iam = session.client("iam")
    iam.create_user(UserName="somebody")
    allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="somebody", PolicyName="some", PolicyDocument=document)
    keys = iam.create_access_key(UserName="somebody")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])


ARN = "arn:aws:iam::123456789012:role/Trainer"


@pytest.mark.parametrize(
    ("actions", "role", "said"),
    [
        (["sts:GetCallerIdentity"], "Trainer", "give its ARN"),
        (["s3:PutObject"], ARN, "may not use the bucket 'data'"),
        (["iam:GetRole", "s3:*"], "Trainer", "have sagemaker:DescribeTrainingJob allowed"),
    ],
)
def test_somebody_without_permission(
    actions: list[str],
    role: str,
    said: str,
    account: Any,
    launch: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_user(monkeypatch, account, *actions)
    assert enforced(lambda: launch.main([*JOB, "--role", role])) == 2
    assert said in capsys.readouterr().err
    assert not launch.submitted


def enforced(work: Callable[[], Any]) -> Any:
    """Its result, while moto looks at keys and policies."""
    return moto.core.set_initial_no_auth_action_count(0)(work)()


def test_keys_that_are_nobody_s(account: Any, launch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert enforced(lambda: launch.main([*JOB, "--role", "Trainer"])) == 2
    assert "expired or not valid (InvalidClientTokenId)" in capsys.readouterr().err


def test_an_upload_that_is_not_allowed(
    account: Any, scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDKs upload the code by boto3's transfer, whose errors are no ClientErrors."""
    from multimodal_search.errors import OutputError

    as_user(monkeypatch, account, "s3:ListBucket")
    (tmp_path / "code").write_text("x")
    client = boto3.Session(region_name="us-east-1").client("s3")

    def upload() -> None:
        with scripts("checks").telling("sagemaker:CreateTrainingJob"):
            client.upload_file(str(tmp_path / "code"), "data", "code")

    with pytest.raises(OutputError, match="have s3:PutObject allowed"):
        enforced(upload)


def test_a_profile_that_is_not_there_and_one_that_is_signed_out(
    account: Any,
    launch: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text(
        "[profile office]\nsso_start_url = https://office.example/start\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = Trainer\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert launch.main([*JOB, "--role", "Trainer"]) == 2
    said = capsys.readouterr().err
    assert "(nobody) could not be found" in said
    assert "AWS_PROFILE" in said
    monkeypatch.setenv("AWS_PROFILE", "office")
    assert launch.main([*JOB, "--role", "Trainer"]) == 2
    assert "aws sso login" in capsys.readouterr().err


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
        scripts("checks")._bucket(S3(), "s3://theirs/out", "--output", "us-east-1")
    assert "s3:PutObject" in str(error.value)
    # what the job's role reads, whoever starts it need not be allowed to
    scripts("checks")._bucket(S3(), "s3://theirs/photos", "--image-dir")
