"""Rows that a table lacks are decoded, encoded and written, part by part; one bad input costs one row."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from multimodal_search.embedding.isolation import encode_isolating
from multimodal_search.embedding.prefetch import prefetch
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import EncoderError, OutputError, ProjectError, SkipInput
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


@dataclass(frozen=True, slots=True)
class _Prepared:
    row: Row
    ready: Any = None
    reason: str | None = None


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
    decode: Callable[[Row], Any],
    encoder: FrozenEncoder,
    writer: TableWriter,
    *,
    batch_size: int = 32,
    num_workers: int = 2,
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
        decode: makes the encoder's raw input of a row, in threads; raises SkipInput for an unusable one.
        batch_size: inputs a forward pass.
        num_workers: decoding threads; 0 decodes in this thread.
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
        with _Run(encoder, writer, failures, part_seconds) as run:
            jobs = (rows[i] for part in plan for batch in part for i in batch)
            ahead = batch_size + 2 * num_workers
            prepared = prefetch(jobs, _preparing(decode, encoder), num_workers=num_workers, ahead=ahead)
            with contextlib.closing(prepared), _bar(encoder, total, progress) as bar:
                for part in plan:
                    for batch in part:
                        run.encode(prepared, len(batch))
                        bar.set_postfix(failed=len(failures), refresh=False)
                        bar.update(len(batch))
                    run.flush()
            run.report(num_workers)
    if total or failures:
        writer.write_failures(failures)
    return failures


def _bar(encoder: FrozenEncoder, total: int, progress: bool) -> Any:
    return tqdm(
        total=total,
        desc=f"{encoder.card.modality} {encoder.card.name}",
        unit="row",
        disable=not progress,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,  # a log file needs no animation
    )


def _preparing(decode: Callable[[Row], Any], encoder: FrozenEncoder) -> Callable[[Row], _Prepared]:
    def prepare(row: Row) -> _Prepared:
        try:
            return _Prepared(row, encoder.preprocess(decode(row)))
        except SkipInput as skip:
            return _Prepared(row, reason=skip.reason)
        except ProjectError:  # a missing package, an unreachable store: no matter of one input
            raise
        except Exception as error:
            return _Prepared(row, reason=f"cannot be prepared: {type(error).__name__}: {error}")

    return prepare


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
        self._last_part = time.monotonic()
        self._stored = 0
        self._hopeless = 0
        self._decode_seconds = self._encode_seconds = 0.0

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

    def encode(self, prepared: Iterable[_Prepared], count: int) -> None:
        """Take ``count`` prepared inputs as one batch."""
        begin = time.monotonic()
        batch = list(islice(prepared, count))
        waited = time.monotonic()
        usable = [one for one in batch if one.reason is None]
        self._failures += [one.row.failure(one.reason) for one in batch if one.reason is not None]
        if usable:
            known = len(self._failures)
            self._keep(usable, encode_isolating(self._encoder, [one.ready for one in usable]))
            self._give_up_if_hopeless(len(self._failures) - known == len(usable))
        self._decode_seconds += waited - begin
        self._encode_seconds += time.monotonic() - waited
        if time.monotonic() - self._last_part > self._part_seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is finished as a part."""
        if self._finished:
            rows = [row for batch, _ in self._finished for row in batch]
            vectors = np.concatenate([one for _, one in self._finished])
            self._writer.add([row.id for row in rows], [row.key for row in rows], vectors)
            self._stored += len(rows)
            self._finished = []
        self._last_part = time.monotonic()

    def report(self, num_workers: int) -> None:
        """Say so when decoding, not the model, set the speed."""
        both = self._decode_seconds + self._encode_seconds
        if num_workers and both > 10.0 and self._decode_seconds > 0.5 * both:
            _log.warning(
                "%.0f %% of the time went into waiting for %d decoding threads: raise --num-workers",
                100 * self._decode_seconds / both,
                num_workers,
            )

    def _keep(self, usable: Sequence[_Prepared], results: Sequence[FloatArray | str]) -> None:
        rows, vectors = [], []
        for one, result in zip(usable, results, strict=True):
            if isinstance(result, str):
                self._failures.append(one.row.failure(result))
            else:
                rows.append(one.row)
                vectors.append(result)
        if rows:
            self._finished.append((rows, np.stack(vectors)))  # one step: Ctrl-C may come between any two

    def _give_up_if_hopeless(self, whole_batch_failed: bool) -> None:
        self._hopeless = self._hopeless + 1 if whole_batch_failed else 0
        if self._hopeless >= _HOPELESS_BATCHES and not self._stored and not self._finished:
            raise EncoderError(
                f"The encoder failed on every one of its first inputs: {self._failures[-1].reason}.",
                where=self._encoder.card.name,
                remedy="check the encoder, its weights and its device",
            )
