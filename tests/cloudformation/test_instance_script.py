"""What the instance does at each start, really run: a folder is the bucket, `docker` notes its arguments."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# s3 cp, sync and rm between files and a folder that stands for the bucket
AWS = """#!/bin/bash
place() { case "$1" in s3://my-bucket/*) echo "$BUCKET/${1#s3://my-bucket/}" ;; *) echo "$1" ;; esac; }
args=()
for one in "${@:3}"; do
  case "$one" in --only-show-errors|--exclude|bundle.json) ;; *) args+=("$one") ;; esac
done
from=$(place "${args[0]}") to=$(place "${args[1]:-}")
echo "$2 ${args[*]}" >> "$BUCKET.calls"
case "$2" in
  rm) rm -f "$from" ;;
  sync) mkdir -p "$to"; if [ -d "$from" ]; then
          case "$*" in
            *--exclude*) tar -C "$from" --exclude=./bundle.json -cf - . | tar -C "$to" -xf -
                         [ ! -f "$to/bundle.json" ] || echo "half a bundle" >> "$BUCKET.calls" ;;
            *) cp -r "$from/." "$to" ;;
          esac; fi ;;
  cp) if [ "$from" = - ]; then mkdir -p "$(dirname "$to")"; cat > "$to"
      elif [ "$to" = - ]; then cat "$from"
      else mkdir -p "$(dirname "$to")"; cp "$from" "$to"; fi ;;
esac
"""
DOCKER = """#!/bin/bash
if [ "$1" = load ]; then cat > /dev/null; exit; fi
printf '%s\\n' "$@" > "$BUCKET.docker"
echo "working"
output="$SRV/runs/first"
echo part > "$output/part"
[ "$CODE" = 0 ] && echo "whole $*" > "$output/bundle.json"
exit "$CODE"
"""


@pytest.fixture
def started(tmp_path: Path, read: Any) -> Callable[..., Path]:
    """Starts the instance with a command in its bucket; the bucket afterwards."""
    script = read("job.yaml").first_start(Name="my-bucket").split("<<'JOB'\n")[1].split("\nJOB\n")[0]
    srv, bucket, tools = tmp_path / "srv", tmp_path / "bucket", tmp_path / "tools"
    for folder in (srv, bucket / "job", bucket / "data", bucket / "image", tools):
        folder.mkdir(parents=True)
    (tmp_path / "job.sh").write_text(script.replace("/srv", str(srv)))
    stopped = '#!/bin/bash\necho stopped >> "$BUCKET.calls"\n'
    for name, code in {"aws": AWS, "docker": DOCKER, "shutdown": stopped}.items():
        (tools / name).write_text(code)
    for name, code in {"chown": "exit 0", "nvidia-smi": "exit ${GPU:-1}"}.items():
        (tools / name).write_text(f"#!/bin/bash\n{code}\n")
    for file in tools.iterdir():
        file.chmod(0o755)
    (bucket / "data" / "one.jpg").write_text("picture")
    (bucket / "image" / "multimodal-search.tar.gz").write_text("image")

    def run(command: str | None, **environment: str) -> Path:
        if command is not None:
            (bucket / "job" / "command").write_text(command)
            (bucket / "job" / "run").write_text("first\n")
        subprocess.run(
            ["bash", tmp_path / "job.sh"],
            env={
                **os.environ,
                "PATH": f"{tools}:/usr/bin:/bin",
                "BUCKET": str(bucket),
                "SRV": str(srv),
                "CODE": "0",
                **environment,
            },
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return bucket

    return run


def calls(bucket: Path) -> list[str]:
    return Path(f"{bucket}.calls").read_text().splitlines()


def test_a_command_runs_and_its_result_comes_back(started: Any) -> None:
    bucket = started(r"search --text red\ truck\,\ it\'s\ raining ", GPU="0")
    said = Path(f"{bucket}.docker").read_text().splitlines()
    assert said[-3:] == ["search", "--text", "red truck, it's raining"]
    assert said[said.index("--gpus") + 1] == "all"
    run = bucket / "runs" / "first"
    assert (run / "exit-code").read_text().strip() == "0"
    assert (run / "output" / "part").read_text() == "part\n"
    assert "working" in (run / "log.txt").read_text()
    made = calls(bucket)
    assert made[-1] == "stopped"
    bundle = next(n for n, one in enumerate(made) if one.startswith("cp") and "output/bundle.json" in one)
    whole = next(
        n for n, one in enumerate(made) if one.startswith("sync") and "runs/first/output" in one.split()[2]
    )
    assert whole < bundle, "bundle.json comes after the rest"
    assert not (bucket / "job" / "command").exists(), "it does not run again at the next start"


def test_a_command_that_fails_stops_the_instance_too(started: Any) -> None:
    bucket = started("train --nonsense", CODE="2")
    assert (bucket / "runs/first/exit-code").read_text().strip() == "2"
    assert not (bucket / "runs/first/output/bundle.json").exists()
    assert (bucket / "runs/first/output/part").exists(), "what is there is kept, for another try"
    assert calls(bucket)[-1] == "stopped"
    assert "--gpus" not in Path(f"{bucket}.docker").read_text().split()


def test_a_second_run_of_the_same_name_is_never_half_of_each(started: Any) -> None:
    bucket = started("train --seed 1")
    bundle = bucket / "runs/first/output/bundle.json"
    assert "--seed 1" in bundle.read_text()
    started("train --seed 2")
    assert "--seed 2" in bundle.read_text()
    started("train --nonsense", CODE="2")  # the command left the bundle as it was
    assert "--seed 2" in bundle.read_text()
    assert "half a bundle" not in calls(bucket)


def test_without_a_command_it_stops_at_once(started: Any) -> None:
    bucket = started(None)
    assert calls(bucket)[-1] == "stopped"
    assert not Path(f"{bucket}.docker").exists()
    assert not (bucket / "runs").exists(), json.dumps(calls(bucket))
