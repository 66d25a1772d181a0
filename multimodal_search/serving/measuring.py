"""What ``/metrics`` tells: requests, and the time of each step."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    multiprocess,
)

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SHARED = "PROMETHEUS_MULTIPROC_DIR"  # where several processes add theirs up; prometheus_client's own name


class Metrics:
    """Counts and times of one application."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self._requests = Counter(
            "multimodal_search_requests", "Requests answered", ["method", "route", "status"], registry=own
        )
        self._seconds = Histogram(
            "multimodal_search_request_seconds", "Time to answer", ["route"], buckets=_BUCKETS, registry=own
        )
        self._steps = Histogram(
            "multimodal_search_step_seconds", "Time of a step", ["step"], buckets=_BUCKETS, registry=own
        )
        self._batch = Histogram(
            "multimodal_search_encoded_together",
            "Parts of queries in one pass of an encoder",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=own,
        )
        self._reloads = Counter("multimodal_search_reloads", "Bundles swapped in", ["done"], registry=own)
        self._working = Gauge(
            "multimodal_search_requests_at_work", "At this moment", registry=own, multiprocess_mode="livesum"
        )

    @contextmanager
    def step(self, name: str, took_ms: dict[str, float] | None = None) -> Iterator[None]:
        """Time a block; also into ``took_ms``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            self._steps.labels(name).observe(seconds)
            if took_ms is not None:
                took_ms[name] = round(1000 * seconds, 3)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One that was answered.

        Args:
            route: with its parameters' names, not their values: one line a route.
        """
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def working(self, change: int) -> None:
        """One more request at work, or one less."""
        self._working.inc(change)

    def encoded(self, parts: int) -> None:
        """One pass of an encoder."""
        self._batch.observe(parts)

    def reloaded(self, *, done: bool) -> None:
        """A changed bundle: swapped in, or not usable."""
        self._reloads.labels("yes" if done else "no").inc()

    def text(self) -> bytes:
        """In Prometheus' format; of all processes where there are several."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        collector: Any = multiprocess.MultiProcessCollector
        collector(registry)
        return generate_latest(registry)
