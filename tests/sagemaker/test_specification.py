"""The request of a job: complete, within the service's own model, and refused where it cannot run."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from multimodal_search.errors import SettingsError

ROLE = "arn:aws:iam::123456789012:role/Trainer"
JOB = ["--role", ROLE, "--output", "s3://my-bucket/out", "--job-name", "my-job"]
DATA = ["--data", "s3://my-bucket/scenes"]


@pytest.fixture
def specified(scripts: Any) -> Any:
    """Flags of a training job -> its specification."""
    launch = scripts("launch")

    def make(*argv: str) -> Any:
        flags, rest = launch._parser().parse_known_args([*JOB, *argv])
        return launch.specification(flags, rest)[0]

    return make


@pytest.fixture(scope="session")
def model() -> Any:
    """The service's own description of CreateTrainingJob."""
    session = pytest.importorskip("botocore.session").Session()
    return session.get_service_model("sagemaker")


def test_the_request_is_the_whole_job(specified: Any) -> None:
    job = specified(
        *(*DATA, "--spot", "--max-hours", "5", "--instance-count", "2", "--env", "A=1", "--tag", "team=maps"),
        *(
            "--epochs",
            "3",
            "--batch-size",
            "64",
            "--limit",
            "10",
            "--include-timeseries",
            "--cameras",
            "CAM_FRONT,CAM_BACK",
        ),
    )
    request = job.request()
    metrics = request["AlgorithmSpecification"].pop("MetricDefinitions")
    assert {one["Name"] for one in metrics} >= {"train:loss", "val:mrr", "test:text-image:recall@10"}
    assert request == {
        "TrainingJobName": "my-job",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "<AWS's registry in your region>/pytorch-training:2.8.0-gpu-py312",
            "TrainingInputMode": "File",
        },
        "HyperParameters": {
            "cloud": "sagemaker",
            "epochs": "3",
            "batch-size": "64",
            "limit": "10",
            "include-timeseries": "True",
            "cameras": "CAM_FRONT,CAM_BACK",
        },
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": "s3://my-bucket/scenes/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://my-bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.g6e.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 200},
        "StoppingCondition": {"MaxRuntimeInSeconds": 5 * 3600, "MaxWaitTimeInSeconds": 29 * 3600},
        "CheckpointConfig": {
            "S3Uri": "s3://my-bucket/out/my-job/checkpoints",
            "LocalPath": "/opt/ml/checkpoints",
        },
        "EnableManagedSpotTraining": True,
        "Environment": {"A": "1"},
        "Tags": [{"Key": "project", "Value": "multimodal-search"}, {"Key": "team", "Value": "maps"}],
    }
    assert job.program.torchrun


def test_the_service_would_take_it(specified: Any, model: Any) -> None:
    from botocore.validate import ParamValidator

    request = specified(*DATA, "--spot", "--image-uri", "mine/image:1").request()
    shape = model.operation_model("CreateTrainingJob").input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    _check_patterns(request, shape)


def _check_patterns(value: Any, shape: Any) -> None:
    """What botocore leaves to the service: enums and patterns."""
    if shape.type_name == "structure":
        for name, one in value.items():
            _check_patterns(one, shape.members[name])
    elif shape.type_name == "list":
        for one in value:
            _check_patterns(one, shape.member)
    elif shape.type_name == "map":
        for name, one in value.items():
            _check_patterns(name, shape.key)
            _check_patterns(one, shape.value)
    elif shape.type_name == "string":
        if shape.enum:
            assert value in shape.enum, (shape.name, value)
        if pattern := shape.metadata.get("pattern"):
            # botocore's patterns are Java's: a class of Unicode properties is taken as any character
            assert re.fullmatch(re.sub(r"\[[^\]]*\\p\{[^\]]*\]", ".", pattern), value), (shape.name, value)


def test_names_made_from_the_time_are_names(scripts: Any, model: Any) -> None:
    for script, more in (
        ("launch", DATA),
        ("embed", ["--path-file", "s3://bucket/p.txt", "--out", "s3://bucket/f"]),
    ):
        program = scripts(script)
        argv = ["--role", ROLE, *more] + (["--output", "s3://bucket/o"] if script == "launch" else [])
        flags, rest = program._parser().parse_known_args(argv)
        name = program.specification(flags, rest)[0].asked.job_name
        pattern = model.shape_for("TrainingJobName").metadata["pattern"]
        assert re.fullmatch(pattern, name)


@pytest.mark.parametrize("given", ["True", "true", "False", "false", None])
def test_every_way_to_say_a_boolean(specified: Any, given: str | None) -> None:
    flags = ["--include-timeseries", *([given] if given else [])]
    sent = specified(*DATA, *flags).program.hyperparameters["include-timeseries"]
    assert sent == ("False" if given in ("False", "false") else "True")


