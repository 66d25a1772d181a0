"""Which devices this machine has, found without importing torch: the coordinator stays small."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

from multimodal_search.errors import SettingsError

logger = logging.getLogger(__name__)

_NVIDIA_SMI_SECONDS = 20  # the first call loads the driver where no persistence daemon runs


def devices_here(device: str) -> list[str]:
    """Torch's names of the devices to use; for ``auto`` every CUDA device that torch can use, else the CPU.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``. ``cuda`` where none is seen gives ``cuda:0``, which the worker
            refuses with what torch knows.
    """
    count = cuda_count()
    if device == "cuda":
        return [f"cuda:{index}" for index in range(max(count, 1))]
    if count and device == "auto":
        if _torch_has_cuda():
            return [f"cuda:{index}" for index in range(count)]
        logger.warning(
            "RUNNING ON THE CPU although %d GPU(s) are there: this torch was built without CUDA; "
            "install one that has it (https://pytorch.org/get-started)",
            count,
        )
    elif count:
        logger.warning("RUNNING ON THE CPU although %d GPU(s) are there; --device cuda is much faster", count)
    return ["cpu"]


def cuda_count() -> int:
    """How many CUDA devices this process may use, as the driver and CUDA_VISIBLE_DEVICES say."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = _driver_count()
    if visible is None or not there:
        return there
    count = 0
    for name in (part.strip() for part in visible.split(",")):
        if not name or name.startswith("-") or (name.isdigit() and int(name) >= there):
            break  # CUDA ignores everything from the first bad name on
        count += 1
    return count


def _driver_count() -> int:
    command = shutil.which("nvidia-smi")
    if command:
        try:
            done = subprocess.run(
                [command, "-L"], capture_output=True, text=True, timeout=_NVIDIA_SMI_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            pass
        else:
            if done.returncode == 0:
                return len(re.findall(r"^GPU \d+:", done.stdout, re.M))
    folder = Path("/proc/driver/nvidia/gpus")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _torch_has_cuda() -> bool:
    """From the text of torch/version.py; True where it cannot be told: the worker finds out."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return True
    version = Path(found.origin).with_name("version.py")
    try:
        return re.search(r"^cuda\b.*=\s*None\s*$", version.read_text(encoding="utf-8"), re.M) is None
    except OSError:
        return True


def check_device(device: str) -> None:
    """Make sure that torch can use it; called where the worker is.

    Raises:
        SettingsError: a CUDA device that torch does not have.
    """
    if not device.startswith("cuda"):
        return
    import torch

    index = int(device.partition(":")[2] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise SettingsError(
            f"Device {device} was asked for, but torch sees {count} CUDA devices here.",
            where=f"torch {torch.__version__}, CUDA build: {torch.version.cuda or 'none'}",
            remedy="--device cpu, or a driver and a torch build that go together (see nvidia-smi)",
        )


def limit_threads(sharing: int) -> dict[str, str]:
    """Environment that shares this machine's cores among ``sharing`` workers; what the user set stays."""
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, core_count() // sharing))}


def core_count() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
