"""Workers that behave, and workers that die in every way; the processes of every engine can import them."""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimodal_search.engines import Place, Report
from multimodal_search.errors import DataError, ProjectError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    name: str
    do: str = "square"
    number: int = 0
    folder: Path | None = None  # where a job leaves a mark of each attempt


class OddError(ProjectError):
    """Cannot be rebuilt from what, where and remedy."""

    def __init__(self, number: int) -> None:
        super().__init__(f"odd {number}")


def _raise(error: BaseException) -> None:
    raise error


def _endless() -> None:
    while True:
        time.sleep(0.05)


def _ray_node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


DEEDS: dict[str, Callable[[], Any]] = {
    "square": lambda: None,
    "sigkill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(7),
    "say and exit": lambda: (print("the last words", file=sys.stderr, flush=True), os._exit(7)),
    "project error": lambda: _raise(DataError("no such data", where="here", remedy="look there")),
    "odd error": lambda: _raise(OddError(3)),
    "other error": lambda: _raise(KeyError("missing thing")),
    "memory error": lambda: _raise(MemoryError("no room")),
    "system exit": lambda: sys.exit(3),
    "hang": _endless,
    "log": lambda: logger.warning("a worker's log line %d", 42),
    "print": lambda: print("a worker's print", flush=True),
    "environment": lambda: os.environ.get("OMP_NUM_THREADS"),
    "process": os.getpid,
    "node": lambda: (time.sleep(0.05), _ray_node(), os.getpid())[1:],
    "modules": lambda: "torch" in sys.modules,
    "unpicklable": lambda: lambda: None,
}


def do(job: Job) -> Any:
    """What the job says; "<deed> once" does it in the first attempt only."""
    deed, once, _ = job.do.partition(" once")
    if job.folder is not None:
        (job.folder / f"{job.name}.{os.getpid()}").touch()
        if once and len(list(job.folder.glob(f"{job.name}.*"))) > 1:
            return job.number**2
    value = DEEDS[deed]()
    return job.number**2 if deed == "square" else value


class Doer:
    """One job after the other, with a heartbeat before each result."""

    def __init__(self, place: Place) -> None:
        self.hello = {"place": place, "process": os.getpid()}

    def run(self, tasks: Iterable[Job]) -> Iterator[Report]:
        for task in tasks:
            yield Report(task.name, False, "begun")
            yield Report(task.name, True, do(task))

    def close(self) -> None:
        pass


class Overlapper(Doer):
    """A thread takes jobs ahead; what is done is told only when the next one is here, or at the end."""

    def run(self, tasks: Iterable[Job]) -> Iterator[Report]:
        ready: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

        def feed() -> None:
            for task in tasks:
                if task.do.startswith("ahead "):  # dies while an innocent one is at work
                    do(Job(task.name, task.do.removeprefix("ahead "), task.number, task.folder))
                ready.put(task)
            ready.put(None)

        threading.Thread(target=feed, daemon=True).start()
        former: Job | None = None
        while True:
            task = ready.get()
            if former is not None:
                time.sleep(0.05)
                yield Report(former.name, True, former.number**2)
            if task is None:
                return
            former = task


class Hoarder(Doer):
    """Holds two results back until a third job comes, or the end."""

    def run(self, tasks: Iterable[Job]) -> Iterator[Report]:
        done: list[Job] = []
        for task in tasks:
            done.append(task)
            if len(done) > 2:
                yield Report(done[0].name, True, done.pop(0).number ** 2)
        for task in done:
            yield Report(task.name, True, task.number**2)


class Loser(Doer):
    """Forgets its tasks."""

    def run(self, tasks: Iterable[Job]) -> Iterator[Report]:
        yield from ()
        for _ in tasks:
            pass


class Torch(Doer):
    def __init__(self, place: Place) -> None:
        import torch

        torch.zeros(1)
        super().__init__(place)


def fail_to_build(place: Place) -> Doer:
    raise DataError("this worker cannot be built")


def fail_oddly_to_build(place: Place) -> Doer:
    raise ZeroDivisionError("an odd thing")


def die_while_built(place: Place) -> Doer:
    print("words before the end", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@dataclass(frozen=True)
class DieFirst:
    """The first builds die; later ones do not."""

    folder: Path
    deaths: int

    def __call__(self, place: Place) -> Doer:
        mark = self.folder / str(os.getpid())
        mark.touch()
        if len(list(self.folder.iterdir())) <= self.deaths:
            os._exit(9)
        return Doer(place)
