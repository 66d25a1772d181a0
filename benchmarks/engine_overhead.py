"""What an engine costs: start-up, time a task, memory. Prints a Markdown table.

python benchmarks/engine_overhead.py [--tasks 2000] [--workers 2]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimodal_search.engines import Place, Report, open_engine


@dataclass(frozen=True)
class Nothing:
    """A task without work."""

    name: str


class Idle:
    """Does nothing, at once."""

    hello = None

    def __init__(self, place: Place) -> None:
        pass

    def run(self, tasks: Iterable[Nothing]) -> Iterator[Report]:
        for task in tasks:
            yield Report(task.name, True, None)

    def close(self) -> None:
        pass


class IdleWithTorch(Idle):
    """The same, in a process that has imported torch."""

    def __init__(self, place: Place) -> None:
        import torch

        torch.zeros(1)


def memory_mb(process: int) -> float:
    """Proportional set size: shared pages are shared out."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def descendants(process: int) -> set[int]:
    """All processes below one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, new = set(), {process}
    while new:
        found |= new
        new = {child for child, parent in parents.items() if parent in found} - found
    return found - {process}


def measure(kind: Any, build: Any, workers: int, tasks: int) -> str:
    """A row of the table."""
    begin = time.monotonic()
    count = None if kind == "local" else workers
    with open_engine(kind, num_processes=count, device="cpu").open(build) as session:
        up = time.monotonic() - begin
        list(session.map(Nothing(f"warm-{number}") for number in range(50 * workers)))
        begin = time.monotonic()
        list(session.map(Nothing(str(number)) for number in range(tasks)))
        each_ms = (time.monotonic() - begin) / tasks * 1000
        own = memory_mb(os.getpid())
        others = sum(map(memory_mb, descendants(os.getpid())))
        begin = time.monotonic()
    down = time.monotonic() - begin
    return f"| {kind} | {build.__name__} | {up:.1f} | {each_ms:.3f} | {own:.0f} | {others:.0f} | {down:.1f} |"


def main() -> None:
    """Each engine in a process of its own: what one imports is not the next one's memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs=2, metavar=("ENGINE", "WORKER"))
    arguments = parser.parse_args()
    if arguments.only:
        # by name, for workers cannot import what is in __main__
        here = importlib.import_module(Path(__file__).stem)
        kind, build = arguments.only
        print(here.measure(kind, getattr(here, build), arguments.workers, arguments.tasks), flush=True)
        return
    print("| engine | worker | up after s | ms a task | coordinator MB | the rest MB | down after s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for kind in ("local", "processes", "ray"):
        for build in (Idle.__name__, IdleWithTorch.__name__):
            sizes = f"--tasks {arguments.tasks} --workers {arguments.workers}"
            os.spawnl(
                os.P_WAIT, sys.executable, sys.executable, __file__, *sizes.split(), "--only", kind, build
            )


if __name__ == "__main__":
    main()
