"""Engines run a stage over its tasks: in this process, in supervised processes, or on a Ray cluster."""

from __future__ import annotations

from typing import Literal

from multimodal_search.engines.base import Build, Engine, Place, Report, Session, Task, Worker
from multimodal_search.engines.devices import devices_here
from multimodal_search.errors import SettingsError

__all__ = ["Build", "Engine", "Place", "Report", "Session", "Task", "Worker", "open_engine"]


def open_engine(
    kind: Literal["local", "processes", "ray"],
    *,
    num_processes: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    ray_address: str | None = None,
) -> Engine:
    """The engine that the flags name; it starts nothing before it is opened.

    Args:
        num_processes: workers; None is one a GPU, or one (with Ray: one a node where there is no GPU).
            More than one a GPU share it.
        ray_address: of an existing cluster; None starts Ray on this machine.

    Raises:
        SettingsError: flags that contradict each other.
    """
    if ray_address is not None and kind != "ray":
        raise SettingsError("--ray-address is for --engine ray.", remedy="add --engine ray, or leave it out")
    if kind == "ray":
        from multimodal_search.engines.ray import RayEngine

        return RayEngine(ray_address, count=num_processes, device=device)
    devices = devices_here(device)
    if kind == "local":
        from multimodal_search.engines.local import LocalEngine

        if (num_processes or 1) > 1:
            raise SettingsError(
                f"--engine local is one process, not {num_processes}.", remedy="--engine processes"
            )
        return LocalEngine(devices[0])
    from multimodal_search.engines.processes import ProcessEngine

    count = num_processes or len(devices)
    return ProcessEngine([devices[index % len(devices)] for index in range(count)])
