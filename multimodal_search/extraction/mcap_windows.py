"""A stream of times -> windows of a fixed length and stride; a pause of the recording begins anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_PAUSE_SECONDS = 5.0  # without a sample of any topic that is used: no window reaches over it


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a recording; nanoseconds since the epoch.

    Attributes:
        end_ns: of the stretch that is there: earlier than the window's where the recording ends or pauses.
    """

    start_ns: int
    end_ns: int


class WindowCutter:
    """Closes windows as time passes.

    The first window of a stretch between pauses is there however short the stretch is. A later one needs all
    but half a stride of its length, at least half.

    Args:
        window_seconds: length.
        stride_seconds: from one start to the next.
        slack_seconds: how much later than its time a sample may come; 0 where times never go back.
    """

    def __init__(self, window_seconds: float, stride_seconds: float, *, slack_seconds: float = 0.0) -> None:
        self._window_ns = round(window_seconds * 1e9)
        self._stride_ns = max(round(stride_seconds * 1e9), 1)
        self._needed_ns = max(self._window_ns - self._stride_ns // 2, self._window_ns // 2)
        self._slack_ns = round(slack_seconds * 1e9)
        self._pause_ns = round(max(_PAUSE_SECONDS, slack_seconds) * 1e9)
        self._origin_ns: int | None = None
        self._last_ns = 0
        self._next_ns = 0  # start of the first window that is open

    @property
    def open_since_ns(self) -> int:
        """Earlier samples belong to no window that is still open."""
        return self._next_ns

    def pass_time(self, time_ns: int) -> Iterator[Window]:
        """A sample came: the windows that are over now. To be read before the sample is kept."""
        if self._origin_ns is None:
            self._begin(time_ns)
        elif time_ns > self._last_ns + self._pause_ns:
            yield from self.end()
            self._begin(time_ns)
        self._last_ns = max(self._last_ns, time_ns)
        while self._last_ns >= self._next_ns + self._window_ns + self._slack_ns:
            yield Window(self._next_ns, self._next_ns + self._window_ns)
            self._next_ns += self._stride_ns

    def end(self) -> Iterator[Window]:
        """Nothing follows: the windows that are left."""
        if self._origin_ns is None:
            return
        while self._next_ns <= self._last_ns:
            there_ns = self._last_ns - self._next_ns
            # a tenth of a second: the last sample comes a sample before the end of what it stands for
            if self._next_ns == self._origin_ns or there_ns + 100_000_000 >= self._needed_ns:
                yield Window(self._next_ns, min(self._next_ns + self._window_ns, self._last_ns + 1))
            self._next_ns += self._stride_ns
        self._origin_ns = None

    def _begin(self, time_ns: int) -> None:
        self._origin_ns = self._last_ns = self._next_ns = time_ns
