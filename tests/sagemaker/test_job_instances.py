"""Several instances, each with its own toolkit: training as one, embedding each its share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

FLAGS = {
    "epochs": "3",
    "batch-size": "16",
    "limit": "20",
    "cloud": "sagemaker",
    "include-timeseries": "True",
    "image-encoder": "sample/vit",
    "text-encoder": "sample/text",
}


def weights(place: Path) -> dict[str, torch.Tensor]:
    checkpoint: dict[str, Any] = torch.load(place / "checkpoints/training/last.ckpt", weights_only=True)
    state: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return state


def test_two_instances_train_the_heads_of_one(
    instance: Any, archive: Any, scenes: Path, tmp_path: Path
) -> None:
    packed = archive(installs=False)
    code, log = instance.run(FLAGS, packed, {"training": scenes})
    assert code == 0, log
    hosts = ["127.0.0.1", "localhost"]  # names that both resolve here; the first one is the master
    processes = []
    for number, host in enumerate(hosts):
        one = type(instance)(tmp_path / f"node{number}", instance.python, instance.endpoint)
        processes.append(
            one.start(FLAGS, packed, {"training": scenes}, hosts=hosts, host=host, distributed=True)
        )
    logs = [process.communicate(timeout=240)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(logs)
    assert (tmp_path / "node0/model/bundle.json").is_file()
    assert not (tmp_path / "node1/model/bundle.json").exists()
    regex = r"train:loss=([0-9.e+-]+);"
    alone, together = ([float(one) for one in re.findall(regex, text)] for text in (log, logs[0]))
    assert len(alone) == 3
    assert together == pytest.approx(alone, rel=1e-4)
    for name, value in weights(instance.base).items():
        torch.testing.assert_close(weights(tmp_path / "node0")[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_instances_embed_their_shares_of_a_path_list(
    instance: Any, archive: Any, scenes: Path, bucket: str, s3_client: Any, scripts: Any, tmp_path: Path
) -> None:
    pictures = sorted((scenes / "images").rglob("*.jpg"))[:7]
    for number, picture in enumerate(pictures):
        s3_client.upload_file(str(picture), bucket, f"photos/{number}.jpg")
    (tmp_path / "paths").mkdir()
    (tmp_path / "paths" / "list.txt").write_text("".join(f"mine/photos/{n}.jpg\n" for n in range(7)))
    job = scripts("checkout").ROOT / "sagemaker" / "embed_job.py"
    packed = archive(installs=False, script=job)
    flags = {"dataset": "mine", "storage": "s3", "bucket-name": bucket, "encoder": "sample/vit"}
    flags |= {"out": f"s3://{bucket}/features", "engine": "local", "num-workers": "1"}
    hosts = ["algo-1", "algo-2"]
    for host in hosts:
        one = type(instance)(tmp_path / host, instance.python, instance.endpoint)
        process = one.start(
            flags, packed, {"paths": tmp_path / "paths"}, hosts=hosts, host=host, script=job.name
        )
        log, _ = process.communicate(timeout=240)
        assert process.returncode == 0, log
        (rate,) = scripts("specification").EMBEDDING_METRICS.values()
        assert re.findall(rate, log)
    found = []
    for part in ("part-0000-of-0002", "part-0001-of-0002"):
        listed = s3_client.list_objects_v2(Bucket=bucket, Prefix=f"features/{part}/")["Contents"]
        names = [one["Key"].rpartition("/")[2] for one in listed]
        assert "manifest.json" in names
        found.append(len([name for name in names if name.endswith(".npy")]))
    assert found == [1, 1]
