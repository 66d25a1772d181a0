"""What SDK 3 starts in the container: its own drivers, out of the request that the launcher makes with it.

They know no other place than /opt/ml, so each container has one of its own: a private mount namespace.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("sdk_3")]

FLAGS = [
    *("--data", "s3://data/scenes", "--output", "s3://data/out", "--job-name", "my-job", "--role", "Trainer"),
    *("--epochs", "3", "--batch-size", "16", "--limit", "20", "--include-timeseries"),
    *("--image-encoder", "sample/vit", "--text-encoder", "sample/text"),
]
# /opt with an ml of its own beside what is there, and the hosts' names
INSIDE = r"""
set -e
mkdir "$WORK/opt"
mount --rbind /opt "$WORK/opt"
mount -t tmpfs none /opt
for one in "$WORK"/opt/*/; do
  [ -d "$one" ] || continue
  mkdir "/opt/$(basename "$one")"
  mount --rbind "$one" "/opt/$(basename "$one")"
done
mkdir -p /opt/ml
mount --bind "$BASE" /opt/ml
echo 127.0.0.1 localhost algo-1 algo-2 "$(hostname)" > "$WORK/hosts"
mount --bind "$WORK/hosts" /etc/hosts
cd /
exec "$@"
"""
ISOLATED = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture(autouse=True, scope="module")
def namespaces() -> None:
    made = shutil.which("unshare") and subprocess.run([*ISOLATED, "true"], capture_output=True, check=False)
    if not made or made.returncode:
        pytest.skip("unshare makes no mount namespace here")


@pytest.fixture
def job(submitted: Any, tmp_path: Path) -> Callable[..., tuple[dict[str, Any], dict[str, Path]]]:
    """Flags of the launcher -> (the request, the folder of each channel that the SDK added)."""

    def make(*more: str) -> tuple[dict[str, Any], dict[str, Path]]:
        kept = tmp_path / "bucket"
        (request,) = submitted("3", "launch.py", [*FLAGS, *more], keep=kept)["requests"]
        urls = {
            one["ChannelName"]: one["DataSource"]["S3DataSource"]["S3Uri"]
            for one in request["InputDataConfig"]
        }
        assert urls.pop("training") == "s3://data/scenes/"
        return request, {name: kept / url.removeprefix("s3://data/") for name, url in urls.items()}

    return make


def start(
    instance: Any, request: dict[str, Any], channels: dict[str, Path], hosts: list[str], host: str
) -> subprocess.Popen[str]:
    """The request's own entry point and arguments, in a container of an instance."""
    instance.write(request["HyperParameters"], channels, hosts, host)
    work = Path(tempfile.mkdtemp(dir=instance.base.parent))
    algorithm = request["AlgorithmSpecification"]
    command = [*algorithm["ContainerEntrypoint"], *algorithm["ContainerArguments"]]
    return subprocess.Popen(
        [*ISOLATED, "bash", "-c", INSIDE, "container", *command],
        env={**instance.environment(), "BASE": str(instance.base), "WORK": str(work)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_job_leaves_its_bundle(instance: Any, job: Any, scenes: Path) -> None:
    request, channels = job()
    # as SDK 3 sends a Python boolean
    request["HyperParameters"] |= {"include-timeseries": "true", "use-sample-data": "false"}
    process = start(instance, request, {**channels, "training": scenes}, ["algo-1"], "algo-1")
    log, _ = process.communicate(timeout=400)
    assert process.returncode == 0, log[-5000:]
    assert "--include-timeseries true --" in log
    info = json.loads((instance.base / "model/bundle.json").read_text())
    assert set(info["heads"]) == {"image", "text", "timeseries"}
    assert (instance.base / "checkpoints/training/last.ckpt").is_file()
    assert not (instance.base / "output/failure").exists()
    assert re.findall(r"train:loss=[0-9.e+-]+;", log)


def test_a_failing_job_leaves_its_own_reason(instance: Any, job: Any, tmp_path: Path) -> None:
    request, channels = job()
    (tmp_path / "empty").mkdir()
    process = start(instance, request, {**channels, "training": tmp_path / "empty"}, ["algo-1"], "algo-1")
    log, _ = process.communicate(timeout=400)
    assert process.returncode != 0, log[-5000:]
    reason = (instance.base / "output/failure").read_text()
    assert "scenes_metadata.json" in reason
    assert "to do:" in reason
    assert "Traceback" not in reason
    assert len(reason) <= 1024


def test_two_instances_train_the_heads_of_one(instance: Any, job: Any, scenes: Path, tmp_path: Path) -> None:
    hosts = ["algo-1", "algo-2"]
    request, channels = job("--instance-count", "2")
    processes = []
    for host in hosts:
        one = type(instance)(tmp_path / host, instance.python, instance.endpoint)
        processes.append(start(one, request, {**channels, "training": scenes}, hosts, host))
    logs = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(log[-4000:] for log in logs)
    assert (tmp_path / "algo-1/model/bundle.json").is_file()
    assert not (tmp_path / "algo-2/model/bundle.json").exists()
    single = start(instance, request, {**channels, "training": scenes}, hosts[:1], hosts[0])
    alone, _ = single.communicate(timeout=400)
    assert single.returncode == 0, alone[-4000:]
    losses = [
        [float(one) for one in re.findall(r"train:loss=([0-9.e+-]+);", log)] for log in (alone, logs[0])
    ]
    assert len(losses[0]) == 3
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
