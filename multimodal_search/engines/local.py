"""The worker in this process: simplest, smallest, and gone with it when something crashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from multimodal_search.engines.base import Build, Place, Report, Session, Worker
from multimodal_search.engines.checking import as_project_error, reports_of
from multimodal_search.engines.devices import check_device


class LocalEngine:
    """Runs one worker here.

    Args:
        device: torch's name of its device.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._place = Place(0, 1, device)

    @contextmanager
    def open(self, build: Build) -> Iterator[Session]:
        """Build the worker; it is closed on leaving.

        Raises:
            ProjectError: building failed.
        """
        try:
            check_device(self._place.device)
            worker = build(self._place)
        except Exception as error:
            raise as_project_error(error, self._place) from error
        try:
            yield _LocalSession(worker, self._place)
        finally:
            worker.close()


class _LocalSession:
    def __init__(self, worker: Worker, place: Place) -> None:
        self._worker = worker
        self._place = place

    @property
    def hello(self) -> Any:
        return self._worker.hello

    def map(
        self, tasks: Iterable[Any], *, rescue: Callable[[Any], Any | None] | None = None
    ) -> Iterator[Report]:
        """``rescue`` is never asked: a task that kills its worker kills this process."""
        source = _Source(tasks)
        reports = reports_of(self._worker, source)
        with closing(reports):
            while True:
                try:
                    report = next(reports)
                except StopIteration:
                    return
                except Exception as error:
                    if source.raised is not None:  # the coordinator's own trouble, not the worker's
                        raise source.raised from None
                    raise as_project_error(error, self._place) from error
                yield report


class _Source:
    """The tasks; remembers what taking one raised."""

    def __init__(self, tasks: Iterable[Any]) -> None:
        self._tasks = tasks
        self.raised: Exception | None = None

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._tasks
        except Exception as error:
            self.raised = error
            raise
