"""Which worker has which tasks, what is to be done again, and whose fault a death was."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from multimodal_search.errors import ProjectError

logger = logging.getLogger(__name__)

Rescue = Callable[[Any], Any | None]


@dataclass(slots=True)
class Entry:
    """A task that is not finished.

    Attributes:
        deaths: workers that died while this task was the first they had to finish.
        alone: it was held by a worker that died, so it is given to a worker that has nothing else: what
            happens then is its doing.
    """

    task: Any
    deaths: int = 0
    alone: bool = False
    rescued: bool = False


class Ledger:
    """The tasks of one ``Session.map``.

    Args:
        ahead: tasks that a worker may hold.
        attempts: workers that a task may kill.
    """

    def __init__(self, tasks: Iterable[Any], *, ahead: int, attempts: int, rescue: Rescue | None) -> None:
        self._source = iter(tasks)
        self._exhausted = False
        self._again: deque[Entry] = deque()
        self._held: dict[int, dict[str, Entry]] = {}
        self._ahead = ahead
        self._attempts = attempts
        self._rescue = rescue

    @property
    def done(self) -> bool:
        """Whether every task is finished."""
        return self._exhausted and not self._again and not any(self._held.values())

    def held(self, worker: int) -> list[str]:
        """Names of the tasks it has to finish, in the order it got them."""
        return list(self._held.get(worker, ()))

    def take(self, worker: int) -> Any | None:
        """The next task for this worker, noted as held by it; None where there is none for it now.

        Raises:
            ValueError: a task has the name of another one that is not finished.
            Exception: whatever the iterable of tasks raises.
        """
        held = self._held.setdefault(worker, {})
        if len(held) >= self._ahead or any(entry.alone for entry in held.values()):
            return None
        if self._again:
            # a fresh task in its place would keep the worker from ever having nothing else
            entry = None if self._again[0].alone and held else self._again.popleft()
        else:
            entry = self._fresh()
        if entry is None:
            return None
        name = entry.task.name
        if any(name in names for names in self._held.values()):
            raise ValueError(f"two tasks are named {name!r}")
        held[name] = entry
        return entry.task

    def finished(self, worker: int, name: str) -> None:
        """This worker has done it."""
        self._held[worker].pop(name, None)

    def lost(self, worker: int, how: str) -> None:
        """This worker died: what it held is to be done again, in order, before anything else.

        Args:
            how: it died, for the error.

        Raises:
            ProjectError: a task has killed its last worker.
        """
        entries = list(self._held.pop(worker, {}).values())
        if not entries:
            return
        first = entries[0]
        first.deaths += 1
        if first.deaths >= self._attempts:
            entries[0] = self._rescued(first, how)
        for entry in entries:
            entry.alone = True
        self._again.extendleft(reversed(entries))

    def _fresh(self) -> Entry | None:
        if self._exhausted:
            return None
        try:
            return Entry(next(self._source))
        except StopIteration:
            self._exhausted = True
            return None

    def _rescued(self, entry: Entry, how: str) -> Entry:
        if self._rescue is not None and not entry.rescued:
            other = self._rescue(entry.task)
            if other is not None:
                logger.warning(
                    "task %s killed %d workers; doing it another way", entry.task.name, entry.deaths
                )
                return Entry(other, rescued=True)
        raise ProjectError(
            f"The work {entry.task.name!r} killed {entry.deaths} workers in a row: the last one {how}",
            remedy="what is done is kept; run again with a smaller --batch-size or fewer --num-processes "
            "where memory ran out, else look for the input that does it",
        )
