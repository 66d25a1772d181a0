"""Keeps workers at work that may die at any moment; the same for processes and for Ray's actors."""

from __future__ import annotations

import logging
import pickle
import queue
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from multimodal_search.engines.base import Place, Report
from multimodal_search.engines.host import Hello, Order, Raised
from multimodal_search.engines.ledger import Ledger, Rescue
from multimodal_search.errors import ProjectError

logger = logging.getLogger(__name__)

ATTEMPTS = 3
_AHEAD = 2  # tasks a worker holds: one to work on, one to overlap with its end
_GRACE_SECONDS = 5.0  # that a worker has to leave when told to
_LONGEST_WAIT_SECONDS = 10.0  # before a worker that died again and again is replaced


@dataclass(frozen=True, slots=True)
class Gone:
    """The worker is no more.

    Attributes:
        how: it went, as in "was killed by SIGKILL".
        last_words: the end of what it printed.
    """

    how: str
    last_words: str = ""


@dataclass(frozen=True, slots=True)
class Stranded:
    """The worker has waited for a place for long; raised where no other one is at work either."""

    error: ProjectError


Event = Hello | Raised | Report | Gone | Stranded


class Hand(Protocol):
    """The coordinator's end of one worker. Says ``Gone`` last, however it went."""

    def order(self, order: Order, payload: bytes = b"") -> None:
        """Pass it on; does not wait, and may be called at any time."""
        ...

    def kill(self) -> None:
        """End the worker now."""
        ...

    def join(self) -> None:
        """Wait until nothing of it is left here; after ``kill``."""
        ...


Tell = Callable[[Hand, Event], None]
Hire = Callable[[Place, Tell], Hand]


@dataclass(slots=True)
class _Slot:
    place: Place
    hand: Hand | None = None
    ready: bool = False
    running: bool = False  # it was given a task since its last pause
    deaths: int = 0  # since it last finished a task
    idle_deaths: int = 0  # of these, those that no task can be blamed for
    due_seconds: float = 0.0  # when it is to be replaced


class SupervisedSession:
    """See ``base.Session``.

    Args:
        places: one a worker.
        hire: starts a worker; what it says goes to the function it is given, from any thread.
        idle_attempts: workers of one place that may die with no task at hand, in a row.
    """

    def __init__(self, places: list[Place], hire: Hire, *, idle_attempts: int = 3) -> None:
        self._slots = [_Slot(place) for place in places]
        self._hire = hire
        self._idle_attempts = idle_attempts
        self._events: queue.SimpleQueue[tuple[Hand, Event]] = queue.SimpleQueue()
        self._hello: Hello | None = None
        self._broken = False

    @property
    def hello(self) -> Any:
        assert self._hello is not None
        return self._hello.value

    @contextmanager
    def opened(self) -> Iterator[SupervisedSession]:
        """Up from the first worker's hello until none is left.

        Raises:
            ProjectError: a worker cannot be built.
        """
        try:
            while self._hello is None:
                self._handle(*self._next_event(), None)
            yield self
        finally:
            self._close()

    def map(self, tasks: Iterable[Any], *, rescue: Rescue | None = None) -> Generator[Report]:
        if self._broken:
            raise RuntimeError("this session was left in the middle of its tasks; open another one")
        self._broken = True
        ledger = Ledger(tasks, ahead=_AHEAD, attempts=ATTEMPTS, rescue=rescue)
        while True:
            self._feed(ledger)
            if ledger.done:
                break
            slot, event = self._next_event()
            if isinstance(event, Report):
                if event.finished:
                    ledger.finished(slot.place.index, event.task)
                    slot.deaths = slot.idle_deaths = 0
                yield event
            else:
                self._handle(slot, event, ledger)
        self._broken = False

    def _feed(self, ledger: Ledger) -> None:
        """One task to everybody before a second one to anybody."""
        for depth in range(_AHEAD):
            for slot in self._slots:
                if slot.ready and len(ledger.held(slot.place.index)) <= depth:
                    self._give(slot, ledger)

    def _give(self, slot: _Slot, ledger: Ledger) -> None:
        assert slot.hand is not None
        task = ledger.take(slot.place.index)
        if task is not None:
            slot.hand.order(Order.TASK, pickle.dumps(task))
            slot.running = True
        elif slot.running:
            slot.hand.order(Order.PAUSE)
            slot.running = False

    def _next_event(self) -> tuple[_Slot, Event]:
        while True:
            self._replace()
            due = min((slot.due_seconds for slot in self._slots if slot.hand is None), default=None)
            timeout = None if due is None else max(0.0, due - time.monotonic())
            try:
                hand, event = self._events.get(timeout=timeout)
            except queue.Empty:
                continue
            for slot in self._slots:
                if slot.hand is hand:
                    return slot, event

    def _replace(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.hand is None and slot.due_seconds <= now:
                slot.hand = self._hire(slot.place, self._tell)

    def _tell(self, hand: Hand, event: Event) -> None:
        self._events.put((hand, event))

    def _handle(self, slot: _Slot, event: Event, ledger: Ledger | None) -> None:
        match event:
            case Hello():
                slot.ready = True
                self._hello = self._hello or event
            case Raised(error):
                raise error
            case Stranded(error):
                if not any(other.ready for other in self._slots):
                    raise error
            case Gone():
                self._bury(slot, event, ledger)

    def _bury(self, slot: _Slot, gone: Gone, ledger: Ledger | None) -> None:
        built = slot.ready
        working = ledger is not None and bool(ledger.held(slot.place.index))
        slot.hand, slot.ready, slot.running = None, False, False
        wait = 0.0 if not slot.deaths else min(0.25 * 2.0**slot.deaths, _LONGEST_WAIT_SECONDS)
        slot.due_seconds = time.monotonic() + wait
        slot.deaths += 1
        logger.warning("worker %d %s; another one takes its place", slot.place.index, gone.how)
        if ledger is not None and working:
            ledger.lost(slot.place.index, gone.how)
            return
        slot.idle_deaths += 1
        if slot.idle_deaths >= self._idle_attempts:
            when = "with nothing to do" if built else "while being built"
            raise ProjectError(
                f"A worker died {slot.idle_deaths} times in a row, the last time {when}: it {gone.how}",
                where=f"worker {slot.place.index} of {slot.place.count} on {slot.place.device}"
                + (f"; its last words:\n{gone.last_words}" if gone.last_words else ""),
                remedy="fewer --num-processes where memory ran out; --engine local shows the error itself",
            )

    def _close(self) -> None:
        hands = [slot.hand for slot in self._slots if slot.hand is not None]
        left = set(map(id, hands))
        deadline = time.monotonic() + _GRACE_SECONDS
        try:
            for hand in hands:
                hand.order(Order.STOP)
            while left:
                hand, event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
                if isinstance(event, Gone):
                    left.discard(id(hand))
        except queue.Empty:
            pass
        finally:  # a second Ctrl-C must not leave a worker either
            for hand in hands:
                hand.kill()
            for hand in hands:
                hand.join()
