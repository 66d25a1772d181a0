"""Supervised processes as the system sees them: signals, orphans, what they print, their environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from engine_workers import DieFirst, Doer, Job, die_while_built

from multimodal_search.engines import Engine
from multimodal_search.errors import ProjectError

MakeEngine = Callable[..., Engine]

SCRIPT = """
from multimodal_search.engines import open_engine
from engine_workers import Doer, Job

with open_engine("processes", num_processes=2, device="cpu").open(Doer) as session:
    jobs = [*(Job(f"who-{n}", "process") for n in range(8)), Job("long", "hang")]
    for report in session.map(jobs):
        print(report.task, report.value, flush=True)
"""


def coordinator() -> subprocess.Popen[str]:
    """A coordinator of two workers, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        # as a terminal starts it, whatever the tests' own parent does with the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def busy_coordinator() -> tuple[subprocess.Popen[str], set[int]]:
    """A coordinator one of whose workers is at work for ever; the workers."""
    process = coordinator()
    assert process.stdout is not None
    workers: set[int] = set()
    for line in process.stdout:
        task, _, value = line.strip().partition(" ")
        if value.isdigit():
            workers.add(int(value))
        elif task == "long":
            return process, workers
    raise AssertionError(process.communicate())


def test_ctrl_c_ends_everything_in_seconds(
    alive: Callable[[int], bool], wait_until: Callable[..., None]
) -> None:
    process, workers = busy_coordinator()
    with process:
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all of them
        _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert err.count("KeyboardInterrupt") == 1  # the coordinator's own
    wait_until(lambda: not any(map(alive, workers)))


def test_ctrl_c_while_a_worker_starts_is_no_crash_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]
) -> None:
    # a worker's interpreter that takes its time before its first line
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, sys, time\n"
        "if 'engines.child' in ' '.join(sys.orig_argv):\n"
        f"    (pathlib.Path({str(tmp_path)!r}) / f'{{os.getpid()}}.starting').touch()\n"
        "    time.sleep(2)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with coordinator() as process:
        wait_until(lambda: len(list(tmp_path.glob("*.starting"))) == 2)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert err.count("KeyboardInterrupt") == 1
    assert "Fatal Python error" not in err


def test_workers_go_when_their_coordinator_is_killed(
    alive: Callable[[int], bool], wait_until: Callable[..., None]
) -> None:
    process, workers = busy_coordinator()
    assert workers
    with process:
        process.kill()
    wait_until(lambda: not any(map(alive, workers)), 20.0)


def test_a_worker_that_dies_while_being_built_ends_the_session_with_its_last_words(
    make_engine: MakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(ProjectError, match="died 3 times in a row, the last time while being built") as caught,
        make_engine("processes", 1).open(die_while_built),
    ):
        pass
    assert "SIGKILL" in str(caught.value)
    assert "words before the end" in str(caught.value)
    assert capfd.readouterr().err.count("words before the end") == 3  # passed through as well


def test_a_worker_that_is_built_in_the_end_does_the_work(make_engine: MakeEngine, tmp_path: Path) -> None:
    with make_engine("processes", 1).open(DieFirst(tmp_path, 2)) as session:
        assert [report.value for report in session.map([Job("a", number=4)]) if report.finished] == [16]


def test_what_workers_print_is_seen_and_mixes_with_nothing(
    make_engine: MakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    with make_engine("processes", 1).open(Doer) as session:
        list(session.map([Job("say", "print")]))
    out, err = capfd.readouterr()
    assert out == ""
    assert "a worker's print" in err


def test_workers_share_the_cores_and_load_nothing_unasked(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("multimodal_search.engines.devices.core_count", lambda: 6)
    with make_engine("processes", 2).open(Doer) as session:
        jobs = [Job("threads", "environment"), Job("torch", "modules")]
        assert {report.value for report in session.map(jobs) if report.finished} == {"3", False}


def test_a_session_left_in_the_middle_is_not_used_again(make_engine: MakeEngine) -> None:
    with make_engine("processes", 1).open(Doer) as session:
        for _ in session.map([Job("a"), Job("b")]):
            break
        with pytest.raises(RuntimeError, match="left in the middle"):
            list(session.map([Job("c")]))


def test_leaving_is_quick(make_engine: MakeEngine) -> None:
    with make_engine("processes").open(Doer) as session:
        list(session.map([Job("a")]))
        begin = time.monotonic()
    assert time.monotonic() - begin < 4  # less than a worker that does not leave is given
