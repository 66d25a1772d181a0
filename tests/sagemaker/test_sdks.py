"""Either SageMaker SDK really submits the job, to moto; each in an environment of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FLAGS = [
    "--data",
    "s3://data/scenes",
    "--output",
    "s3://data/out",
    "--job-name",
    "my-job",
    "--role",
    "Trainer",
]
JOB = ["--spot", "--max-hours", "5", "--instance-count", "2", "--env", "A=1"]
TRAIN = [
    "--epochs",
    "3",
    "--batch-size",
    "64",
    "--limit",
    "10",
    "--include-timeseries",
    "true",
    "--cloud",
    "sagemaker",
]
SENT = {"epochs": "3", "batch-size": "64", "limit": "10", "include-timeseries": "True", "cloud": "sagemaker"}


def common(request: dict[str, Any]) -> None:
    """What both SDKs must send alike; removed from the request."""
    algorithm = request["AlgorithmSpecification"]
    assert {one["Name"] for one in algorithm.pop("MetricDefinitions")} >= {"train:loss", "val:mrr"}
    image = algorithm.pop("TrainingImage")
    assert image.endswith(".dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.8.0-gpu-py312")
    assert algorithm.pop("TrainingInputMode") == "File"
    assert request.pop("RoleArn") == "arn:aws:iam::123456789012:role/Trainer"
    assert request.pop("ResourceConfig") == {
        "InstanceType": "ml.g6e.xlarge",
        "InstanceCount": 2,
        "VolumeSizeInGB": 200,
    }
    assert request.pop("StoppingCondition") == {
        "MaxRuntimeInSeconds": 5 * 3600,
        "MaxWaitTimeInSeconds": 29 * 3600,
    }
    assert request.pop("EnableManagedSpotTraining") is True
    checkpoints = request.pop("CheckpointConfig")
    assert checkpoints.pop("LocalPath", "/opt/ml/checkpoints") == "/opt/ml/checkpoints"
    assert checkpoints == {"S3Uri": "s3://data/out/my-job/checkpoints"}
    assert request.pop("Environment") == {"A": "1"}
    assert request.pop("Tags") == [{"Key": "project", "Value": "multimodal-search"}]
    first = request["InputDataConfig"].pop(0)
    first.pop("InputMode", None)
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://data/scenes/",
        "S3DataDistributionType": "FullyReplicated",
    }
    assert first == {"ChannelName": "training", "DataSource": {"S3DataSource": source}}


def test_the_estimator_of_sdk_2(submitted: Any) -> None:
    answer = submitted("2", "launch.py", [*FLAGS, *JOB, *TRAIN])
    (request,) = answer["requests"]
    common(request)
    sent = {name: json.loads(value) for name, value in request.pop("HyperParameters").items()}
    code = "s3://data/out/my-job/source/sourcedir.tar.gz"
    assert sent == {
        **SENT,
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": code,
        "sagemaker_container_log_level": 20,
        "sagemaker_job_name": "my-job",
        "sagemaker_region": "us-east-1",
        "sagemaker_torch_distributed_enabled": True,
        "sagemaker_instance_type": "ml.g6e.xlarge",
    }
    assert request == {
        "TrainingJobName": "my-job",
        "AlgorithmSpecification": {},
        "InputDataConfig": [],
        "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
        "ProfilerConfig": {"DisableProfiler": True},
    }
    assert code.removeprefix("s3://data/") in answer["keys"]


def test_the_model_trainer_of_sdk_3(submitted: Any) -> None:
    answer = submitted("3", "launch.py", [*FLAGS, *JOB, *TRAIN])
    (request,) = answer["requests"]
    common(request)
    name = request.pop("TrainingJobName")
    assert name.startswith("my-job-")
    driver = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    place = f"s3://data/out/my-job/{name}/input"
    added = [
        {
            "ChannelName": channel,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": f"{place}/{channel}",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
            "InputMode": "File",
        }
        for channel in ("code", "sm_drivers")
    ]
    assert request == {
        "HyperParameters": SENT,
        "AlgorithmSpecification": {
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", f"chmod +x {driver} && {driver}"],
        },
        "InputDataConfig": added,
        "OutputDataConfig": {"S3OutputPath": "s3://data/out", "CompressionType": "GZIP"},
    }
    assert f"out/my-job/{name}/input/code/train.py" in answer["keys"]
    assert not [key for key in answer["keys"] if "/input/code/" in key and "__pycache__" in key]


@pytest.mark.parametrize("sdk", ["2", "3"])
def test_bulk_embedding(sdk: str, submitted: Any) -> None:
    flags = ["--role", "Trainer", "--path-file", "s3://data/paths.txt", "--out", "s3://data/features"]
    more = [
        "--instance-count",
        "4",
        "--storage",
        "s3",
        "--bucket-name",
        "data",
        "--encoder",
        "open_clip/ViT-L-14",
    ]
    (request,) = submitted(sdk, "embed.py", [*flags, *more])["requests"]
    channel = request["InputDataConfig"][0]
    assert channel["ChannelName"] == "paths"
    assert channel["DataSource"]["S3DataSource"]["S3DataDistributionType"] == "FullyReplicated"
    assert request["ResourceConfig"]["InstanceCount"] == 4
    sent = request["HyperParameters"]
    assert "s3://data/features" in sent["out"]
    assert "sagemaker_torch_distributed_enabled" not in sent, "each instance works by itself"


@pytest.mark.parametrize(
    ("missing", "others"),
    [("s3:PutObject", ["s3:ListBucket", "s3:HeadBucket"]), ("sagemaker:CreateTrainingJob", ["s3:*"])],
)
@pytest.mark.parametrize("sdk", ["2", "3"])
def test_what_an_sdk_is_refused_is_told_in_words(
    sdk: str, missing: str, others: list[str], submitted: Any
) -> None:
    allowed = ["sts:GetCallerIdentity", "iam:GetRole", "sagemaker:DescribeTrainingJob", *others]
    answer = submitted(sdk, "launch.py", [*FLAGS, *JOB, *TRAIN], allowed=allowed)
    assert "error: AWS refuses" in answer["said"]
    assert f"have {missing} allowed" in answer["said"]
    assert "Traceback" not in answer["said"]
