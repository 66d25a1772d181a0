"""Who does what again, and whose fault a death was."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.engines.ledger import Ledger, Rescue
from multimodal_search.errors import ProjectError


@dataclass(frozen=True)
class Named:
    name: str
    rescued: bool = False


def ledger(count: int, rescue: Rescue | None = None, attempts: int = 3) -> Ledger:
    return Ledger((Named(str(number)) for number in range(count)), ahead=2, attempts=attempts, rescue=rescue)


def take(book: Ledger, worker: int) -> str | None:
    task = book.take(worker)
    return None if task is None else task.name


def test_two_tasks_a_worker_and_no_more() -> None:
    book = ledger(9)
    assert [take(book, 0), take(book, 0), take(book, 0), take(book, 1)] == ["0", "1", None, "2"]
    book.finished(0, "0")
    assert take(book, 0) == "3"
    assert book.held(0) == ["1", "3"]


def test_lost_tasks_come_first_in_order_and_alone() -> None:
    book = ledger(9)
    for _ in range(2):
        book.take(0)
    assert take(book, 1) == "2"
    book.lost(0, "died")
    assert take(book, 1) is None  # it has something else
    assert [take(book, 0), take(book, 0)] == ["0", None]
    book.finished(1, "2")
    assert [take(book, 1), take(book, 1)] == ["1", None]
    book.finished(0, "0")
    assert [take(book, 0), take(book, 0)] == ["3", "4"]


def test_a_rescue_is_asked_once() -> None:
    book = ledger(1, rescue=lambda task: Named(task.name, rescued=True))
    for _ in range(3):
        book.take(0)
        book.lost(0, "died")
    assert book.take(0) == Named("0", rescued=True)
    book.lost(0, "died")
    book.take(0)
    book.lost(0, "died")
    book.take(0)
    with pytest.raises(ProjectError, match="killed 3 workers in a row: the last one was eaten"):
        book.lost(0, "was eaten")


def test_two_tasks_of_one_name_are_a_mistake() -> None:
    book = Ledger([Named("a"), Named("a")], ahead=2, attempts=3, rescue=None)
    book.take(0)
    with pytest.raises(ValueError, match="two tasks are named 'a'"):
        book.take(1)


@settings(max_examples=200)
@given(
    count=st.integers(0, 12),
    killers=st.sets(st.integers(0, 11), max_size=3),
    steps=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60),
)
def test_every_task_is_finished_once_whatever_dies(
    count: int, killers: set[int], steps: list[tuple[int, bool]]
) -> None:
    """Random deaths, then workers that only the killers kill: nobody else is ever rescued in vain."""
    rescued: list[str] = []

    def rescue(task: Named) -> Named:
        rescued.append(task.name)
        return Named(task.name, rescued=True)

    book = ledger(count, rescue, attempts=100)  # random deaths must not use them up
    done: list[str] = []

    def step(worker: int, dies: bool) -> None:
        while book.take(worker) is not None:
            pass
        held = book.held(worker)
        if held and dies:
            book.lost(worker, "died")
        elif held and (int(held[0]) not in killers or held[0] in rescued):
            book.finished(worker, held[0])
            done.append(held[0])
        elif held:
            book.lost(worker, "killed")

    for worker, dies in steps:
        step(worker, dies)
    for turn in range(5000):
        if book.done:
            break
        step(turn % 3, False)
    assert book.done
    assert sorted(done) == sorted(map(str, range(count)))
    assert set(rescued) <= {str(killer) for killer in killers}
