"""The overlapped pipe: files are read, decoded and encoded at the same time, in order, in bounded memory.

Reading threads wait for disks or S3; decoding threads use the processors; the calling thread feeds the model
and collects a batch's vectors while the next batch is computed. Threads, since readers, image decoders and
torch let go of the interpreter's lock, and nothing need be copied between processes.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from multimodal_search.embedding.isolation import encode_isolating
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import ProjectError, SkipInput
from multimodal_search.types import FloatArray

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Prepared:
    """One input on its way into the model.

    Attributes:
        ready: what the encoder takes; None where ``skip`` says why there is none.
        extra: what else was learned while it was read (its content's key, a hash).
    """

    ready: Any = None
    skip: SkipInput | None = None
    extra: Any = None


@dataclass(frozen=True, slots=True)
class Encoded(Generic[Row]):
    """A batch that is through: for each row its vector, or why it has none."""

    tag: Any
    rows: Sequence[Row]
    outcomes: Sequence[FloatArray | SkipInput]
    extras: Sequence[Any]
    reached_the_encoder: bool = True


@dataclass(slots=True)
class Seconds:
    """Where the time went: of the calling thread, and of the decoding threads together."""

    waiting_for_input: float = 0.0
    model: float = 0.0
    reading: float = 0.0
    decoding: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_decoding(self, reading: float, decoding: float) -> None:
        """Of one input, in whichever thread."""
        with self.lock:
            self.reading += reading
            self.decoding += decoding


Batch = tuple[Any, Sequence[Row]]
"""A tag that comes back with the result, and the rows."""

# None where the next batch is still to come: what is in flight may as well be collected
_Source = Generator[tuple[Batch[Row], list[Prepared]] | None, None, None]


def encode_stream(
    batches: Iterable[Batch[Row]],
    encoder: FrozenEncoder,
    read: Callable[[Row], Any],
    prepare: Callable[[Row, Any], Prepared],
    *,
    num_workers: int,
    num_threads: int,
    ahead: int,
    seconds: Seconds | None = None,
) -> Generator[Encoded[Row], None, None]:
    """Encode batches in order; the next ones are read and decoded meanwhile.

    Batches are taken in a thread of their own, so ``batches`` may wait for more to come while former ones go
    through; closing the generator drops what has not begun.

    Args:
        read: gets a row's raw content, in reading threads; raises SkipInput where it cannot be had.
        prepare: makes the encoder's input of a row and its content, in decoding threads; must not raise for
            an unusable input.
        num_workers: decoding threads; 0 reads and prepares in the calling thread.
        num_threads: reading threads.
        ahead: rows that may be in memory before they are encoded.
        seconds: where times are added up.

    Raises:
        ProjectError: no matter of one input: a missing package, a store that cannot be reached, an encoder
            whose output is not what its card says.
    """
    seconds = seconds or Seconds()
    one = partial(_prepared, prepare=prepare, seconds=seconds)
    if num_workers <= 0:
        source: _Source[Row] = (
            ((tag, rows), [one(row, partial(read, row)) for row in rows]) for tag, rows in batches
        )
    else:
        source = _prefetched(batches, read, one, num_workers, num_threads, ahead)
    with contextlib.closing(source):
        yield from _encoded(source, encoder, seconds)


def _encoded(source: _Source[Row], encoder: FrozenEncoder, seconds: Seconds) -> Iterator[Encoded[Row]]:
    """On a GPU one batch stays in flight: its vectors are collected when the next one has been started."""
    flying: Callable[[], Encoded[Row]] | None = None
    begin = time.monotonic()
    for item in source:
        got = time.monotonic()
        seconds.waiting_for_input += got - begin
        started = None if item is None else _started(item, encoder)
        ready, flying = (flying, started) if encoder.overlaps else (started, None)
        result = ready() if ready is not None else None
        seconds.model += time.monotonic() - got
        if result is not None:
            yield result
        begin = time.monotonic()
    if flying is not None:
        yield flying()


def _started(item: tuple[Batch[Row], list[Prepared]], encoder: FrozenEncoder) -> Callable[[], Encoded[Row]]:
    (tag, rows), prepared = item
    ready = [one.ready for one in prepared if one.skip is None]
    begun = _begun(encoder, ready) if ready else None

    def finish() -> Encoded[Row]:
        results = iter(encode_isolating(encoder, ready, begun) if ready else ())
        outcomes = [next(results) if one.skip is None else one.skip for one in prepared]
        return Encoded(tag, rows, outcomes, [one.extra for one in prepared], bool(ready))

    return finish


def _begun(encoder: FrozenEncoder, ready: Sequence[Any]) -> Callable[[], FloatArray]:
    """The forward pass is started; what goes wrong at once is raised when it is collected."""
    try:
        return encoder.begin(ready)
    except Exception as error:
        return partial(_raise, error)


def _raise(error: Exception) -> FloatArray:
    raise error


def _prepared(
    row: Row,
    content: Callable[[], Any],
    *,
    prepare: Callable[[Row, Any], Prepared],
    seconds: Seconds,
) -> Prepared:
    begin = got = time.monotonic()
    try:
        raw = content()
        got = time.monotonic()
        return prepare(row, raw)
    except SkipInput as skip:
        return Prepared(skip=skip)
    except ProjectError:
        raise
    except Exception as error:
        return Prepared(skip=SkipInput(f"cannot be prepared: {type(error).__name__}: {error}"))
    finally:
        seconds.add_decoding(got - begin, time.monotonic() - got)


def _prefetched(
    batches: Iterable[Batch[Row]],
    read: Callable[[Row], Any],
    one: Callable[[Row, Callable[[], Any]], Prepared],
    num_workers: int,
    num_threads: int,
    ahead: int,
) -> _Source[Row]:
    room = threading.Semaphore(max(1, ahead))
    # a batch, then the futures of its rows, as they come; None at the end
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stopped = threading.Event()
    readers = ThreadPoolExecutor(num_threads, thread_name_prefix="read")
    decoders = ThreadPoolExecutor(num_workers, thread_name_prefix="decode")

    def feed() -> None:
        try:
            for batch in batches:
                waiting.put(batch)
                for row in batch[1]:
                    room.acquire()
                    if stopped.is_set():
                        return
                    content = readers.submit(read, row)
                    waiting.put(decoders.submit(one, row, content.result))
            waiting.put(None)
        except BaseException as error:
            waiting.put(error)

    # a daemon: it may be waiting for a batch that never comes
    threading.Thread(target=feed, name="feed", daemon=True).start()
    try:
        while True:
            if waiting.empty():
                yield None
            if (batch := _next(waiting)) is None:
                return
            prepared = []
            for _ in batch[1]:
                prepared.append(_next(waiting).result())
                room.release()
            yield batch, prepared
    finally:
        stopped.set()
        room.release()
        readers.shutdown(wait=False, cancel_futures=True)
        decoders.shutdown(wait=False, cancel_futures=True)


def _next(waiting: queue.SimpleQueue[Any]) -> Any:
    item = waiting.get()
    if isinstance(item, BaseException):
        raise item
    return item
