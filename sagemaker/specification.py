"""What a job is, before any SDK: a pure function from what was asked to one CreateTrainingJob request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multimodal_search.errors import SettingsError, nearest

TORCH, PYTHON = "2.8.0", "py312"  # of the default image
_OLDEST_TORCH, _OLDEST_PYTHON = (2, 6), (3, 11)
# of AWS's PyTorch images, and of its Hugging Face ones: 2.8.0-gpu-py312, 2.0.0-transformers4.28.1-gpu-py310
_TAG = re.compile(r":(\d+)\.(\d+)(?:\.\d+)?-(?:transformers[\d.]+-)?(?:cpu|gpu)-py(\d)(\d+)")
_PLACE = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?")
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_GPU_FAMILY = re.compile(r"ml\.(p\d|g\d)")
_MOST_HYPERPARAMETERS, _LONGEST_VALUE = 100, 2500
_FIGURE = r"=([0-9.eE+-]+|nan);"
TRAINING_METRICS = {
    "train:loss": f"train:loss{_FIGURE}",
    "val:mrr": f"val:mrr{_FIGURE}",
    "test:text-image:recall@10": f"test:text-image:recall@10{_FIGURE}",
    "test:image-text:recall@10": f"test:image-text:recall@10{_FIGURE}",
    "test:timeseries-image:recall@10": f"test:timeseries-image:recall@10{_FIGURE}",
}
EMBEDDING_METRICS = {"inputs_per_second": r"new at ([0-9.]+) a second"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says, apart from the program's own flags.

    Attributes:
        role: an ARN, or a name that is looked up when the job is submitted.
        image_uri: of an image of one's own; else AWS's for ``torch`` and ``python`` is taken.
        data: channel -> ``s3://`` prefix or object.
        output: ``s3://bucket/prefix``; everything of the job is under ``<output>/<job name>``.
        checkpoints: where ``/opt/ml/checkpoints`` is kept (default: under the output).
    """

    job_name: str
    role: str
    output: str
    data: Mapping[str, str]
    instance_type: str = "ml.g6e.xlarge"
    instance_count: int = 1
    volume_gb: int = 200
    max_hours: float = 24.0
    spot: bool = False
    max_wait_hours: float | None = None
    torch: str = TORCH
    python: str = PYTHON
    image_uri: str | None = None
    checkpoints: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """What runs in the job.

    Attributes:
        script: the file that the container starts.
        hyperparameters: flag without dashes -> value; they arrive as ``--flag value``.
        metrics: name -> regular expression with one group.
        expects: channel -> the file that it must have; None: it is one file itself.
        places: flag -> the ``s3://`` addresses that the program itself reads or writes.
        torchrun: whether the nodes' processes work as one.
        needs_gpu: whether the flags ask for one.
    """

    script: str
    hyperparameters: Mapping[str, str]
    metrics: Mapping[str, str]
    expects: Mapping[str, str | None] = field(default_factory=dict)
    places: Mapping[str, Sequence[str]] = field(default_factory=dict)
    torchrun: bool = False
    needs_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Specification:
    """A job, checked; either SDK submits it."""

    asked: Asked
    program: Program
    checkpoints: str
    max_run_seconds: int
    max_wait_seconds: int | None

    @property
    def image_tag(self) -> str:
        """AWS's own training image, for example ``2.8.0-gpu-py312``."""
        kind = "gpu" if has_gpu(self.asked.instance_type) else "cpu"
        return f"{self.asked.torch}-{kind}-{self.asked.python}"

    def request(self) -> dict[str, Any]:
        """The CreateTrainingJob request, less what an SDK adds (the uploaded code and where it is)."""
        asked = self.asked
        image = asked.image_uri or f"<AWS's registry in your region>/pytorch-training:{self.image_tag}"
        role = asked.role if asked.role.startswith("arn:") else f"<ARN of the role {asked.role}>"
        stopping: dict[str, int] = {"MaxRuntimeInSeconds": self.max_run_seconds}
        if self.max_wait_seconds is not None:
            stopping["MaxWaitTimeInSeconds"] = self.max_wait_seconds
        return {
            "TrainingJobName": asked.job_name,
            "RoleArn": role,
            "AlgorithmSpecification": {
                "TrainingImage": image,
                "TrainingInputMode": "File",
                "MetricDefinitions": metric_definitions(self.program.metrics),
            },
            "HyperParameters": dict(self.program.hyperparameters),
            "InputDataConfig": [
                {"ChannelName": name, "DataSource": {"S3DataSource": _source(url)}}
                for name, url in asked.data.items()
            ],
            "OutputDataConfig": {"S3OutputPath": asked.output},
            "ResourceConfig": {
                "InstanceType": asked.instance_type,
                "InstanceCount": asked.instance_count,
                "VolumeSizeInGB": asked.volume_gb,
            },
            "StoppingCondition": stopping,
            "CheckpointConfig": {"S3Uri": self.checkpoints, "LocalPath": "/opt/ml/checkpoints"},
            "EnableManagedSpotTraining": asked.spot,
            "Environment": dict(asked.environment),
            "Tags": [{"Key": key, "Value": value} for key, value in asked.tags.items()],
        }


