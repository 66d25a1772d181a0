"""The EC2 template: clean to cfn-lint, made by moto, and strict where neither of them looks."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "cloudformation"
TEMPLATE = FOLDER / "job.yaml"


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    decode = pytest.importorskip("cfnlint.decode")
    parsed, problems = decode.decode(str(TEMPLATE))
    assert not problems
    found: dict[str, Any] = parsed
    return found


def resources(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["Properties"] for one in template["Resources"].values() if one["Type"] == kind]


def values(node: Any, key: str) -> Iterator[Any]:
    """Every value under a key, anywhere."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield from value if isinstance(value, list) else [value]
            yield from values(value, key)
    elif isinstance(node, list):
        for one in node:
            yield from values(one, key)


def test_cfn_lint_finds_nothing() -> None:
    api = pytest.importorskip("cfnlint.api")
    assert api.lint_file(TEMPLATE) == [], "\n".join(map(str, api.lint_file(TEMPLATE)))


def test_no_policy_allows_everything(template: dict[str, Any]) -> None:
    statements = [one for one in values(template["Resources"], "Statement") if one["Effect"] == "Allow"]
    assert statements
    for one in statements:
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        assert not [action for action in actions if "*" in action], one
        for resource in values(one, "Resource"):
            assert resource != "*", one
        assert one.get("Principal") != "*"
    reached = json.dumps([list(values(one, "Resource")) for one in statements])
    assert "s3:::${Name}" in reached, "S3 is allowed on the one bucket"


def test_nothing_comes_in(template: dict[str, Any]) -> None:
    (group,) = resources(template, "AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert not resources(template, "AWS::EC2::SecurityGroupIngress")
    (out,) = group["SecurityGroupEgress"]
    assert (out["FromPort"], out["ToPort"], out["IpProtocol"]) == (443, 443, "tcp")
    (instance,) = resources(template, "AWS::EC2::Instance")
    assert "KeyName" not in instance


def test_the_instance_is_hardened_and_stops_itself(template: dict[str, Any]) -> None:
    (data,) = resources(template, "AWS::EC2::Instance")
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 2,
    }
    disk = data["BlockDeviceMappings"][0]["Ebs"]
    assert disk["Encrypted"] is True
    assert disk["DeleteOnTermination"] is True
    assert disk["VolumeType"] == "gp3"
    assert data["InstanceInitiatedShutdownBehavior"] == "stop"
    assert "shutdown -h" in json.dumps(data["UserData"])


def test_the_bucket_is_private_encrypted_and_kept(template: dict[str, Any]) -> None:
    bucket = template["Resources"]["Bucket"]
    assert bucket["DeletionPolicy"].startswith("Retain")
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["Properties"]["BucketEncryption"]
    (policy,) = resources(template, "AWS::S3::BucketPolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_instance_type_exists(template: dict[str, Any]) -> None:
    session = pytest.importorskip("botocore.session").Session()
    known = session.get_service_model("ec2").shape_for("InstanceType").enum
    allowed = template["Parameters"]["InstanceType"]["AllowedValues"]
    assert set(allowed) <= set(known)
    assert template["Parameters"]["InstanceType"]["Default"] == "g6e.xlarge"


def user_data(template: dict[str, Any]) -> str:
    (instance,) = resources(template, "AWS::EC2::Instance")
    text, _ = instance["UserData"]["Fn::Base64"]["Fn::Sub"]
    filled = text.replace("${Name}", "my-bucket").replace("${AWS::Region}", "us-east-1").replace("${!", "${")
    return str(filled)


def test_the_first_start_is_valid_shell(template: dict[str, Any]) -> None:
    script = user_data(template)
    assert "${AWS" not in script
    assert len(script) < 16_000, "the limit of user data"
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    subprocess.run(
        ["bash", "-n"], input=script.split("<<'JOB'\n")[1].split("\nJOB\n")[0], text=True, check=True
    )


@pytest.mark.parametrize("own", [True, False], ids=["all new", "existing VPC and bucket"])
def test_moto_makes_the_stack(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    # moto does not resolve this type of parameter
    body = TEMPLATE.read_text().replace(
        "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "AWS::EC2::Image::Id"
    )
    with moto.mock_aws():
        session = boto3.Session(region_name="us-east-1")
        ec2, s3 = session.client("ec2"), session.client("s3")
        chosen = {"ImageId": ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]}
        if not own:
            subnet = ec2.describe_subnets()["Subnets"][0]
            s3.create_bucket(Bucket="mine")
            chosen |= {"VpcId": subnet["VpcId"], "SubnetId": subnet["SubnetId"], "BucketName": "mine"}
        stacks = session.client("cloudformation")
        stacks.create_stack(
            StackName="jobs",
            TemplateBody=body,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in chosen.items()],
        )
        stack = stacks.describe_stacks(StackName="jobs")["Stacks"][0]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        found = ec2.describe_instances(InstanceIds=[outputs["InstanceId"]])["Reservations"][0]["Instances"][0]
        assert found["InstanceType"] == "g6e.xlarge"
        kinds = {
            one["ResourceType"]
            for one in stacks.list_stack_resources(StackName="jobs")["StackResourceSummaries"]
        }
        assert ("AWS::EC2::VPC" in kinds) == own
        assert ("AWS::S3::Bucket" in kinds) == own
        assert (outputs["BucketName"] == "mine") != own