def test_what_no_hyperparameter_can_hold_goes_into_a_file(scripts: Any, tmp_path: Any) -> None:
    (tmp_path / "mine.yaml").write_text(
        "epochs: 7\ntrainer: {precision: 32}\nfeatures: ['s3://b/one', 's3://b/two']\n"
    )
    launch = scripts("launch")
    flags, rest = launch._parser().parse_known_args([*JOB, *DATA, "--config", str(tmp_path / "mine.yaml")])
    job, config = launch.specification(flags, rest)
    assert config == {"trainer": {"precision": 32}, "features": ["s3://b/one", "s3://b/two"]}
    assert job.program.hyperparameters["epochs"] == "7"
    assert job.program.hyperparameters["config"] == "job.yaml"


@pytest.mark.parametrize("text", ["1.50", "null", "true", "it's"])
def test_words_that_a_container_would_read_as_something_else_go_into_the_file(
    scripts: Any, text: str
) -> None:
    assert scripts("options").split_settings({"dataset": text, "epochs": 3, "amp": True}) == (
        {"epochs": "3", "amp": "True"},
        {"dataset": text},
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "no data"),
        (["--data", "/my/data"], "no place on S3"),
        (["--data", "s3://"], "no place on S3"),
        (["--data", "s3://My_Bucket/data"], "no place on S3"),
        ([*DATA, "--device", "cuda", "--instance-type", "ml.m5.xlarge"], "no NVIDIA GPU"),
        ([*DATA, "--framework-version", "2.0", "--py-version", "py310"], "2.8.0 --py-version py312"),
        ([*DATA, "--framework-version", "2.6.0", "--py-version", "py310"], "too old"),
        (
            [*DATA, "--image-uri", "x.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:1.13.1-gpu-py39"],
            "too old",
        ),
        (
            [*DATA, "--image-uri", "x/huggingface-pytorch-training:2.0.0-transformers4.28.1-gpu-py310-cu118"],
            "leave --image-uri out",
        ),
        ([*DATA, "--framework-version", "newest"], "name no image"),
        ([*DATA, "--job-name", "my_job"], "no name for a job"),
        ([*DATA, "--max-wait-hours", "3"], "--spot"),
        ([*DATA, "--spot", "--max-hours", "9", "--max-wait-hours", "3"], "less than"),
        ([*DATA, "--instance-count", "0"], "from 1 up"),
        ([*DATA, "--max-hours", "1000"], "between 0 and 672"),
        ([*DATA, "--env", "A"], "KEY=VALUE"),
        ([*DATA, "--data-dir", "/home/me/data"], "does not see files of this machine"),
        ([*DATA, "--features", "mine/table"], "does not see files of this machine"),
        ([*DATA, "--output-dir", "x"], "follows from the job"),
        ([*DATA, "--epocs", "3"], "--epochs"),
        ([*DATA, "--epochs", "0"], "at least 1"),
    ],
)
def test_what_cannot_run_is_refused_before_anybody_is_called(
    argv: list[str], said: str, specified: Any
) -> None:
    with pytest.raises(SettingsError) as error:
        specified(*argv)
    assert said in str(error.value)
    assert error.value.remedy


def test_a_dry_run_prints_the_request_and_calls_nobody(
    scripts: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = scripts("launch")
    monkeypatch.setattr(launch, "open_session", lambda region: pytest.fail("AWS was called"))
    assert launch.main([*JOB, *DATA, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["TrainingJobName"] == "my-job"
    assert "would be uploaded" in said.err


def test_only_the_program_is_uploaded(scripts: Any, tmp_path: Any) -> None:
    staging = scripts("staging")
    staging.stage(tmp_path, scripts("checkout").ROOT / "train.py", ["s3"], {"epochs": 3})
    names = {one.name for one in tmp_path.iterdir()}
    assert names == {"train.py", "multimodal_search", "requirements.txt", "job.yaml"}
    assert not [one for one in tmp_path.rglob("*") if one.name == "__pycache__"]
    assert sum(one.stat().st_size for one in tmp_path.rglob("*")) < 20e6
    needed = (tmp_path / "requirements.txt").read_text()
    assert "lightning" in needed
    assert "boto3" in needed
    assert not re.search(r"^torch\W", needed, re.M), "the image's own torch knows its GPU"


def test_the_folder_is_no_package(scripts: Any) -> None:
    """Beside an __init__.py it would hide the SDK of the same name from whoever works in the checkout."""
    assert not (scripts("checkout").ROOT / "sagemaker" / "__init__.py").exists()
