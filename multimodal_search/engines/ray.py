"""Workers in Ray actors, supervised from here: a lost actor or node costs nothing but its time."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from multimodal_search.engines.base import Build, Place, Session
from multimodal_search.engines.devices import core_count, devices_here
from multimodal_search.engines.host import Host, Order, log_level, pickled_build, read_message
from multimodal_search.engines.ray_cluster import connected
from multimodal_search.engines.supervision import Gone, Stranded, SupervisedSession, Tell
from multimodal_search.errors import ProjectError

logger = logging.getLogger(__name__)

_POLL_SECONDS = 10.0  # an unanswered poll is how a worker without news looks
_PATIENCE_SECONDS = 600.0  # for a node that can take a worker: a cluster may be growing
_DEATHS = 10  # of one worker before it gets to work, in a row: nodes go one after the other
_LAST_WORDS_CHARS = 2000


@dataclass(frozen=True, slots=True)
class _Ask:
    """What each actor asks of the cluster.

    Attributes:
        gpus: share of a GPU.
        sharing: workers on one node, which share its cores.
    """

    gpus: float
    sharing: int


class RayEngine:
    """Runs actors that hold a worker each.

    Args:
        address: of a cluster; None starts Ray here.
        count: actors; None is one a GPU, or one a node where there is none.
        device: ``auto``, ``cpu`` or ``cuda``.
        patience_seconds: until waiting for a node is given up.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        count: int | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._address = address
        self._count = count
        self._device = device
        self._patience_seconds = patience_seconds

    @contextmanager
    def open(self, build: Build) -> Iterator[Session]:
        """Workers are up from here; see ``base.Engine``.

        Raises:
            ProjectError: ``build`` cannot be pickled, Ray cannot be reached or started, no node can take a
                worker, or a worker cannot be built.
        """
        setup = pickled_build(build)
        here = devices_here(self._device) if self._address is None else []
        with connected(self._address, cpus=self._count or max(1, len(here))) as ray:
            places, ask = self._plan(ray, here)

            def hire(place: Place, tell: Tell) -> _RayHand:
                return _RayHand(ray, setup, place, ask, tell, self._patience_seconds)

            with SupervisedSession(places, hire, idle_attempts=_DEATHS).opened() as session:
                yield session

    def _plan(self, ray: Any, here: list[str]) -> tuple[list[Place], _Ask]:
        """How many workers, on what."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = int(sum(node.get("GPU", 0) for node in nodes))
        if self._address is None:
            cuda = here[0] != "cpu"
        else:
            cuda = self._device == "cuda" or (self._device == "auto" and gpus > 0)
            if cuda and not gpus:
                logger.warning("the cluster has no GPU now; waiting for one")
            elif gpus and not cuda:
                logger.warning("RUNNING ON THE CPU although the cluster has %d GPU(s)", gpus)
        count = self._count or (gpus if cuda else len(nodes)) or 1
        # where this machine has no GPU, the worker itself says what torch knows
        share = 1.0 / math.ceil(count / gpus) if cuda and gpus else float(cuda and self._address is not None)
        # an actor with a GPU of its own sees no other one
        places = [Place(index, count, "cuda:0" if cuda else "cpu") for index in range(count)]
        return places, _Ask(share, math.ceil(count / max(1, len(nodes))))


class RayShell:
    """The actor: a host in a thread, and what it has said until somebody asks."""

    def __init__(self, setup: bytes, place: Place, level: int, sharing: int, threads: str | None) -> None:
        # Ray has set it to the CPUs the actor asked for; torch is not imported yet
        os.environ["OMP_NUM_THREADS"] = threads or str(max(1, core_count() // sharing))
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._early: dict[int, tuple[Order, bytes]] = {}
        self._expected = 0
        self._lock = threading.Lock()
        self._host = Host(self._said.put)
        self._host.forward_logs(level)
        threading.Thread(target=self._work, args=(setup, place), name="worker", daemon=True).start()

    def _work(self, setup: bytes, place: Place) -> None:
        self._host.work(setup, place)
        self._said.put(b"")

    def order(self, number: int, order: str, payload: bytes) -> None:
        """See ``Host.order``; threads may bring them in another order than they were given in."""
        with self._lock:
            self._early[number] = Order(order), payload
            while self._expected in self._early:
                self._host.order(*self._early.pop(self._expected))
                self._expected += 1

    def poll(self, wait_seconds: float) -> list[bytes]:
        """What was said since the last poll; waits a while for something. An empty message is the last."""
        said = []
        with contextlib.suppress(queue.Empty):
            said.append(self._said.get(timeout=wait_seconds))
            while True:
                said.append(self._said.get_nowait())
        return said


class _RayHand:
    """See ``supervision.Hand``. A thread polls the actor, and gives it up at any error."""

    def __init__(
        self, ray: Any, setup: bytes, place: Place, ask: _Ask, tell: Tell, patience_seconds: float
    ) -> None:
        self._ray = ray
        self._tell = tell
        self._ask = ask
        self._patience_seconds = patience_seconds
        shell = ray.remote(
            num_cpus=1,
            num_gpus=ask.gpus,
            max_restarts=0,  # an actor that Ray starts again would have lost its tasks
            scheduling_strategy="SPREAD",
            max_concurrency=4,  # threads: no order waits for a poll
        )(RayShell)
        threads = os.environ.get("OMP_NUM_THREADS")
        self._actor = shell.remote(setup, place, log_level(), ask.sharing, threads)
        self._order_count = itertools.count()
        self._thread = threading.Thread(target=self._live, name=f"actor-{place.index}", daemon=True)
        self._thread.start()

    def order(self, order: Order, payload: bytes = b"") -> None:
        with contextlib.suppress(Exception):  # the poll meets the same trouble, and tells
            self._actor.order.remote(next(self._order_count), order.value, payload)

    def kill(self) -> None:
        with contextlib.suppress(Exception):  # it is gone, or Ray is
            self._ray.kill(self._actor, no_restart=True)

    def join(self) -> None:
        self._thread.join(_POLL_SECONDS)

    def _live(self) -> None:
        how, last_words = "left", ""
        try:
            self._listen()
        except Exception as error:  # lost actor, lost node, lost answer: all the same to us
            last_words = str(error)[-_LAST_WORDS_CHARS:]
            how = f"was lost ({_summary(error)})"
        self.kill()
        self._tell(self, Gone(how, last_words))

    def _listen(self) -> None:
        """Pass on what the actor says, until its last word.

        Raises:
            RayError: it is lost.
        """
        begin = time.monotonic()
        answered = False
        look_seconds = min(_POLL_SECONDS, self._patience_seconds)
        while True:
            answer = self._actor.poll.remote(_POLL_SECONDS)
            while not self._ray.wait([answer], timeout=look_seconds)[0]:
                if not answered and time.monotonic() - begin > self._patience_seconds:
                    self._tell(self, Stranded(self._nowhere()))
                    begin = time.monotonic()
            for message in self._ray.get(answer):
                if not message:
                    return
                event = read_message(message)
                if event is not None:
                    self._tell(self, event)
            answered = True

    def _nowhere(self) -> ProjectError:
        free = self._ray.available_resources()
        return ProjectError(
            f"No node of the Ray cluster could take a worker within {self._patience_seconds:.0f} s.",
            where=f"each asks for 1 CPU and {self._ask.gpus:g} GPU; free are {free.get('CPU', 0):g} and "
            f"{free.get('GPU', 0):g}",
            remedy="'ray status' shows the nodes and who uses them; --device cpu needs no GPU",
        )


def _summary(error: Exception) -> str:
    """Ray's messages are long; the sentence that says why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = next((line for line in lines if "because" in line), lines[0] if lines else "no reason given")
    return f"{type(error).__name__}: {why.partition(' Some common causes')[0][:300]}"
