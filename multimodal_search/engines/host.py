"""The worker's end, in its own process: takes orders, runs the worker, sends what it says."""

from __future__ import annotations

import logging
import logging.handlers
import pickle
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from multimodal_search.engines.base import Build, Place, Report, Worker
from multimodal_search.engines.checking import as_project_error, reports_of
from multimodal_search.engines.devices import check_device
from multimodal_search.errors import ProjectError

_STARVED_SECONDS = 5.0


class Order(StrEnum):
    """What the coordinator tells a host."""

    TASK = "T"  # with the pickled task
    PAUSE = "P"  # no task for now: the worker's iterator ends, so that it finishes what it holds
    STOP = "S"  # leave as soon as possible


@dataclass(frozen=True, slots=True)
class Hello:
    """The worker is built."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The worker raised; it is gone."""

    error: ProjectError


Message = Hello | Raised | Report | logging.LogRecord
"""What a host sends, pickled."""


def read_message(data: bytes) -> Hello | Raised | Report | None:
    """In the coordinator: what a host sent; None for a log record, which goes into the log here."""
    try:
        message: Message = pickle.loads(data)
    except Exception as error:
        return Raised(ProjectError(f"What a worker said cannot be read: {type(error).__name__}: {error}"))
    if not isinstance(message, logging.LogRecord):
        return message
    log = logging.getLogger(message.name)
    if log.isEnabledFor(message.levelno):
        log.handle(message)
    return None


def pickled_build(build: Build) -> bytes:
    """For another process.

    Raises:
        ProjectError: it cannot be pickled.
    """
    try:
        return pickle.dumps(build)
    except Exception as error:
        raise ProjectError(
            f"The worker cannot be sent to another process: {type(error).__name__}: {error}",
            remedy="make it of functions and classes of a module, without open files or live models; "
            "or --engine local",
        ) from error


def log_level() -> int:
    """What the coordinator's log takes; workers send no more."""
    ours = logging.getLogger("multimodal_search").getEffectiveLevel()
    return min(ours, logging.getLogger().getEffectiveLevel())


class Host:
    """Builds a worker and keeps it at work.

    Args:
        send: takes each pickled ``Message``; called from any thread.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._orders: queue.SimpleQueue[tuple[Order, bytes]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._said_seconds = time.monotonic()

    def order(self, order: Order, payload: bytes = b"") -> None:
        """From any thread; does not wait."""
        if order is Order.STOP:
            self._stopped.set()
        self._orders.put((order, payload))

    def work(self, setup: bytes, place: Place) -> None:
        """Build, say hello, do tasks until told to stop. What the worker raises is sent, never raised."""
        try:
            build: Build = pickle.loads(setup)
            check_device(place.device)
            worker = build(place)
            try:
                self._say(Hello(worker.hello))
                self._rounds(worker)
            finally:
                worker.close()
        except BaseException as error:  # SystemExit too: nothing else would tell the coordinator
            self._say(Raised(as_project_error(error, place)))

    def _rounds(self, worker: Worker) -> None:
        """One ``Worker.run`` a round; a pause ends a round."""
        while not self._stopped.is_set():
            order, payload = self._orders.get()
            if order is not Order.TASK:
                continue
            with closing(reports_of(worker, self._round(payload))) as reports:
                for report in reports:
                    self._say(report)
                    if self._stopped.is_set():
                        return

    def _round(self, payload: bytes) -> Iterator[Any]:
        """Tasks until there is none for now.

        A worker may wait for a task while it holds others that it has not reported, and the coordinator sends
        none before those are finished. Where it says nothing meanwhile, the round ends: it finishes them.
        """
        order = Order.TASK
        while order is Order.TASK:
            yield pickle.loads(payload)
            self._said_seconds = time.monotonic()
            while True:
                try:
                    order, payload = self._orders.get(timeout=_STARVED_SECONDS)
                    break
                except queue.Empty:
                    if time.monotonic() - self._said_seconds >= _STARVED_SECONDS:
                        return

    def _say(self, message: Message) -> None:
        data = pickle.dumps(message)
        self._said_seconds = time.monotonic()
        self._send(data)

    def forward_logs(self, level: int) -> None:
        """From now on this process' log records go to the coordinator, which has the handlers."""
        root = logging.getLogger()
        root.handlers[:] = [_Forward(self._say)]
        root.setLevel(level)


class _Forward(logging.Handler):
    """Sends each record; arguments and traceback are made text first, for they may not pickle."""

    def __init__(self, say: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        try:
            plain = logging.handlers.QueueHandler(queue.SimpleQueue()).prepare(record)
            self._say(plain)
        except Exception:
            self.handleError(record)
