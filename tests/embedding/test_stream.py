"""The pipe keeps order, overlaps, bounds its memory, isolates bad inputs, and never waits for itself."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from multimodal_search.embedding.stream import Encoded, Prepared, Seconds, encode_stream
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import DataError, SkipInput
from multimodal_search.types import EncoderCard, FloatArray, Modality


class Squares(FrozenEncoder):
    """(number) -> (number, its square); 13 breaks a batch. ``overlaps`` as on a GPU."""

    overlaps = True
    card = EncoderCard("test/squares", "none", Modality.TEXT, dim=2, normalise=False)
    fingerprint = "squares"

    def preprocess(self, raw: Any) -> Any:
        return raw

    def encode(self, ready: Sequence[Any]) -> FloatArray:
        if 13 in ready:
            raise RuntimeError("unlucky")
        return np.array([[one, one * one] for one in ready], dtype=np.float32).reshape(-1, 2)


def go(
    batches: Any,
    *,
    read: Callable[[int], Any] = lambda row: row,
    workers: int = 2,
    ahead: int = 6,
    seconds: Seconds | None = None,
) -> Generator[Encoded[int], None, None]:
    return encode_stream(
        batches,
        Squares(),
        read,
        lambda row, raw: Prepared(raw, extra=f"extra {row}"),
        num_workers=workers,
        num_threads=3,
        ahead=ahead,
        seconds=seconds,
    )


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("ahead", [1, 4, 100])
def test_rows_come_back_in_order_with_their_tag_and_extras(workers: int, ahead: int) -> None:
    batches = [("a", [1, 2, 3]), ("b", []), ("c", [4]), ("d", list(range(20, 60)))]
    out = list(go(iter(batches), workers=workers, ahead=ahead))
    assert [(one.tag, list(one.rows)) for one in out] == batches
    assert [one.reached_the_encoder for one in out] == [True, False, True, True]
    for one in out:
        assert [list(vector) for vector in one.outcomes] == [[row, row * row] for row in one.rows]
        assert list(one.extras) == [f"extra {row}" for row in one.rows]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_input_costs_one_row(workers: int) -> None:
    def read(row: int) -> int:
        if row == 2:
            raise SkipInput("gone", again=True)
        if row == 5:
            raise ValueError("odd")
        return row

    out = list(go([(0, [1, 2, 3]), (1, [12, 13, 14]), (2, [5, 6])], read=read, workers=workers))
    reasons = {
        row: outcome.reason
        for one in out
        for row, outcome in zip(one.rows, one.outcomes, strict=True)
        if isinstance(outcome, SkipInput)
    }
    assert set(reasons) == {2, 13, 5}
    assert reasons[2] == "gone"
    assert "unlucky" in reasons[13]
    assert "ValueError: odd" in reasons[5]


def test_a_project_error_ends_the_stream() -> None:
    def read(row: int) -> int:
        raise DataError("the store is down")

    with pytest.raises(DataError, match="the store is down"):
        list(go([(0, [1])], read=read))


def test_an_error_of_whoever_gives_the_batches_arrives() -> None:
    def batches() -> Iterator[tuple[int, list[int]]]:
        yield 0, [1]
        raise RuntimeError("the plan broke")

    stream = go(batches())
    with pytest.raises(RuntimeError, match="the plan broke"):
        list(stream)


def test_rows_in_memory_are_bounded() -> None:
    lock, reading, most = threading.Lock(), 0, 0

    def read(row: int) -> int:
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        return row

    taken = 0
    for one in go(((i, [i]) for i in range(300)), read=read, ahead=10):
        taken += len(one.rows)
        with lock:
            assert reading - taken <= 10 + 2  # those in the model besides
    assert taken == 300


def test_a_finished_batch_is_handed_over_while_the_next_one_is_still_to_come() -> None:
    """Else a coordinator that sends a task only after an answer would wait for ever."""
    tasks: queue.Queue[tuple[int, list[int]] | None] = queue.Queue()

    def batches() -> Iterator[tuple[int, list[int]]]:
        while (task := tasks.get()) is not None:
            yield task

    stream = go(batches())
    answers: queue.Queue[Encoded[int] | None] = queue.Queue()

    def consume() -> None:
        for one in stream:
            answers.put(one)
        answers.put(None)

    threading.Thread(target=consume, daemon=True).start()
    for number in range(5):
        tasks.put((number, [number]))
        answer = answers.get(timeout=20)
        assert answer is not None
        assert answer.tag == number
    tasks.put(None)
    assert answers.get(timeout=20) is None


def test_closing_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    stream = go((i, [i]) for i in range(10_000))
    next(stream)
    stream.close()
    until = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_waiting_for_slow_reading_is_counted_as_that() -> None:
    def read(row: int) -> int:
        time.sleep(0.02)
        return row

    seconds = Seconds()
    list(go([(0, list(range(8))), (1, list(range(20, 28)))], read=read, seconds=seconds))
    assert seconds.waiting_for_input > seconds.model
    assert seconds.reading > seconds.decoding
