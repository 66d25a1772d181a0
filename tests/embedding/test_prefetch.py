"""Results come in order, never too many at a time, and threads end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from multimodal_search.embedding.prefetch import prefetch


@pytest.mark.parametrize("num_workers", [0, 1, 4])
def test_order_is_kept(num_workers: int) -> None:
    def slow_first(i: int) -> int:
        time.sleep(0.02 if i % 7 == 0 else 0)
        return i * i

    assert list(prefetch(range(50), slow_first, num_workers=num_workers, ahead=8)) == [
        i * i for i in range(50)
    ]


@pytest.mark.parametrize("num_workers", [0, 3])
def test_an_endless_input_is_read_only_a_bounded_way_ahead(num_workers: int) -> None:
    taken = 0

    def jobs() -> Iterator[int]:
        nonlocal taken
        for i in itertools.count():
            taken = i + 1
            yield i

    results = prefetch(jobs(), lambda i: i, num_workers=num_workers, ahead=10)
    for i in range(100):
        assert next(results) == i
        assert taken <= i + 1 + 10
    results.close()


def test_error_of_the_work_is_raised_in_place_and_threads_end() -> None:
    def work(i: int) -> int:
        if i == 5:
            raise OSError("disk on fire")
        return i

    results = prefetch(range(10**9), work, num_workers=4, ahead=16)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="disk on fire"):
        next(results)
    while any(thread.name.startswith("decode") for thread in threading.enumerate()):
        time.sleep(0.01)  # the suite's own time limit ends this


def test_nothing_to_do() -> None:
    assert list(prefetch([], str, num_workers=2, ahead=4)) == []
