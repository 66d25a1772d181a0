"""Queries that arrive together are encoded together: one forward pass for all that wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from multimodal_search.search.parts import Part
from multimodal_search.search.space import CommonSpace
from multimodal_search.types import FloatArray, Modality

_MOST = 32  # more in one pass gain little, and the first of them waits for the last


class Batcher:
    """Encodes parts of queries, for many threads.

    Nobody waits for company: who finds the encoder free takes all that is waiting, and whoever comes
    meanwhile waits for the next turn. A query that is alone is as quick as without.

    Args:
        told: called with the number of parts of each pass.
    """

    def __init__(self, common: CommonSpace, told: Callable[[int], None] = lambda _: None) -> None:
        self._common = common
        self._told = told
        self._waiting: dict[Modality, deque[tuple[Any, Future[FloatArray]]]] = {
            one: deque() for one in Modality
        }
        self._turn = {one: threading.Lock() for one in Modality}

    def vector(self, part: Part) -> FloatArray:
        """(dim,) of length one: words, a picture or a signal.

        Raises:
            SettingsError, DataError, EncoderError: as ``CommonSpace.vector``.
        """
        modality, ready = self._common.ready(part)
        own: Future[FloatArray] = Future()
        self._waiting[modality].append((ready, own))
        while not own.done():
            with self._turn[modality]:
                if not own.done():
                    self._encode(modality)
        return own.result()

    def _encode(self, modality: Modality) -> None:
        waiting = self._waiting[modality]
        taken = [waiting.popleft() for _ in range(min(_MOST, len(waiting)))]
        self._told(len(taken))
        try:
            vectors = self._common.vectors(modality, [ready for ready, _ in taken])
        except Exception as error:  # it is raised to each who asked
            for _, future in taken:
                future.set_exception(error)
            return
        for (_, future), vector in zip(taken, vectors, strict=True):
            future.set_result(vector)
