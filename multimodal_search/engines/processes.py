"""Workers in processes of their own, supervised from here: one that dies costs nothing but its time."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from multimodal_search.engines.base import Build, Place, Session
from multimodal_search.engines.child import PREAMBLE
from multimodal_search.engines.devices import limit_threads
from multimodal_search.engines.frames import read_frame, write_frame
from multimodal_search.engines.host import Order, log_level, pickled_build, read_message
from multimodal_search.engines.supervision import Gone, SupervisedSession, Tell

# The child must find the same modules; Ctrl-C, held back until its first line, is none of its business.
_CODE = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "hasattr(signal, 'pthread_sigmask') and signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT]); "
    "import json, sys; path, place, level = json.loads(sys.argv.pop()); sys.path[:] = path; "
    "from multimodal_search.engines.base import Place; "
    "from multimodal_search.engines.child import main; main(Place(*place), level)"
)
_LAST_WORDS_CHARS = 2000
_DRAIN_SECONDS = 2.0  # for what a dead worker had said; a grandchild may keep its pipes open for ever


class ProcessEngine:
    """Runs a process for each device.

    Args:
        devices: torch's name of each worker's device.
    """

    def __init__(self, devices: list[str]) -> None:
        self._places = [Place(index, len(devices), device) for index, device in enumerate(devices)]

    @contextmanager
    def open(self, build: Build) -> Iterator[Session]:
        """Workers are up from here; see ``base.Engine``.

        Raises:
            ProjectError: ``build`` cannot be pickled, or a worker cannot be built.
        """
        setup = pickled_build(build)

        def hire(place: Place, tell: Tell) -> _ProcessHand:
            return _ProcessHand(setup, place, tell)

        with SupervisedSession(self._places, hire).opened() as session:
            yield session


class _ProcessHand:
    """See ``supervision.Hand``.

    One thread starts the process and waits for its end, because Linux ends a process that asked to die with
    its parent when the *thread* that made it ends. One reads, one writes, one passes on what it prints.
    """

    def __init__(self, setup: bytes, place: Place, tell: Tell) -> None:
        self._setup = setup
        self._place = place
        self._tell = tell
        self._orders: queue.SimpleQueue[tuple[bytes, ...] | None] = queue.SimpleQueue()
        self._orders.put((setup,))
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._lock = threading.Lock()
        self._last_words = ""
        self._thread = threading.Thread(target=self._live, name=f"worker-{place.index}", daemon=True)
        self._thread.start()

    def order(self, order: Order, payload: bytes = b"") -> None:
        self._orders.put((order.encode(), payload))

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def join(self) -> None:
        self._thread.join()

    def _live(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            # the child has this thread's mask: Ctrl-C while its interpreter starts would be told as a crash
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            how = self._run()
        except OSError as error:
            how = f"could not be started: {error}"
        self._tell(self, Gone(how, self._last_words.strip()))

    def _run(self) -> str:
        """Start it, wait for its end, and say what that was."""
        setting = json.dumps(
            [sys.path, [self._place.index, self._place.count, self._place.device], log_level()]
        )
        with self._lock:
            if self._killed:
                return "was not needed any more"
            self._process = process = subprocess.Popen(
                [sys.executable, "-c", _CODE, setting],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **limit_threads(self._place.count)},
            )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        threads = [
            threading.Thread(target=target, args=(pipe,), daemon=True)
            for target, pipe in ((self._read, process.stdout), (self._pass_on, process.stderr))
        ]
        writer = threading.Thread(target=self._write, args=(process.stdin,), daemon=True)
        for thread in (*threads, writer):
            thread.start()
        code = process.wait()
        self._orders.put(None)
        for thread in threads:
            thread.join(_DRAIN_SECONDS)
        return _how(code)

    def _write(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError):  # it is gone
            while (parts := self._orders.get()) is not None:
                write_frame(pipe, *parts)
        with contextlib.suppress(OSError):
            pipe.close()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            seen = b""
            while not seen.endswith(PREAMBLE):
                byte = pipe.read(1)
                if not byte:
                    return
                seen += byte
            while (frame := read_frame(pipe)) is not None:
                event = read_message(frame)
                if event is not None:
                    self._tell(self, event)

    def _pass_on(self, pipe: IO[bytes]) -> None:
        """What the worker prints: to our standard error, its end kept as last words."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with pipe:
            while chunk := os.read(pipe.fileno(), 65536):
                text = decoder.decode(chunk)
                self._last_words = (self._last_words + text)[-_LAST_WORDS_CHARS:]
                with contextlib.suppress(OSError, ValueError):  # ours is closed
                    sys.stderr.write(text)
                    sys.stderr.flush()


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (usually the kernel's out-of-memory killer)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"
