"""What every engine promises, and what those promise whose workers live elsewhere."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_workers import (
    Doer,
    Hoarder,
    Job,
    Loser,
    Overlapper,
    fail_oddly_to_build,
    fail_to_build,
)

from multimodal_search.engines import Engine, Session
from multimodal_search.errors import DataError, ProjectError

MakeEngine = Callable[..., Engine]
KINDS = ["local", "processes", pytest.param("ray", marks=pytest.mark.slow)]
ISOLATING = KINDS[1:]
every_engine = pytest.mark.parametrize("kind", KINDS)
isolating_engine = pytest.mark.parametrize("kind", ISOLATING)


def finished(session: Session, jobs: Any, **options: Any) -> dict[str, Any]:
    """Results by name; each came once."""
    results: dict[str, Any] = {}
    for report in session.map(jobs, **options):
        if report.finished:
            assert report.task not in results
            results[report.task] = report.value
    return results


def squares(count: int) -> list[Job]:
    return [Job(f"job-{number}", number=number) for number in range(count)]


@every_engine
def test_every_task_is_done_once_and_every_report_passed_on(kind: str, make_engine: MakeEngine) -> None:
    with make_engine(kind).open(Doer) as session:
        assert session.hello["place"].device == "cpu"
        reports = list(session.map(iter(squares(20))))
        assert finished(session, squares(3)) == {"job-0": 0, "job-1": 1, "job-2": 4}
        assert finished(session, []) == {}
    begun = [report.task for report in reports if not report.finished]
    done = {report.task: report.value for report in reports if report.finished}
    assert sorted(begun) == sorted(done)
    assert len(reports) == 40
    assert done == {f"job-{number}": number**2 for number in range(20)}


@every_engine
def test_an_endless_source_is_taken_only_as_far_as_needed(kind: str, make_engine: MakeEngine) -> None:
    taken = 0
    done = 0

    def endless() -> Iterator[Job]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield Job(f"job-{number}", number=number)

    with make_engine(kind).open(Doer) as session:
        for report in session.map(endless()):
            done += report.finished
            assert taken <= done + 4  # two workers, two tasks each
            if done == 30:
                break


@pytest.mark.parametrize(
    ("kind", "worker"), [(kind, Overlapper) for kind in ("local", "processes")] + [("processes", Hoarder)]
)
def test_a_worker_may_hold_results_back_while_it_takes_more(
    kind: str, worker: Any, make_engine: MakeEngine
) -> None:
    with make_engine(kind, 1).open(worker) as session:
        assert list(finished(session, squares(3)).values()) == [0, 1, 4]


@every_engine
def test_a_project_error_is_raised_as_it_is(kind: str, make_engine: MakeEngine) -> None:
    with make_engine(kind).open(Doer) as session, pytest.raises(DataError) as caught:
        finished(session, [*squares(3), Job("bad", "project error")])
    assert (caught.value.what, caught.value.where, caught.value.remedy) == (
        "no such data",
        "here",
        "look there",
    )


@every_engine
@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("other error", "KeyError: 'missing thing'"),
        ("memory error", "MemoryError: no room"),
        ("odd error", "odd 3"),
    ],
)
def test_other_exceptions_come_with_type_and_message_and_the_traceback_in_the_log(
    kind: str, deed: str, said: str, make_engine: MakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with make_engine(kind, 1).open(Doer) as session, pytest.raises(ProjectError) as caught:
        finished(session, [Job("bad", deed)])
    assert said in str(caught.value)
    assert "worker 0 of 1 on cpu" in str(caught.value)
    assert "Traceback" in caplog.text
    assert "engine_workers.py" in caplog.text


@every_engine
def test_what_the_source_of_tasks_raises_is_not_the_workers_fault(kind: str, make_engine: MakeEngine) -> None:
    def broken() -> Iterator[Job]:
        yield from squares(2)
        raise LookupError("the plan is broken")

    with make_engine(kind, 1).open(Doer) as session, pytest.raises(LookupError, match="the plan is broken"):
        finished(session, broken())


@every_engine
def test_a_worker_that_forgets_a_task_is_found_out(kind: str, make_engine: MakeEngine) -> None:
    with (
        make_engine(kind, 1).open(Loser) as session,
        pytest.raises(ProjectError, match="left tasks unfinished: job-0"),
    ):
        finished(session, squares(1))


@every_engine
def test_a_worker_that_cannot_be_built_says_why(kind: str, make_engine: MakeEngine) -> None:
    with (
        pytest.raises(DataError, match="this worker cannot be built"),
        make_engine(kind).open(fail_to_build),
    ):
        pass
    with (
        pytest.raises(ProjectError, match="ZeroDivisionError: an odd thing"),
        make_engine(kind).open(fail_oddly_to_build),
    ):
        pass


@every_engine
def test_log_lines_of_workers_reach_the_log(
    kind: str, make_engine: MakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), make_engine(kind, 1).open(Doer) as session:
        finished(session, [Job("say", "log")])
    records = [one for one in caplog.records if one.name == "engine_workers"]
    assert [one.getMessage() for one in records] == ["a worker's log line 42"]


@every_engine
def test_an_interrupted_consumer_leaves_no_worker(
    kind: str, make_engine: MakeEngine, alive: Callable[[int], bool], wait_until: Callable[..., None]
) -> None:
    processes: set[int] = set()

    def consume(session: Session) -> None:
        for report in session.map([*(Job(f"who-{n}", "process") for n in range(8)), Job("long", "hang")]):
            if report.finished:
                processes.add(report.value)
            if report.task == "long":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), make_engine(kind).open(Doer) as session:
        consume(session)
    assert processes
    if kind != "local":
        wait_until(lambda: not any(map(alive, processes)))


@isolating_engine
def test_what_cannot_be_sent_is_said_before_anything_starts(kind: str, make_engine: MakeEngine) -> None:
    with (
        pytest.raises(ProjectError, match="cannot be sent to another process"),
        make_engine(kind).open(lambda place: Doer(place)),
    ):
        pass


@isolating_engine
def test_a_result_that_cannot_be_pickled_is_an_error(kind: str, make_engine: MakeEngine) -> None:
    with make_engine(kind, 1).open(Doer) as session, pytest.raises(ProjectError, match="A worker failed"):
        finished(session, [Job("bad", "unpicklable")])


@isolating_engine
def test_tasks_of_workers_that_die_are_done_by_others(
    kind: str, make_engine: MakeEngine, tmp_path: Path
) -> None:
    jobs = squares(12)
    for number, deed in ((2, "sigkill once"), (5, "segfault once"), (6, "exit once")):
        jobs[number] = Job(f"job-{number}", deed, number, tmp_path)
    with make_engine(kind).open(Doer) as session:
        assert finished(session, jobs) == {f"job-{number}": number**2 for number in range(12)}


@isolating_engine
def test_a_task_that_kills_its_workers_is_rescued(kind: str, make_engine: MakeEngine, tmp_path: Path) -> None:
    killer = Job("killer", "sigkill", folder=tmp_path)
    asked: list[Job] = []

    def rescue(job: Job) -> Job:
        asked.append(job)
        return Job(job.name, number=7)

    with make_engine(kind).open(Doer) as session:
        results = finished(session, [*squares(4), killer, Job("last", number=3)], rescue=rescue)
    assert asked == [killer]
    assert results["killer"] == 49
    assert len(results) == 6
    # A process each. A Ray actor's unpolled report of the task before dies with it: that task is blamed for
    # the first death, done again, and the killer still has three.
    assert len(list(tmp_path.iterdir())) in ((3, 4) if kind == "ray" else (3,))


@pytest.mark.parametrize("rescue", [None, lambda job: None], ids=["none", "no"])
def test_a_task_that_nothing_rescues_ends_the_session(
    rescue: Any, make_engine: MakeEngine, tmp_path: Path
) -> None:
    with (
        make_engine("processes", 1).open(Doer) as session,
        pytest.raises(ProjectError, match="'killer' killed 3 workers") as caught,
    ):
        finished(session, [Job("killer", "sigkill", folder=tmp_path)], rescue=rescue)
    assert "SIGKILL" in str(caught.value)
    assert "out-of-memory" in str(caught.value)
    assert "--batch-size" in str(caught.value)


def test_the_blame_is_exact_where_a_worker_works_ahead(make_engine: MakeEngine, tmp_path: Path) -> None:
    """The killer dies while it is fetched ahead and an innocent task is at work."""
    jobs = squares(6)
    jobs[3] = Job("job-3", "ahead sigkill", 3, tmp_path)
    asked: list[str] = []

    def rescue(job: Job) -> Job:
        asked.append(job.name)
        return Job(job.name, number=job.number)

    with make_engine("processes", 1).open(Overlapper) as session:
        results = finished(session, jobs, rescue=rescue)
    assert results == {f"job-{number}": number**2 for number in range(6)}
    assert asked == ["job-3"]
