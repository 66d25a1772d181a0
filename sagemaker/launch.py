"""Training as a SageMaker job: ``sagemaker/launch.py --role R --data S3 --output S3 [train flags]``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkout import ROOT  # first: it makes the library importable
from checks import check_with_aws, open_session, telling
from options import asked_from, job_parser, places_on_s3, program_settings, region_of, split_settings
from specification import TRAINING_METRICS, Program, Specification, specify
from staging import CONFIG, stage
from submitting import sdk_version, submit

from multimodal_search.errors import ProjectError, SettingsError
from multimodal_search.settings import TrainSettings

_PLACES = ("data_dir", "nuscenes_path", "pairs", "features", "image_weights", "text_weights")
_OTHER_DATA = ("data_dir", "nuscenes_path", "pairs", "use_sample_data")


def main(argv: Sequence[str] | None = None) -> int:
    """Check, upload, start; 0, or 2 for a mistake that the message explains."""
    try:
        flags, rest = _parser().parse_known_args(argv)
        job, config = specification(flags, rest)
        run(
            flags,
            job,
            ROOT / "train.py",
            ["s3"],
            config,
            empty_output=f"{job.asked.output.rstrip('/')}/{job.asked.job_name}/",
        )
    except ProjectError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def specification(flags: argparse.Namespace, rest: Sequence[str]) -> tuple[Specification, dict[str, Any]]:
    """The job, and the settings that no hyperparameter can carry.

    Raises:
        SettingsError: flags of the job or of the program that cannot work.
    """
    given = program_settings(
        TrainSettings,
        rest,
        "train.py",
        job_decides=("output_dir", "checkpoint_dir", "features_dir"),
        places=_PLACES,
    )
    if flags.data is None and not (
        given.get("use_sample_data") or (given.get("pairs") or "").startswith("s3://")
    ):
        raise SettingsError("The job has no data.", where="--data", remedy="give --data s3://bucket/prefix")
    values, config = split_settings({"cloud": "sagemaker", **given})
    if config:
        values["config"] = CONFIG
    program = Program(
        script="train.py",
        hyperparameters=values,
        metrics=TRAINING_METRICS,
        expects={} if any(given.get(name) for name in _OTHER_DATA) else {"training": "scenes_metadata.json"},
        places=places_on_s3(given, [*_PLACES, "s3_output"]),
        torchrun=flags.instance_count > 1,
        needs_gpu=given.get("device") == "cuda",
    )
    # with its slash: s3://bucket/scenes would bring s3://bucket/scenes-of-last-year along
    channels = (
        {}
        if flags.data is None
        else {"training": flags.data if flags.data.endswith("/") else flags.data + "/"}
    )
    return specify(asked_from(flags, channels, "multimodal-search"), program), config


def run(
    flags: argparse.Namespace,
    job: Specification,
    script: Path,
    extras: Sequence[str],
    config: dict[str, Any],
    *,
    empty_output: str | None,
) -> None:
    """Submit the job, or with ``--dry-run`` show what would be."""
    with tempfile.TemporaryDirectory(prefix="sagemaker-job-") as folder:
        code = Path(folder) / "code"
        stage(code, script, extras, config)
        if flags.dry_run:
            print(json.dumps(job.request(), indent=2))
            files = [one for one in code.rglob("*") if one.is_file()]
            size = sum(one.stat().st_size for one in files)
            print(f"would be uploaded: {len(files)} files, {size / 1e6:.1f} MB", file=sys.stderr)
            return
        sdk = sdk_version(flags.sdk)
        session = open_session(region_of(flags.region))
        role = check_with_aws(session, job, empty_output=empty_output)
        with telling("sagemaker:CreateTrainingJob"):
            name = submit(job, role, code, session, sdk=sdk, wait=flags.wait)
    print(f"started {name}")
    print(f"  follow it  aws logs tail /aws/sagemaker/TrainingJobs --log-stream-name-prefix {name} --follow")
    print(f"  then       aws s3 cp {job.asked.output.rstrip('/')}/{name}/output/model.tar.gz .")


def _parser() -> argparse.ArgumentParser:
    parser = job_parser("sagemaker/launch.py", "Train as a SageMaker job.", "train.py")
    parser.add_argument(
        "--data", metavar="S3", help="the data folder: s3://bucket/prefix with scenes_metadata.json"
    )
    parser.add_argument(
        "--output", metavar="S3", required=True, help="model.tar.gz goes under this, by the job's name"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
