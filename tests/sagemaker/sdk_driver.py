"""Runs in an environment that has a SageMaker SDK and moto: submits to moto, prints the requests as JSON.

``python sdk_driver.py`` reads {"script", "argv", "keep", "allowed"} from its standard input. ``keep`` is a
folder that receives what was uploaded, ``allowed`` the only actions that the caller may do; or null.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

ROOT = Path(__file__).parents[2]
TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}}]}


@mock_aws
def submit(script: str, argv: list[str], keep: str | None, allowed: list[str] | None) -> dict[str, Any]:
    """What CreateTrainingJob gets, what was uploaded, and what the program said by its exit code."""
    requests: list[dict[str, Any]] = []
    plain = boto3.Session

    def watched(**options: Any) -> boto3.Session:
        session = plain(**options)
        session.events.register(
            "provide-client-params.sagemaker.CreateTrainingJob", lambda params, **_: requests.append(params)
        )
        return session

    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="data")
    s3.put_object(Bucket="data", Key="scenes/scenes_metadata.json", Body=b"[]")
    s3.put_object(Bucket="data", Key="paths.txt", Body=b"a.jpg\n")
    role = {"Version": "2012-10-17", **TRUST}
    boto3.client("iam").create_role(RoleName="Trainer", AssumeRolePolicyDocument=json.dumps(role))
    sys.path.insert(0, str(ROOT / "sagemaker"))
    program = importlib.import_module(script.removesuffix(".py"))
    keys = None if allowed is None else somebody(allowed)
    with mock.patch.object(boto3, "Session", watched), mock.patch.dict(os.environ, keys or {}):
        main = program.main if keys is None else set_initial_no_auth_action_count(0)(program.main)
        code = main(argv)
    uploaded = [one["Key"] for one in s3.list_objects_v2(Bucket="data").get("Contents", [])]
    for key in uploaded if keep else ():
        file = Path(str(keep), key)
        file.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file("data", key, str(file))
    buckets = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    return {"code": code, "requests": requests, "keys": uploaded, "buckets": buckets}


def somebody(allowed: list[str]) -> dict[str, str]:
    """The keys, as environment variables, of a user who may do these actions alone."""
    iam = boto3.client("iam")
    iam.create_user(UserName="somebody")
    statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="somebody", PolicyName="some", PolicyDocument=document)
    made = iam.create_access_key(UserName="somebody")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}


if __name__ == "__main__":
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1")
    os.environ.update(AWS_EC2_METADATA_DISABLED="true")
    os.environ.pop("AWS_ENDPOINT_URL", None)
    order = json.load(sys.stdin)
    said = submit(**order)
    print("\nANSWER " + json.dumps(said, default=str))
