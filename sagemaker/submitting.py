"""One specification, submitted by either SageMaker SDK: 2.x's Estimator or 3.x's ModelTrainer."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import warnings
from pathlib import Path
from typing import Any

from specification import Specification, has_gpu, metric_definitions

from multimodal_search.errors import MissingDependencyError, SettingsError


def sdk_version(asked: str) -> int:
    """Which SDK is installed, 2 or 3.

    Raises:
        MissingDependencyError: none, or another one than asked for.
    """
    try:
        found = int(importlib.metadata.version("sagemaker").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        found = 0
    if found not in (2, 3) or asked not in ("auto", str(found)):
        wanted = "2 or 3" if asked == "auto" else asked
        pins = ">=2.250,<3" if asked == "2" else ">=3,<4"
        raise MissingDependencyError(
            f"The SageMaker SDK {wanted} submits a job; installed is {found or 'none'}.",
            remedy=f"pip install 'sagemaker{pins}' in an environment of its own, and run this there",
        )
    return found


def submit(job: Specification, role: str, code: Path, session: Any, *, sdk: int, wait: bool) -> str:
    """Upload the code and start the job; its name, to which SDK 3 adds the time.

    Args:
        role: the ARN.
        code: the staged folder.
        session: of boto3.
    """
    _opt_out_of_telemetry(code.parent)
    logging.getLogger("sagemaker").setLevel(logging.WARNING)
    names: list[str] = []
    session.events.register(
        "provide-client-params.sagemaker.CreateTrainingJob",
        lambda params, **_: names.append(params["TrainingJobName"]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (_by_estimator if sdk == 2 else _by_model_trainer)(job, role, code, session, wait)
    return names[-1]


def _by_estimator(job: Specification, role: str, code: Path, session: Any, wait: bool) -> None:
    os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"
    from sagemaker.inputs import TrainingInput
    from sagemaker.pytorch import PyTorch

    from sagemaker import Session

    asked, program = job.asked, job.program
    if program.torchrun and not has_gpu(asked.instance_type):
        raise SettingsError(
            "SDK 2 starts several instances as one job only on GPUs.",
            where="--instance-type",
            remedy="take ml.g6e.xlarge, or one instance, or --sdk 3",
        )
    estimator = PyTorch(
        entry_point=program.script,
        source_dir=str(code),
        role=role,
        instance_type=asked.instance_type,
        instance_count=asked.instance_count,
        volume_size=asked.volume_gb,
        image_uri=asked.image_uri or _image(2, session.region_name, job),
        hyperparameters=dict(program.hyperparameters),
        metric_definitions=metric_definitions(program.metrics),
        output_path=asked.output,
        code_location=asked.output.rstrip("/"),
        checkpoint_s3_uri=job.checkpoints,
        max_run=job.max_run_seconds,
        max_wait=job.max_wait_seconds,
        use_spot_instances=asked.spot,
        distribution={"torch_distributed": {"enabled": True}} if program.torchrun else None,
        environment=dict(asked.environment) or None,
        tags=[{"Key": key, "Value": value} for key, value in asked.tags.items()],
        disable_profiler=True,
        debugger_hook_config=False,
        sagemaker_session=Session(boto_session=session, default_bucket=_bucket(asked.output)),
    )
    channels = {name: TrainingInput(url) for name, url in asked.data.items()}
    estimator.fit(channels or None, job_name=asked.job_name, wait=wait, logs="All" if wait else None)


def _by_model_trainer(job: Specification, role: str, code: Path, session: Any, wait: bool) -> None:
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"  # checked already, and by less than the SDK asks for
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import (
        CheckpointConfig,
        Compute,
        InputData,
        MetricDefinition,
        OutputDataConfig,
        SourceCode,
        StoppingCondition,
        Tag,
    )
    from sagemaker.train import ModelTrainer
    from sagemaker.train.distributed import Torchrun

    asked, program = job.asked, job.program
    trainer = ModelTrainer(
        training_image=asked.image_uri or _image(3, session.region_name, job),
        role=role,
        base_job_name=asked.job_name,
        source_code=SourceCode(
            source_dir=str(code), entry_script=program.script, requirements="requirements.txt"
        ),
        compute=Compute(
            instance_type=asked.instance_type,
            instance_count=asked.instance_count,
            volume_size_in_gb=asked.volume_gb,
            enable_managed_spot_training=asked.spot,
        ),
        distributed=Torchrun() if program.torchrun else None,
        hyperparameters=dict(program.hyperparameters),
        environment=dict(asked.environment),
        output_data_config=OutputDataConfig(s3_output_path=asked.output),
        checkpoint_config=CheckpointConfig(s3_uri=job.checkpoints, local_path="/opt/ml/checkpoints"),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=job.max_run_seconds, max_wait_time_in_seconds=job.max_wait_seconds
        ),
        tags=[Tag(key=key, value=value) for key, value in asked.tags.items()],
        sagemaker_session=Session(
            boto_session=session,
            default_bucket=_bucket(asked.output),
            default_bucket_prefix=_prefix(asked.output),
        ),
    )
    trainer.with_metric_definitions([MetricDefinition(name=k, regex=v) for k, v in program.metrics.items()])
    trainer.train(
        [InputData(channel_name=name, data_source=url) for name, url in asked.data.items()],
        wait=wait,
        logs=wait,
    )


def _image(sdk: int, region: str, job: Specification) -> str:
    if sdk == 2:
        from sagemaker import image_uris
    else:
        from sagemaker.core import image_uris
    try:
        found = image_uris.retrieve(
            framework="pytorch",
            region=region,
            version=job.asked.torch,
            py_version=job.asked.python,
            instance_type=job.asked.instance_type,
            image_scope="training",
        )
    except ValueError as error:
        raise SettingsError(
            f"This SDK knows no image {job.image_tag}: {error}",
            where="--framework-version",
            remedy="take 2.6.0 or 2.8.0 with py312, or name the image: --image-uri",
        ) from error
    return str(found)


def _bucket(url: str) -> str:
    return url.removeprefix("s3://").partition("/")[0]


def _prefix(url: str) -> str | None:
    return url.removeprefix("s3://").partition("/")[2].strip("/") or None


def _opt_out_of_telemetry(folder: Path) -> None:
    """Both SDKs report what is called to their maker unless a configuration file says no."""
    file = folder / "sdk.yaml"
    file.write_text(
        "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n"
    )
    os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"] = str(file)
