"""A bar with rate, failures, time left and what bounds the run; the same facts at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from multimodal_search.embedding.tasks import Progress, Stage

ADVICE: dict[Stage, str] = {
    "reading": "more --num-threads, or files that are nearer",
    "decoding": "more --num-workers, more cores, or --decode fast",
    "model": "a GPU (or another one), --precision bf16 or fp16, or a smaller model",
    "writing": "a faster --out",
}


class Meter:
    """Counts rows over all workers.

    Args:
        total: asked again and again: a long listing is counted while the work goes on.
    """

    def __init__(self, total: Callable[[], int | None], unit: str, *, show: bool) -> None:
        self._total = total
        self._seconds: dict[Stage, float] = dict.fromkeys(ADVICE, 0.0)
        self._begin: float | None = None
        self.rows = self.failed = self.found = 0
        self._bar: Any = tqdm(
            total=total(),
            unit=f" {unit}",
            desc="embedding",
            disable=not show,
            mininterval=0.2 if sys.stderr.isatty() else 10.0,  # a log file needs no animation
            smoothing=0.05,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def start(self) -> None:
        """Workers are up: the clock of the rate starts."""
        self._begin = time.monotonic()
        self._bar.unpause()

    def skip(self, rows: int) -> None:
        """Inputs that are in the table already: they count for the bar, not for the rate."""
        self.found += rows
        self._bar.initial += rows
        self._bar.update(rows)

    def add(self, progress: Progress) -> None:
        """A worker's news."""
        self.rows += progress.rows
        self.failed += progress.failed
        for stage, seconds in progress.seconds.items():
            self._seconds[stage] += seconds
        self._bar.set_postfix_str(f"failed {self.failed}, bound by {self.bound}", refresh=False)
        self._bar.total = self._total()
        self._bar.update(progress.rows)

    @property
    def bound(self) -> Stage:
        """The stage that the workers spent most time on or waiting for."""
        return max(ADVICE, key=lambda stage: self._seconds[stage])

    @property
    def bound_share(self) -> float:
        """Of the workers' time, 0 .. 1."""
        total = sum(self._seconds.values())
        return self._seconds[self.bound] / total if total > 0 else 0.0

    @property
    def rows_per_second(self) -> float:
        """Since ``start``."""
        if self._begin is None:
            return 0.0
        return self.rows / max(time.monotonic() - self._begin, 1e-9)
