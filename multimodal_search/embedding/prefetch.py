"""Preparing inputs in threads while the main thread encodes, with a bounded number of them in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def prefetch(
    jobs: Iterable[Job], work: Callable[[Job], Result], *, num_workers: int, ahead: int
) -> Generator[Result, None, None]:
    """``map(work, jobs)`` in order, computed by threads at most ``ahead`` jobs before they are asked for.

    Threads, since image decoders free the interpreter's lock and the results need no copy between processes.
    What ``work`` raises is raised here; closing the iterator drops what has not begun.

    Args:
        num_workers: threads; 0 works in the caller's thread when asked.
        ahead: how many results may wait, which bounds the memory.
    """
    if num_workers <= 0:
        yield from map(work, jobs)
        return
    jobs = iter(jobs)
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="decode")
    waiting: deque[Future[Result]] = deque()
    try:
        waiting.extend(pool.submit(work, job) for job in islice(jobs, max(1, ahead)))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, job) for job in islice(jobs, 1))
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
