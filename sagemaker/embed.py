"""Bulk embedding as SageMaker jobs on one or more instances, each taking its share of a path list."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from checkout import ROOT  # first: it makes the library importable
from launch import run
from options import asked_from, job_parser, places_on_s3, program_settings, split_settings
from specification import EMBEDDING_METRICS, Program, Specification, specify
from staging import CONFIG

from multimodal_search.errors import ProjectError, SettingsError
from multimodal_search.settings import EmbedSettings

_JOB = ("path_file", "start_line", "end_line", "process_index", "out", "log_dir", "overwrite")
_PLACES = ("image_dir", "target_dir", "data_dir", "nuscenes_path", "pairs", "text_file", "weights")
_INPUTS = ("image_dir", "data_dir", "pairs", "text_file", "use_sample_data")


def main(argv: Sequence[str] | None = None) -> int:
    """Check, upload, start; 0, or 2 for a mistake that the message explains."""
    try:
        flags, rest = _parser().parse_known_args(argv)
        job, config = specification(flags, rest)
        # an output that is there is gone on with: only what is missing is computed
        run(flags, job, ROOT / "sagemaker" / "embed_job.py", ["s3", "bulk"], config, empty_output=None)
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
        EmbedSettings,
        [*rest, "--out", flags.out],
        "multimodal-search embed",
        job_decides=_JOB[:4],
        places=_PLACES,
    )
    if not flags.out.startswith("s3://"):
        raise SettingsError(
            f"{flags.out!r} is no place on S3.", where="--out", remedy="give s3://bucket/prefix"
        )
    if flags.path_file is None and flags.instance_count > 1:
        raise SettingsError(
            "Only a path list is shared among instances.",
            where="--path-file",
            remedy="give one, or one instance",
        )
    if flags.path_file is None and not any(given.get(name) for name in _INPUTS):
        raise SettingsError(
            "The job has no inputs.",
            where="--path-file",
            remedy="give --path-file s3://bucket/list.txt, --image-dir, --data-dir or --pairs s3://...",
        )
    values, config = split_settings(given)
    if config:
        values["config"] = CONFIG
    program = Program(
        script="embed_job.py",
        hyperparameters=values,
        metrics=EMBEDDING_METRICS,
        expects={"paths": None},
        places=places_on_s3(given, [*_PLACES, "out"]),
        needs_gpu=given.get("device") == "cuda",
    )
    channels = {} if flags.path_file is None else {"paths": flags.path_file}
    flags.output = flags.output or flags.out.rstrip("/") + "-job"
    return specify(asked_from(flags, channels, "multimodal-search-embed"), program), config


def _parser() -> argparse.ArgumentParser:
    parser = job_parser("sagemaker/embed.py", "Embed as a SageMaker job.", "multimodal-search embed")
    parser.add_argument(
        "--path-file", metavar="S3", help="s3:// address of a list; each instance takes its share"
    )
    parser.add_argument(
        "--out", metavar="S3", required=True, help="features; of several instances: part-... under it"
    )
    parser.add_argument(
        "--output", metavar="S3", help="the job's own files: code, logs of failure [--out + '-job']"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
