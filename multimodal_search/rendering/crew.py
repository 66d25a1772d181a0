"""Worker processes at work: one that crashes or hangs costs the specimen in its hands, and is replaced."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from multimodal_search.engines.devices import limit_threads
from multimodal_search.errors import ProjectError

# The child must find the same modules.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from multimodal_search.rendering.worker import main; main()"
)
_START_SECONDS = 180.0  # the first process of a machine compiles the loops
_GRACE_SECONDS = 10.0
_LAST_WORDS_BYTES = 600


@dataclass(frozen=True, slots=True)
class Task:
    """A file to render: its place, and where its views go."""

    id: str
    file: str
    out: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    Attributes:
        reason: why there are no views; None where there are.
        again: whether another run may do better.
        error: the run cannot go on (a full disk).
    """

    task: Task
    reason: str | None = None
    again: bool = False
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    error: Exception | None = None


class Crew:
    """Processes that render, a task each at a time.

    Args:
        settings: what a worker is told first (see ``worker``).
        code: what a worker runs.
    """

    def __init__(self, count: int, settings: dict[str, Any], code: str = _CODE) -> None:
        self._workers = [_Worker(settings, code, limit_threads(count)) for _ in range(count)]

    def hello(self) -> tuple[str, str]:
        """Name and version of the renderer, from a process that has opened it.

        Raises:
            ProjectError: no worker can be started.
        """
        return self._workers[0].start()

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Outcomes as they come.

        Raises:
            ProjectError: a worker cannot be started any more.
        """
        waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        done: queue.SimpleQueue[Outcome | Exception] = queue.SimpleQueue()
        for worker in self._workers[: len(tasks)]:
            threading.Thread(target=_work, args=(worker, waiting, done), daemon=True).start()
        for _ in tasks:
            outcome = done.get()
            if isinstance(outcome, Exception):
                raise outcome
            if outcome.error is not None:
                raise outcome.error
            yield outcome

    def close(self) -> None:
        """End all processes now."""
        for worker in self._workers:
            worker.close()


def _work(worker: _Worker, waiting: queue.SimpleQueue[Task], done: queue.SimpleQueue[Any]) -> None:
    try:
        while not worker.closed:
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            done.put(worker.do(task))
    except Exception as error:
        done.put(error)


class _Worker:
    """The coordinator's end of one process."""

    def __init__(self, settings: dict[str, Any], code: str, environment: dict[str, str]) -> None:
        self._settings = settings
        self._code = code
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._hello: tuple[str, str] | None = None
        self._errors: Any = None
        self.closed = False

    def start(self) -> tuple[str, str]:
        """Up and ready; nothing where it is already."""
        if self._process is not None and self._hello is not None:
            return self._hello
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._code, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env=self._environment,
        )
        self._send(self._settings)
        answer = self._answer(_START_SECONDS)
        if isinstance(answer, dict) and "hello" in answer:
            self._hello = (str(answer["hello"][0]), str(answer["hello"][1]))
            return self._hello
        if isinstance(answer, dict) and "error" in answer:
            what, where, remedy = answer["error"]
            raise ProjectError(what, where=where, remedy=remedy)
        raise ProjectError(f"The renderer cannot be started: it {answer}", where=self._last_words() or None)

    def do(self, task: Task) -> Outcome:
        """Render; what goes wrong is in the outcome."""
        self.start()
        timeout = float(self._settings["timeout_seconds"])
        self._send({"id": task.id, "file": task.file, "out": task.out})
        answer = self._answer(timeout)
        if isinstance(answer, str):
            words = self._last_words()
            self._end()
            return Outcome(task, f"the renderer {answer}" + (f" ({words})" if words else ""), again=True)
        if "failed" in answer:
            return Outcome(task, error=OSError(*answer["failed"]))
        if "skip" in answer:
            return Outcome(task, str(answer["skip"]), again=bool(answer.get("again")))
        return Outcome(task, notes=tuple(answer["notes"]), seconds=float(answer["seconds"]))

    def close(self) -> None:
        self.closed = True
        self._end()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is gone: the answer will say so
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def _answer(self, timeout_seconds: float) -> dict[str, Any] | str:
        """What it says, or how it ended."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        deadline = time.monotonic() + timeout_seconds
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return f"took longer than {timeout_seconds:g} s"
                some = process.stdout.read(65536)
                if not some:
                    return _how(process)
                line += some
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        """The last line of what it printed, where it says something."""
        self._errors.seek(0, 2)
        self._errors.seek(max(0, self._errors.tell() - _LAST_WORDS_BYTES))
        text = self._errors.read().decode("utf-8", "replace").strip()
        return text.splitlines()[-1][:200] if text and "Fatal Python error" not in text else ""

    def _end(self) -> None:
        process, self._process, self._hello = self._process, None, None
        if process is None:
            return
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        for pipe in (process.stdin, process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _how(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return "closed its output"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