def specify(asked: Asked, program: Program) -> Specification:
    """A job out of what was asked; no file is read and nobody is called.

    Raises:
        SettingsError: what no service could run: a name, an image or an instance that does not fit, times
            that contradict each other, too many hyperparameters.
    """
    _check_name(asked.job_name)
    _check_image(asked)
    _check_places(asked)
    if program.needs_gpu and not has_gpu(asked.instance_type):
        raise SettingsError(
            f"--device cuda: {asked.instance_type} has no NVIDIA GPU.",
            where="--instance-type",
            remedy="take ml.g6e.xlarge (or another of ml.g4dn, g5, g6, g6e, p4d, p5), or leave --device out",
        )
    max_run = round(asked.max_hours * 3600)
    max_wait = None
    if asked.spot:
        max_wait = round(
            (asked.max_hours + 24 if asked.max_wait_hours is None else asked.max_wait_hours) * 3600
        )
        if max_wait < max_run:
            raise SettingsError(
                f"--max-wait-hours {asked.max_wait_hours:g} is less than --max-hours {asked.max_hours:g}.",
                remedy="the wait counts from the start and contains the run: raise it, or lower --max-hours",
            )
    elif asked.max_wait_hours is not None:
        raise SettingsError("--max-wait-hours is for Spot.", remedy="add --spot, or leave it out")
    _check_hyperparameters(program.hyperparameters)
    kept = asked.checkpoints or f"{asked.output.rstrip('/')}/{asked.job_name}/checkpoints"
    return Specification(asked, program, kept, max_run, max_wait)


def metric_definitions(metrics: Mapping[str, str]) -> list[dict[str, str]]:
    """As the service wants them."""
    return [{"Name": name, "Regex": regex} for name, regex in metrics.items()]


def has_gpu(instance_type: str) -> bool:
    """Whether the instance has NVIDIA GPUs."""
    return bool(_GPU_FAMILY.match(instance_type))


def check_instance_type(instance_type: str, known: Sequence[str]) -> None:
    """Refuse an instance type that the service's own model does not list.

    Raises:
        SettingsError: with the nearest ones.
    """
    if instance_type not in known:
        raise SettingsError(
            f"SageMaker has no training instance {instance_type!r}.",
            where="--instance-type",
            remedy=nearest(instance_type, list(known)),
        )


def _source(url: str) -> dict[str, str]:
    return {"S3DataType": "S3Prefix", "S3Uri": url, "S3DataDistributionType": "FullyReplicated"}


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name for a job.",
            where="--job-name",
            remedy="letters, digits and dashes, at most 63, beginning and ending with a letter or digit",
        )


def _check_image(asked: Asked) -> None:
    found = (
        _TAG.search(asked.image_uri) if asked.image_uri else _TAG.search(f":{asked.torch}-gpu-{asked.python}")
    )
    if found is None:
        if asked.image_uri:
            return  # an image of one's own may be called anything
        raise SettingsError(
            f"{asked.torch!r} and {asked.python!r} name no image.",
            where="--framework-version, --py-version",
            remedy=f"for example {TORCH} and {PYTHON}",
        )
    torch, python = (int(found[1]), int(found[2])), (int(found[3]), int(found[4]))
    if torch < _OLDEST_TORCH or python < _OLDEST_PYTHON:
        raise SettingsError(
            f"An image with torch {torch[0]}.{torch[1]} and Python {python[0]}.{python[1]} is too old: torch "
            "2.6 and Python 3.11 are the oldest that this program's dependencies run on.",
            where="--image-uri" if asked.image_uri else "--framework-version, --py-version",
            remedy=f"{'leave --image-uri out, or ' if asked.image_uri else ''}"
            f"take --framework-version {TORCH} --py-version {PYTHON}, or 2.6.0 and py312",
        )


def _check_places(asked: Asked) -> None:
    given = {"--output": asked.output, "--checkpoints": asked.checkpoints}
    given.update({f"the channel {name!r}": url for name, url in asked.data.items()})
    for flag, url in given.items():
        if url is not None and not _PLACE.fullmatch(url):
            raise SettingsError(
                f"{url!r} is no place on S3.",
                where=flag,
                remedy="a job sees only S3: upload with 'aws s3 cp --recursive', give s3://bucket/prefix",
            )


def _check_hyperparameters(values: Mapping[str, str]) -> None:
    if len(values) > _MOST_HYPERPARAMETERS:
        raise SettingsError(
            f"{len(values)} flags are more than SageMaker's {_MOST_HYPERPARAMETERS}.", remedy="use --config"
        )
    for name, value in values.items():
        if len(value) > _LONGEST_VALUE:
            raise SettingsError(
                f"--{name} has {len(value)} characters, SageMaker takes {_LONGEST_VALUE}.",
                remedy="use --config",
            )
