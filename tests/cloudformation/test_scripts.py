"""The scripts that deploy, run and tear down, with an `aws` and a `docker` that note what they are asked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "cloudformation"


@pytest.fixture
def stubbed(tmp_path: Path) -> Callable[..., tuple[int, str, list[str]]]:
    """Runs a script with an ``aws`` and a ``docker`` that note what they are asked: (code, said, calls)."""
    log = tmp_path / "calls"
    answer = """#!/bin/bash
printf '%s ' "$(basename "$0")" "$@" >> "$CALLS"; echo >> "$CALLS"
case "$*" in
  *BucketName*) echo my-bucket ;;
  *InstanceId*) echo i-0123456789abcdef0 ;;
  "s3 ls"*/job/command) exit "${BUSY:-1}" ;;
  "s3 ls"*) exit "${NO_BUNDLE:-0}" ;;
  *Address*) echo balancer.example.org ;;
  "s3 cp - "*|"s3 cp --only-show-errors - "*) cat >> "$CALLS"; echo >> "$CALLS" ;;
  *exit-code*) echo "${CODE:-0}" ;;
  "image inspect"*) exit "${NO_IMAGE:-0}" ;;
esac
"""
    for name in ("aws", "docker"):
        (tmp_path / name).write_text(answer)
        (tmp_path / name).chmod(0o755)

    def run(script: str, *argv: str, **environment: str) -> tuple[int, str, list[str]]:
        log.write_text("")
        done = subprocess.run(
            [FOLDER / script, *argv],
            env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(log), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr, log.read_text(errors="replace").splitlines()

    return run


def test_deploying(stubbed: Any) -> None:
    code, said, calls = stubbed("deploy.sh", "jobs", "InstanceType=g6e.2xlarge")
    assert code == 0, said
    deployed = next(one for one in calls if "cloudformation deploy" in one)
    assert "--parameter-overrides InstanceType=g6e.2xlarge" in deployed
    assert any("s3://my-bucket/image/multimodal-search.tar.gz" in one for one in calls)
    code, said, calls = stubbed("deploy.sh", "jobs", NO_IMAGE="1")
    assert code == 2
    assert "docker build" in said
    assert not [one for one in calls if "cloudformation" in one], "nothing is made before the image is there"


def test_running_a_command_and_its_exit_code(stubbed: Any) -> None:
    code, said, calls = stubbed(
        "run.sh", "jobs", "search", "--text", "red truck, it's raining", RUN="one", CODE="3"
    )
    assert code == 3, "the command's own"
    order = "\n".join(calls)
    assert order.index("instance-stopped") < order.index("start-instances")
    assert r"search --text red\ truck\,\ it\'s\ raining" in order
    assert "s3://my-bucket/runs/one" in said
    code, said, _ = stubbed("run.sh", "jobs", "train", BUSY="0")
    assert code == 2
    assert "another command" in said
    assert stubbed("run.sh", "jobs")[0] == 2


def test_tearing_down(stubbed: Any) -> None:
    code, said, calls = stubbed("teardown.sh", "jobs")
    assert code == 0, said
    assert any("delete-stack --stack-name jobs" in one for one in calls)
    assert "s3://my-bucket" in said


def test_putting_the_page_online(stubbed: Any) -> None:
    chosen = [
        "CertificateArn=arn",
        "AllowedCidr=203.0.113.0/24",
        "BucketName=b",
        "BundlePrefix=runs/one/output",
    ]
    code, said, calls = stubbed("deploy_page.sh", "page", *chosen)
    assert code == 0, said
    assert "balancer.example.org" in said
    assert any("s3 ls s3://b/runs/one/output/bundle.json" in one for one in calls)
    code, said, calls = stubbed("deploy_page.sh", "page", *chosen, NO_BUNDLE="1")
    assert code == 2
    assert "there is no s3://b/image" in said
    assert not [one for one in calls if "cloudformation" in one]
    code, said, _ = stubbed("deploy_page.sh", "page", *chosen[:3])
    assert code == 2
    assert "BundlePrefix" in said
