"""What a worker may do wrong, found where it runs: broken promises, exceptions of any kind."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from multimodal_search.engines.base import Place, Report, Worker
from multimodal_search.errors import ProjectError

logger = logging.getLogger(__name__)


def reports_of(worker: Worker, tasks: Iterable[Any]) -> Generator[Report]:
    """The worker's reports, as long as they are what ``Worker.run`` promises.

    Raises:
        RuntimeError: it finished a task that it was not given, or left one that it took.
    """
    taken: set[str] = set()

    def noted() -> Iterator[Any]:
        for task in tasks:
            taken.add(task.name)
            yield task

    reports = worker.run(noted())
    try:
        for report in reports:
            if report.finished:
                if report.task not in taken:
                    raise RuntimeError(f"the worker finished {report.task!r}, which it had not to do")
                taken.remove(report.task)
            yield report
    finally:
        close = getattr(reports, "close", None)
        if close:
            close()
    if taken:
        raise RuntimeError(f"the worker left tasks unfinished: {', '.join(sorted(taken)[:5])}")


def as_project_error(error: BaseException, place: Place) -> ProjectError:
    """A worker's exception as the coordinator raises it; the traceback of a strange one goes to the log."""
    if isinstance(error, ProjectError) and _survives_pickling(error):
        return error
    text = "".join(traceback.format_exception(error))
    logger.error("worker %d on %s failed:\n%s", place.index, place.device, text)
    said = str(error) if isinstance(error, ProjectError) else f"{type(error).__name__}: {error}"
    return ProjectError(
        f"A worker failed: {said}",
        where=f"worker {place.index} of {place.count} on {place.device}",
        remedy="the log has its traceback",
    )


def _survives_pickling(error: ProjectError) -> bool:
    """Whether another process can have it; a subclass with its own arguments may not."""
    try:
        return str(pickle.loads(pickle.dumps(error))) == str(error)
    except Exception:
        return False