@pytest.fixture
def stubbed(tmp_path: Path) -> Callable[..., tuple[int, str, list[str]]]:
    """Runs a script with an ``aws`` and a ``docker`` that note what they are asked: (code, said, calls)."""
    log = tmp_path / "calls"
    answer = """#!/bin/bash
printf '%s ' "$(basename "$0")" "$@" >> "$CALLS"; echo >> "$CALLS"
case "$*" in
  *BucketName*) echo my-bucket ;;
  *InstanceId*) echo i-0123456789abcdef0 ;;
  "s3 ls"*) exit "${BUSY:-1}" ;;
  "s3 cp - "*|"s3 cp --only-show-errors - "*) cat >> "$CALLS"; echo >> "$CALLS" ;;
  *exit-code*) echo "${CODE:-0}" ;;
  "image inspect"*) exit "${NO_IMAGE:-0}" ;;
esac
"""
    for name in ("aws", "docker"):
        (tmp_path / name).write_text(answer)
        (tmp_path / name).chmod(0o755)

    def run(script: str, *argv: str, **environment: str) -> tuple[int, str, list[str]]:
        log.write_text("")
        done = subprocess.run(
            [FOLDER / script, *argv],
            env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(log), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr, log.read_text(errors="replace").splitlines()

    return run


def test_deploying(stubbed: Any) -> None:
    code, said, calls = stubbed("deploy.sh", "jobs", "InstanceType=g6e.2xlarge")
    assert code == 0, said
    deployed = next(one for one in calls if "cloudformation deploy" in one)
    assert "--parameter-overrides InstanceType=g6e.2xlarge" in deployed
    assert any("s3://my-bucket/image/multimodal-search.tar.gz" in one for one in calls)
    code, said, calls = stubbed("deploy.sh", "jobs", NO_IMAGE="1")
    assert code == 2
    assert "docker build" in said
    assert not [one for one in calls if "cloudformation" in one], "nothing is made before the image is there"


def test_running_a_command_and_its_exit_code(stubbed: Any) -> None:
    code, said, calls = stubbed(
        "run.sh", "jobs", "search", "--text", "red truck, it's raining", RUN="one", CODE="3"
    )
    assert code == 3, "the command's own"
    order = "\n".join(calls)
    assert order.index("instance-stopped") < order.index("start-instances")
    assert r"search --text red\ truck\,\ it\'s\ raining" in order
    assert "s3://my-bucket/runs/one" in said
    code, said, _ = stubbed("run.sh", "jobs", "train", BUSY="0")
    assert code == 2
    assert "another command" in said
    assert stubbed("run.sh", "jobs")[0] == 2


def test_tearing_down(stubbed: Any) -> None:
    code, said, calls = stubbed("teardown.sh", "jobs")
    assert code == 0, said
    assert any("delete-stack --stack-name jobs" in one for one in calls)
    assert "s3://my-bucket" in said
