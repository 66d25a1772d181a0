"""The launcher's own flags; what it does not know are the program's, and are checked as the program would."""

from __future__ import annotations

import argparse
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from specification import PYTHON, TORCH, Asked

from multimodal_search.errors import SettingsError
from multimodal_search.settings import Settings, parse


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(message[:1].upper() + message[1:] + ".", remedy=f"{self.prog} --help")


def job_parser(prog: str, summary: str, program: str) -> argparse.ArgumentParser:
    """Flags that every job has.

    Args:
        program: the command whose flags may follow.
    """
    parser = _Parser(
        prog=prog,
        description=summary,
        epilog=f"All flags of '{program}' may follow; {program} --help lists them.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--role", required=True, help="ARN or name of the role that the job runs as")
    add("--instance-type", default="ml.g6e.xlarge", help="[%(default)s]")
    add("--instance-count", type=_count, default=1, metavar="N", help="[%(default)s]")
    add("--volume-gb", type=_count, default=200, metavar="N", help="disk of an instance [%(default)s]")
    add("--max-hours", type=_hours, default=24.0, metavar="X", help="the job is stopped then [%(default)s]")
    add(
        "--spot",
        action="store_true",
        help="Spot instances: cheaper, interrupted now and then; the job resumes",
    )
    add(
        "--max-wait-hours",
        type=_hours,
        metavar="X",
        help="with --spot: waiting and running [--max-hours + 24]",
    )
    add("--framework-version", default=TORCH, help="torch of AWS's image [%(default)s]")
    add("--py-version", default=PYTHON, help="Python of AWS's image [%(default)s]")
    add("--image-uri", help="another image")
    add("--job-name", help="[made from the time]")
    add(
        "--checkpoints",
        help="s3:// prefix that keeps them [under the job's output]; another job's: go on from it",
    )
    add("--tag", action="append", default=[], metavar="KEY=VALUE", help="of the job; repeatable")
    add("--env", action="append", default=[], metavar="KEY=VALUE", help="variable in the job; repeatable")
    add("--region", help="AWS region [as the AWS command line]")
    add(
        "--sdk",
        choices=["auto", "2", "3"],
        default="auto",
        help="which SageMaker SDK submits [the one installed]",
    )
    add("--wait", action="store_true", help="follow the job's log until it ends")
    add("--dry-run", action="store_true", help="print the request and what would be uploaded; call nobody")
    return parser


def asked_from(flags: argparse.Namespace, data: Mapping[str, str], prefix: str) -> Asked:
    """What the job's flags say."""
    return Asked(
        job_name=flags.job_name or f"{prefix}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        role=flags.role,
        output=flags.output,
        data=data,
        instance_type=flags.instance_type,
        instance_count=flags.instance_count,
        volume_gb=flags.volume_gb,
        max_hours=flags.max_hours,
        spot=flags.spot,
        max_wait_hours=flags.max_wait_hours,
        torch=flags.framework_version,
        python=flags.py_version,
        image_uri=flags.image_uri,
        checkpoints=flags.checkpoints,
        tags={"project": "multimodal-search", **_pairs(flags.tag, "--tag")},
        environment=_pairs(flags.env, "--env"),
    )


def program_settings(
    model: type[Settings],
    argv: Sequence[str],
    prog: str,
    *,
    job_decides: Sequence[str],
    places: Sequence[str],
) -> dict[str, Any]:
    """The program's settings that were given, from ``--config`` files and flags, checked.

    Args:
        job_decides: settings that follow from the job.
        places: settings that name files, which a job sees only on S3 or in its channels.

    Raises:
        SettingsError: a flag that is unknown or out of range, or that cannot mean anything in the job.
    """
    given = parse(model, argv, prog=prog, summary="").model_dump(mode="json", exclude_unset=True)
    for name in job_decides:
        if name in given:
            raise SettingsError(f"--{name.replace('_', '-')} follows from the job.", remedy="leave it out")
    for name in places:
        values = given.get(name) or []
        for value in [values] if isinstance(values, str) else values:
            if not value.startswith(("s3://", "/opt/ml/")):
                raise SettingsError(
                    f"--{name.replace('_', '-')} {value}: the job does not see files of this machine.",
                    remedy="upload them ('aws s3 cp') and name the s3:// address; or give that as "
                    "--data, and here its place in the job, /opt/ml/input/data/training/...",
                )
    return given


def places_on_s3(given: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[str]]:
    """Flag -> its ``s3://`` addresses; of another store than Amazon's nothing is known here."""
    found: dict[str, list[str]] = {}
    for name in names if given.get("endpoint_url") is None else ():
        values = given.get(name) or []
        urls = [one for one in ([values] if isinstance(values, str) else values) if one.startswith("s3://")]
        if urls:
            found["--" + name.replace("_", "-")] = urls
    return found


def split_settings(given: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """(hyperparameters, settings for a YAML file): flags hold numbers, words, booleans and plain lists.

    Words that SDK 3's container would read as something else (``1.50``, ``null``), or that its quotes
    cannot hold, go into the file.
    """
    flags: dict[str, str] = {}
    rest: dict[str, Any] = {}
    for name, value in given.items():
        several = isinstance(value, list)
        if value is None:
            continue
        unsafe = isinstance(value, str) and ("'" in value or _is_json(value))
        if (
            unsafe
            or isinstance(value, dict)
            or (several and any(set(str(one)) & set(",/ '") for one in value))
        ):
            rest[name] = value
        else:
            flags[name.replace("_", "-")] = ",".join(map(str, value)) if several else str(value)
    return flags, rest


def region_of(flag: str | None) -> str | None:
    """The region that was asked for."""
    return flag or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def _pairs(given: Sequence[str], flag: str) -> dict[str, str]:
    pairs = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not (key and equals):
            raise SettingsError(f"{flag} {one!r} is not KEY=VALUE.", remedy=f"for example {flag} team=maps")
        pairs[key] = value
    return pairs


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= 28 * 24:  # the service's own limit
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours between 0 and 672")
    return hours
