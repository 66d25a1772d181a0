"""Devices are counted without torch; a wrong choice is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from multimodal_search.engines import open_engine
from multimodal_search.engines.devices import check_device, cuda_count, devices_here, limit_threads
from multimodal_search.errors import SettingsError

GPU = "GPU {0}: NVIDIA L40S (UUID: GPU-{0})"


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A driver that shows two GPUs, one of them cut in two."""
    command = tmp_path / "nvidia-smi"
    lines = [GPU.format(0), "  MIG 1g.10gb Device 0: (UUID: MIG-0)", GPU.format(1)]
    command.write_text("#!/bin/sh\n" + "\n".join(f"echo '{line}'" for line in lines) + "\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return command


@pytest.mark.parametrize(
    ("visible", "count"),
    [(None, 2), ("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("0,5,1", 1), ("GPU-1", 1), (" 1 , 0 ", 2)],
)
def test_visible_devices(
    visible: str | None, count: int, gpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cuda_count() == count
    assert devices_here("cuda") == [f"cuda:{index}" for index in range(max(count, 1))]


def test_a_driver_that_fails_has_no_gpu(gpus: Path) -> None:
    gpus.write_text("#!/bin/sh\nexit 9\n")
    assert devices_here("auto") == ["cpu"]


def test_auto_takes_every_gpu_that_torch_can_use(gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multimodal_search.engines.devices._torch_has_cuda", lambda: True)
    assert devices_here("auto") == ["cuda:0", "cuda:1"]


def test_a_cpu_run_beside_gpus_is_said_loudly(
    gpus: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("multimodal_search.engines.devices._torch_has_cuda", lambda: False)
    assert devices_here("auto") == ["cpu"]
    assert "RUNNING ON THE CPU although 2 GPU(s) are there: this torch was built without CUDA" in caplog.text
    caplog.clear()
    assert devices_here("cpu") == ["cpu"]
    assert "RUNNING ON THE CPU although 2 GPU(s)" in caplog.text


def test_cuda_where_torch_has_none() -> None:
    with pytest.raises(SettingsError, match="Device cuda:99 was asked for, but torch sees"):
        check_device("cuda:99")
    check_device("cpu")


def test_cores_are_shared_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("multimodal_search.engines.devices.core_count", lambda: 16)
    assert limit_threads(3) == {"OMP_NUM_THREADS": "5"}
    assert limit_threads(64) == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert limit_threads(3) == {}


def test_flags_that_contradict_each_other() -> None:
    with pytest.raises(SettingsError, match="--ray-address is for --engine ray"):
        open_engine("processes", ray_address="auto")
    with pytest.raises(SettingsError, match="--engine local is one process, not 3"):
        open_engine("local", num_processes=3)


def test_engines_bring_neither_torch_nor_ray() -> None:
    code = (
        "import sys\n"
        "from multimodal_search.engines import open_engine\n"
        "for kind in ('local', 'processes', 'ray'): open_engine(kind)\n"
        "assert not {'torch', 'ray', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
