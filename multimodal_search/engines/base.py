"""What an engine and its workers promise each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol


class Task(Protocol):
    """Work: picklable, named, safe to do twice (the same outcome, whole or not at all)."""

    @property
    def name(self) -> str:
        """Unique among the tasks of a session."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs.

    Attributes:
        index: 0 .. count - 1.
        count: workers of the session.
        device: torch's name, for example ``cpu`` or ``cuda:1``.
    """

    index: int
    count: int
    device: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of a task: how far it is, or (``finished``) that it is done, with its outcome."""

    task: str
    finished: bool
    value: Any


class Worker(Protocol):
    """Does tasks, one after the other; made once in each process."""

    @property
    def hello(self) -> Any:
        """What the coordinator must know before it plans (the encoder's card and fingerprint); picklable."""
        ...

    def run(self, tasks: Iterable[Any]) -> Iterator[Report]:
        """Reports of these tasks, in order; exactly one a task is ``finished``.

        May take a task from the iterator before it has finished the former one, to overlap them; taking one
        may wait. A worker that only needs to say that it lives yields unfinished reports.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


Build = Callable[[Place], Worker]
"""Makes a worker; picklable, holds settings and never a live model."""


class Session(Protocol):
    """Workers that are up."""

    @property
    def hello(self) -> Any:
        """Of the first worker."""
        ...

    def map(
        self, tasks: Iterable[Any], *, rescue: Callable[[Any], Any | None] | None = None
    ) -> Iterator[Report]:
        """Do all tasks and pass on every report, in the order they come.

        Tasks are taken from the iterable as workers need them, so that it may be endless. A task whose worker
        dies is done again by another one. A task that has killed ``attempts`` workers is handed to
        ``rescue``, which returns a task to do in its place (once), or None.

        Raises:
            ProjectError: a worker raised it; or a task kills its workers and nothing rescued it.
        """
        ...


class Engine(Protocol):
    """Opens sessions."""

    def open(self, build: Build) -> AbstractContextManager[Session]:
        """Workers are built on entering, and are gone on leaving, however that comes."""
        ...
