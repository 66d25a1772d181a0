"""Which input ends the process that decodes it: found in a process that may die, one after the other."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from multimodal_search.embedding.images import decode
from multimodal_search.embedding.reading import read_input
from multimodal_search.embedding.tasks import PartTask
from multimodal_search.errors import SkipInput
from multimodal_search.storage import S3Options, configure_s3
from multimodal_search.types import Input, Modality

_log = logging.getLogger(__name__)

_MOST_CULPRITS = 100
REASON = "decoding it ends the process (a fault in an image library)"

Probe = Callable[[Input], object]


def rescue(task: PartTask, s3: S3Options, at_least_px: tuple[int, int] | None) -> PartTask | None:
    """The task without the inputs that kill their worker; None where decoding is not what kills it."""
    if task.info.card is None or task.info.card.modality is not Modality.IMAGE:
        return None
    _log.warning("%s has ended several workers: looking for the input that does it", task.name)
    culprits = find_culprits(
        [one for one in task.inputs if one.id not in task.excluded], _Decode(s3, at_least_px)
    )
    for one in culprits:
        _log.warning("%s is left out: %s", one.id, REASON)
    return task.without({one.id: REASON for one in culprits}) if culprits else None


def find_culprits(inputs: Sequence[Input], probe: Probe) -> list[Input]:
    """Inputs whose probing ends a process. ``probe`` is picklable; what it raises is of no interest."""
    culprits: list[Input] = []
    start = 0
    while start < len(inputs) and len(culprits) < _MOST_CULPRITS:
        died_at = _first_death(inputs[start:], probe)
        if died_at is None:
            break
        culprits.append(inputs[start + died_at])
        start += died_at + 1
    return culprits


def _first_death(inputs: Sequence[Input], probe: Probe) -> int | None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_probe_all, args=(list(inputs), probe, theirs), daemon=True)
    child.start()
    theirs.close()
    at = -1
    try:
        while True:
            at = ours.recv()
    except EOFError:
        pass
    finally:
        ours.close()
        child.join()
    return at if child.exitcode != 0 and 0 <= at < len(inputs) else None


def _probe_all(inputs: Sequence[Input], probe: Probe, progress: Connection) -> None:
    for number, one in enumerate(inputs):
        progress.send(number)
        try:
            probe(one)
        except Exception:  # an input that merely fails is the worker's to list
            continue


class _Decode:
    def __init__(self, s3: S3Options, at_least_px: tuple[int, int] | None) -> None:
        self._s3 = s3
        self._at_least_px = at_least_px

    def __call__(self, one: Input) -> None:
        configure_s3(self._s3)
        try:
            raw = read_input(one).raw
        except SkipInput:
            return
        decode(raw, at_least_px=self._at_least_px)
