"""Rows that a table lacks are decoded, encoded and written, part by part; one bad input costs one row."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from multimodal_search.embedding.stream import Encoded, Prepared, Seconds, encode_stream
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import EncoderError, OutputError, SkipInput
from multimodal_search.tables import FeatureTable, TableWriter
from multimodal_search.types import Failure, FloatArray

_log = logging.getLogger(__name__)

ROWS_PER_PART = 4096
PART_SECONDS = 120.0
_HOPELESS_BATCHES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One input of an encoder and one row of its table.

    Attributes:
        id: unique in the table: the image's path, the text itself, or the item's id.
        key: changes when the input's content does.
        item_id: the first item that needs it, for the list of failures.
        path: the input's file, for the list of failures.
    """

    id: str
    key: str
    item_id: str
    path: str | None = None

    def failure(self, reason: str) -> Failure:
        """This row in the list of failures."""
        return Failure(self.item_id, self.path, reason)


def missing_rows(rows: Sequence[Row], table: FeatureTable) -> npt.NDArray[np.bool_]:
    """(n,) which rows the table lacks, or has from another content."""
    return table.locate([row.id for row in rows], [row.key for row in rows]) < 0


def plan_batches(
    missing: npt.NDArray[np.bool_], batch_size: int, rows_per_part: int
) -> Iterator[list[list[int]]]:
    """Parts to compute, each a list of batches of row positions.

    A batch's place follows from the position of its rows alone. A resumed run thus makes the same batches as
    an uninterrupted one, and the same bits, also where an encoder's rounding depends on the batch. Batches of
    which some rows are present (failed inputs, tried again) are packed together at the end.
    """
    per_part = max(1, rows_per_part // batch_size) * batch_size
    loose: list[int] = []
    for part in range(0, len(missing), per_part):
        batches = []
        for start in range(part, min(part + per_part, len(missing)), batch_size):
            wanted = np.flatnonzero(missing[start : start + batch_size]) + start
            if len(wanted) == min(batch_size, len(missing) - start):
                batches.append(wanted.tolist())
            else:
                loose.extend(wanted.tolist())
        if batches:
            yield batches
    for part in range(0, len(loose), per_part):
        some = loose[part : part + per_part]
        yield [some[start : start + batch_size] for start in range(0, len(some), batch_size)]


def embed_rows(
    rows: Sequence[Row],
    read: Callable[[Row], Any],
    encoder: FrozenEncoder,
    writer: TableWriter,
    *,
    decode: Callable[[Any], Any] | None = None,
    batch_size: int = 32,
    num_workers: int = 2,
    num_threads: int = 1,
    rows_per_part: int = ROWS_PER_PART,
    part_seconds: float = PART_SECONDS,
    progress: bool = True,
    failed_before: Sequence[Failure] = (),
) -> list[Failure]:
    """Compute the rows that the writer's table lacks.

    Every ``rows_per_part`` rows, or ``part_seconds`` seconds on a slow machine, what is finished becomes a
    part that survives a kill. Ctrl-C writes the finished batches first; the next run goes on from there.

    Args:
        rows: unique ids.
        read: gets a row's content, in reading threads; raises SkipInput where it cannot be had.
        decode: makes the encoder's raw input of the content, in decoding threads; raises SkipInput for an
            unusable one. None: the content is the input.
        batch_size: inputs a forward pass.
        num_workers: decoding threads; 0 reads and decodes in this thread.
        num_threads: reading threads: how many requests wait for an answer at the same time.
        progress: show a bar with rate and failures (never when there is nothing to do).
        failed_before: failures to list with those of this run.

    Returns:
        The rows that could not be embedded, and why; they are listed in ``failures.jsonl`` and tried again by
        the next run.

    Raises:
        EncoderError: the encoder fails on whatever it is given, or returns another shape than its card says.
        OutputError: the table cannot be written.
    """
    plan = list(plan_batches(missing_rows(rows, writer.table), batch_size, rows_per_part))
    failures = list(failed_before)
    total = sum(len(batch) for part in plan for batch in part)
    if total:
        seconds = Seconds()
        encoded = encode_stream(
            ((number, [rows[i] for i in batch]) for number, part in enumerate(plan) for batch in part),
            encoder,
            read=read,
            prepare=partial(_prepare, decode=decode, encoder=encoder),
            num_workers=num_workers,
            num_threads=num_threads,
            ahead=batch_size + 2 * max(num_workers, num_threads),
            seconds=seconds,
        )
        with (
            _Run(encoder, writer, failures, part_seconds) as run,
            contextlib.closing(encoded),
            _bar(encoder, total, progress) as bar,
        ):
            for batch in encoded:
                run.take(batch)
                bar.set_postfix(failed=len(failures), refresh=False)
                bar.update(len(batch.rows))
            run.flush()
        _report(seconds, num_workers, num_threads)
    if total or failures:
        writer.write_failures(failures)
    return failures


def _prepare(
    row: Row, content: Any, *, decode: Callable[[Any], Any] | None, encoder: FrozenEncoder
) -> Prepared:
    return Prepared(encoder.preprocess(content if decode is None else decode(content)))


def _bar(encoder: FrozenEncoder, total: int, progress: bool) -> Any:
    return tqdm(
        total=total,
        desc=f"{encoder.card.modality} {encoder.card.name}",
        unit="row",
        disable=not progress,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,  # a log file needs no animation
    )


class _Run:
    """Batches in, parts out; leaving it, however that comes, writes the batches that are finished."""

    def __init__(
        self, encoder: FrozenEncoder, writer: TableWriter, failures: list[Failure], part_seconds: float
    ) -> None:
        self._encoder = encoder
        self._writer = writer
        self._failures = failures
        self._part_seconds = part_seconds
        self._finished: list[tuple[list[Row], FloatArray]] = []
        self._part = 0
        self._last_part = time.monotonic()
        self._stored = 0
        self._hopeless = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, OutputError):
            return
        self.flush()
        if isinstance(error, KeyboardInterrupt):
            _log.warning(
                "stopped: %d new rows are kept in %s; the same command goes on from there",
                self._stored,
                self._writer.folder,
            )

    def take(self, batch: Encoded[Row]) -> None:
        """Keep a batch's vectors, list its failures, and write a part when one is complete or overdue."""
        if batch.tag != self._part or time.monotonic() - self._last_part > self._part_seconds:
            self.flush()
        self._part = batch.tag
        rows, vectors = [], []
        for row, outcome in zip(batch.rows, batch.outcomes, strict=True):
            if isinstance(outcome, SkipInput):
                self._failures.append(row.failure(outcome.reason))
            else:
                rows.append(row)
                vectors.append(outcome)
        if rows:
            self._finished.append((rows, np.stack(vectors)))  # one step: Ctrl-C may come between any two
        self._give_up_if_hopeless(batch)

    def flush(self) -> None:
        """Write what is finished as a part."""
        if self._finished:
            rows = [row for batch, _ in self._finished for row in batch]
            vectors = np.concatenate([one for _, one in self._finished])
            self._writer.add([row.id for row in rows], [row.key for row in rows], vectors)
            self._stored += len(rows)
            self._finished = []
        self._last_part = time.monotonic()

    def _give_up_if_hopeless(self, batch: Encoded[Row]) -> None:
        if not batch.reached_the_encoder:
            return
        failed = all(isinstance(outcome, SkipInput) for outcome in batch.outcomes)
        self._hopeless = self._hopeless + 1 if failed else 0
        if self._hopeless >= _HOPELESS_BATCHES and not self._stored and not self._finished:
            raise hopeless(self._encoder, self._failures[-1].reason)


def hopeless(encoder: FrozenEncoder, reason: str) -> EncoderError:
    """An encoder that fails on whatever it is given is not a matter of the inputs."""
    return EncoderError(
        f"The encoder failed on every one of its first inputs: {reason}.",
        where=encoder.card.name,
        remedy="check the encoder, its weights and its device",
    )


def _report(seconds: Seconds, num_workers: int, num_threads: int) -> None:
    """Say so when reading or decoding, not the model, set the speed."""
    both = seconds.waiting_for_input + seconds.model
    if not num_workers or both <= 10.0 or seconds.waiting_for_input <= 0.5 * both:
        return
    share = 100 * seconds.waiting_for_input / both
    if num_threads > 1 and seconds.reading > seconds.decoding:
        _log.warning("%.0f %% of the time went into waiting for S3: a machine in its region is nearer", share)
    else:
        _log.warning(
            "%.0f %% of the time went into waiting for %d decoding threads: raise --num-workers",
            share,
            num_workers,
        )
