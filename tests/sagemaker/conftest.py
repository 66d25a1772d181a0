"""SageMaker without SageMaker: its own training toolkit in an environment of its own, and moto's S3."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "sagemaker"
# What the PyTorch training images run.
TOOLKIT = ["sagemaker-training==5.1.4", "sagemaker-pytorch-training==3.0.0", "setuptools>=77"]
MOTO = "moto[iam,s3,sagemaker,sts]>=5.1"
SDKS = {"2": ["sagemaker==2.257.7", MOTO], "3": ["sagemaker>=3,<4", MOTO]}
# pip takes about four minutes for SDK 3, which brings mlflow and much else
OPT_IN = "MULTIMODAL_SEARCH_TEST_SDK_3"


@pytest.fixture(scope="session")
def toolkit(environment: Callable[..., Path]) -> Path:
    """The python of an environment with the training toolkit."""
    python = environment("toolkit", TOOLKIT, lends_ours=True)
    # our own torch's command begins with our own python's name
    torchrun = python.with_name("torchrun")
    torchrun.write_text(f"#!{python}\nfrom torch.distributed.run import main\nmain()\n")
    torchrun.chmod(0o755)
    return python


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Loads a module of ``sagemaker/`` by its name, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    names = [file.stem for file in SCRIPTS.glob("*.py")]

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in names:
        sys.modules.pop(name, None)


@dataclass
class Instance:
    """One instance's ``/opt/ml``, and the service's part of the work."""

    base: Path
    python: Path
    endpoint: str

    def start(
        self, hyperparameters: Mapping[str, Any], code: str, channels: Mapping[str, Path], **more: Any
    ) -> subprocess.Popen[str]:
        """Write what the service writes, and start the container's own entry point.

        Args:
            hyperparameters: as an Estimator is given them.
            code: ``s3://`` address of the archive.
            more: ``hosts``, ``host`` and ``distributed``.
        """
        own = {
            "sagemaker_program": more.get("script", "train.py"),
            "sagemaker_submit_directory": code,
            "sagemaker_container_log_level": 20,
            "sagemaker_region": "us-east-1",
            "sagemaker_job_name": "job",
            **({"sagemaker_torch_distributed_enabled": True} if more.get("distributed") else {}),
        }
        written = {name: json.dumps(value) for name, value in {**hyperparameters, **own}.items()}
        self.write(written, channels, more.get("hosts", ["algo-1"]), more.get("host", "algo-1"))
        return subprocess.Popen(
            [self.python.with_name("train")],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.base,
            start_new_session=True,
        )

    def write(
        self, hyperparameters: Mapping[str, str], channels: Mapping[str, Path], hosts: list[str], host: str
    ) -> None:
        """What the service writes before it starts the container; hyperparameters as the request has them."""
        config = self.base / "input" / "config"
        for folder in (config, *(self.base / one for one in ("model", "output/data", "code", "checkpoints"))):
            folder.mkdir(parents=True, exist_ok=True)
        for name, source in channels.items():
            shutil.copytree(source, self.base / "input" / "data" / name, dirs_exist_ok=True)
        (config / "hyperparameters.json").write_text(json.dumps(dict(hyperparameters)))
        entry = {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
        (config / "inputdataconfig.json").write_text(json.dumps(dict.fromkeys(channels, entry)))
        kind = "ml.g6e.xlarge"
        group = {"instance_group_name": "homogeneousCluster", "instance_type": kind, "hosts": hosts}
        resources = {
            "current_host": host,
            "current_instance_type": kind,
            "current_group_name": "homogeneousCluster",
            "hosts": hosts,
            "instance_groups": [group],
            "network_interface_name": "lo",
        }
        (config / "resourceconfig.json").write_text(json.dumps(resources))

    def environment(self) -> dict[str, str]:
        """The container's variables."""
        return {
            "PATH": f"{self.python.parent}:/usr/bin:/bin",
            "HOME": str(self.base),
            "SAGEMAKER_BASE_DIR": str(self.base),
            "SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main",
            "SM_STUDIO_LOCAL_MODE": "true",  # no look-up of hosts' names
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "TRAINING_JOB_NAME": "job",
            "PIP_NO_INDEX": "1",  # what the job needs is there
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "GLOO_SOCKET_IFNAME": "lo",
        }

    def run(
        self, hyperparameters: Mapping[str, Any], code: str, channels: Mapping[str, Path]
    ) -> tuple[int, str]:
        """(exit code, log) of a job."""
        process = self.start(hyperparameters, code, channels)
        log, _ = process.communicate(timeout=240)
        return process.returncode, log


@pytest.fixture
def instance(tmp_path: Path, toolkit: Path, s3_endpoint: str) -> Instance:
    """A machine that has run nothing."""
    return Instance(tmp_path / "ml", toolkit, s3_endpoint)


@pytest.fixture(scope="session")
def sdk_3() -> None:
    """Skips, unless SDK 3 was asked for."""
    if OPT_IN not in os.environ:
        pytest.skip(f"the environment of SDK 3 takes minutes to make: {OPT_IN}=1 runs it")


@pytest.fixture
def submitted(
    request: pytest.FixtureRequest, environment: Callable[..., Path]
) -> Callable[..., dict[str, Any]]:
    """Runs a launcher in an SDK's own environment; what it did, and what it said.

    ``keep`` is a folder that receives what was uploaded; ``allowed`` are the only actions that are allowed.
    """

    def run(
        sdk: str,
        script: str,
        argv: list[str],
        *,
        keep: Path | None = None,
        allowed: list[str] | None = None,
    ) -> dict[str, Any]:
        if sdk == "3":
            request.getfixturevalue("sdk_3")
        done = subprocess.run(
            [environment(f"sdk{sdk}", SDKS[sdk]), Path(__file__).with_name("sdk_driver.py")],
            input=json.dumps(
                {"script": script, "argv": argv, "keep": keep and str(keep), "allowed": allowed}
            ),
            env={
                name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        answer: dict[str, Any] = json.loads(done.stdout.rpartition("\nANSWER ")[2])
        assert answer["code"] == (0 if allowed is None else 2), done.stderr
        assert answer["buckets"] == ["data"], "no bucket is made on the side"
        return {**answer, "said": done.stderr}

    return run


@pytest.fixture
def archive(scripts: Any, tmp_path: Path, s3_client: Any, bucket: str) -> Callable[..., str]:
    """Puts what the launcher uploads on moto's S3, packed as the SDK packs it; its address.

    ``archive(installs=False)`` leaves requirements.txt out, which pip takes its time to find met.
    """

    def pack(*, installs: bool = True, script: Path = ROOT / "train.py") -> str:
        staged = tmp_path / "staged"
        scripts("staging").stage(staged, script, ["s3"], {})
        if not installs:
            (staged / "requirements.txt").unlink()
        with tarfile.open(tmp_path / "sourcedir.tar.gz", "w:gz") as packed:
            for one in staged.iterdir():
                packed.add(one, arcname=one.name)
        s3_client.upload_file(str(tmp_path / "sourcedir.tar.gz"), bucket, "code/sourcedir.tar.gz")
        return f"s3://{bucket}/code/sourcedir.tar.gz"

    return pack


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small extracted folder, as the training channel holds it."""
    folder = tmp_path_factory.mktemp("scenes") / "data"
    command = [
        "-m",
        "multimodal_search",
        "sample",
        "--format",
        "extracted",
        "--scenes",
        "24",
        "--out",
        str(folder),
    ]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
    return folder
