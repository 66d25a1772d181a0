"""What every template keeps to: clean to cfn-lint, and strict where that does not look."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.parametrize("name", ["job.yaml", "page.yaml"])


def test_cfn_lint_finds_nothing(name: str, read: Any) -> None:
    found = pytest.importorskip("cfnlint.api").lint_file(read(name).path)
    assert found == [], "\n".join(map(str, found))


def test_no_policy_allows_everything(name: str, read: Any) -> None:
    template = read(name)
    statements = [one for one in template.values("Statement") if one["Effect"] == "Allow"]
    assert statements
    for one in statements:
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        assert not [action for action in actions if "*" in action], one
        assert one.get("Principal") != "*"
        if "Principal" in one:
            continue  # a trust policy has no resource
        resources = list(template.values("Resource", one))
        assert resources
        assert "*" not in resources, one
        if any(action.startswith("s3:") for action in actions):
            assert re.search(r"s3:::\$\{(Bucket)?Name\}", str(resources)), "S3 is allowed on the one bucket"


def test_the_instance_is_hardened(name: str, read: Any) -> None:
    (instance,) = read(name).of("AWS::EC2::Instance")
    assert instance["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 2,
    }
    disk = instance["BlockDeviceMappings"][0]["Ebs"]
    assert (disk["Encrypted"], disk["DeleteOnTermination"], disk["VolumeType"]) == (True, True, "gp3")
    assert "KeyName" not in instance


def test_nobody_comes_in_from_everywhere(name: str, read: Any) -> None:
    groups = read(name).of("AWS::EC2::SecurityGroup")
    assert groups
    for group in groups:
        for rule in group.get("SecurityGroupIngress", []):
            assert rule.get("CidrIp") != "0.0.0.0/0"
            assert rule["FromPort"] == rule["ToPort"]
        assert group["SecurityGroupEgress"], "without rules everything may go out"
        for rule in group["SecurityGroupEgress"]:
            assert rule["FromPort"] == rule["ToPort"]
            assert rule["ToPort"] in (443, 8000)


def test_every_instance_type_exists(name: str, read: Any) -> None:
    known = pytest.importorskip("botocore.session").Session().get_service_model("ec2")
    allowed = read(name).body["Parameters"]["InstanceType"]
    assert {*allowed["AllowedValues"], allowed["Default"]} <= set(known.shape_for("InstanceType").enum)


def test_the_first_start_is_valid_shell(name: str, read: Any) -> None:
    names = ("Name", "BucketName", "BundlePrefix", "ImagesPrefix", "Token")
    script = read(name).first_start(**dict.fromkeys(names, "x"))
    assert "${AWS" not in script
    assert len(script) < 16_000, "the limit of user data"
    inner = re.findall(r"<<'(?:JOB|PAGE)'\n(.*?)\n(?:JOB|PAGE)\n", script, re.S)
    assert inner
    for one in [script, *inner]:
        subprocess.run(["bash", "-n"], input=one, text=True, check=True)
