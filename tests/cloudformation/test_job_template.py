"""The template of jobs: nothing comes in, a private bucket, an instance that stops itself; moto makes it."""

from __future__ import annotations

from typing import Any

import pytest


def test_nothing_comes_in(read: Any) -> None:
    template = read("job.yaml")
    (group,) = template.of("AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert not template.of("AWS::EC2::SecurityGroupIngress")
    (out,) = group["SecurityGroupEgress"]
    assert (out["FromPort"], out["ToPort"], out["IpProtocol"]) == (443, 443, "tcp")


def test_the_instance_stops_and_is_not_thrown_away(read: Any) -> None:
    template = read("job.yaml")
    (instance,) = template.of("AWS::EC2::Instance")
    assert instance["InstanceInitiatedShutdownBehavior"] == "stop"
    assert "shutdown -h" in template.first_start()
    assert template.body["Parameters"]["InstanceType"]["Default"] == "g6e.xlarge"


def test_the_bucket_is_private_encrypted_and_kept(read: Any) -> None:
    template = read("job.yaml")
    bucket = template.body["Resources"]["Bucket"]
    assert bucket["DeletionPolicy"].startswith("Retain")
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["Properties"]["BucketEncryption"]
    (policy,) = template.of("AWS::S3::BucketPolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("own", [True, False], ids=["all new", "existing VPC and bucket"])
def test_moto_makes_the_stack(own: bool, read: Any, account: Any, make: Any) -> None:
    chosen = {}
    ec2 = account.client("ec2")
    if not own:
        subnet = ec2.describe_subnets()["Subnets"][0]
        account.client("s3").create_bucket(Bucket="mine")
        chosen = {"VpcId": subnet["VpcId"], "SubnetId": subnet["SubnetId"], "BucketName": "mine"}
    outputs, kinds = make(read("job.yaml").path, **chosen)
    found = ec2.describe_instances(InstanceIds=[outputs["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert found["InstanceType"] == "g6e.xlarge"
    assert ("AWS::EC2::VPC" in kinds) == own
    assert ("AWS::S3::Bucket" in kinds) == own
    assert (outputs["BucketName"] == "mine") != own
