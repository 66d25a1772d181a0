"""The job itself: SageMaker's own toolkit starts train.py out of the uploaded archive, on moto's S3."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

# The guide's own names, as whoever writes an Estimator gives them; the toolkit makes flags of them.
FLAGS: dict[str, Any] = {
    "epochs": 3,
    "batch-size": 16,
    "limit": 20,
    "cloud": "sagemaker",
    "include-timeseries": True,
    "image-encoder": "sample/vit",
    "text-encoder": "sample/text",
}


def test_a_job_leaves_its_bundle_where_the_service_takes_it(
    instance: Any, archive: Any, scenes: Path, bucket: str, s3_client: Any, scripts: Any
) -> None:
    flags = {
        **FLAGS,
        "use-sample-data": False,
        "skip-training": "false",
        "s3-output": f"s3://{bucket}/copy",
    }
    code, log = instance.run(flags, archive(), {"training": scenes})
    assert code == 0, log
    assert "--batch-size 16 --cloud sagemaker --epochs 3 --image-encoder" in log
    assert "--include-timeseries True --limit 20" in log
    assert "--skip-training false" in log
    assert "--use-sample-data False" in log
    model = instance.base / "model"
    info = json.loads((model / "bundle.json").read_text())
    assert set(info["heads"]) == {"image", "text", "timeseries"}
    assert (instance.base / "checkpoints/training/last.ckpt").is_file()
    assert (instance.base / "checkpoints/features").is_dir()
    assert not (model / "checkpoints").exists(), "checkpoints are no part of the model"
    assert not (instance.base / "output/failure").exists()
    copied = s3_client.get_object(Bucket=bucket, Key="copy/bundle.json")["Body"].read()
    assert copied == (model / "bundle.json").read_bytes()
    for name, regex in scripts("specification").TRAINING_METRICS.items():
        found = re.findall(regex, log)
        assert found, name
        assert len(found) == (3 if name.startswith(("train", "val")) else 1)
        assert all(float(one) == float(one) for one in found), name


def test_a_failing_job_leaves_its_reason(instance: Any, archive: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _ = instance.run(FLAGS, archive(installs=False), {"training": tmp_path / "empty"})
    assert code != 0
    reason = (instance.base / "output/failure").read_text()
    assert "scenes_metadata.json" in reason
    assert "to do:" in reason
    assert len(reason) <= 1024
    assert "Traceback" not in reason


def test_a_killed_job_goes_on_elsewhere(instance: Any, archive: Any, scenes: Path, tmp_path: Path) -> None:
    flags = {**FLAGS, "epochs": 200, "learning-rate": 1e-5}
    last = instance.base / "checkpoints/training/last.ckpt"
    packed = archive(installs=False)
    process = instance.start(flags, packed, {"training": scenes})
    deadline = time.monotonic() + 240
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert last.exists()
    assert not (instance.base / "model/bundle.json").exists()
    epoch = torch.load(last, weights_only=True)["epoch"]
    # another machine: only the checkpoints come along
    again = type(instance)(tmp_path / "again", instance.python, instance.endpoint)
    again.base.mkdir()
    (instance.base / "checkpoints").rename(again.base / "checkpoints")
    code, log = again.run(flags, packed, {"training": scenes})
    assert code == 0, log
    assert (again.base / "model/bundle.json").is_file()
    first = int(re.findall(r"\[metrics\] epoch=(\d+)", log)[0])
    assert first == epoch + 2, "epochs are counted from 1 in the log, from 0 in the checkpoint"
