"""A worker of bulk embedding: parts in, parts written; reading, decoding, model and writing overlap."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image

from multimodal_search import encoders
from multimodal_search.embedding.part import Part
from multimodal_search.embedding.pipeline import hopeless
from multimodal_search.embedding.preparing import prepare_image, prepare_text
from multimodal_search.embedding.reading import Content, read_input
from multimodal_search.embedding.stream import Encoded, Prepared, Seconds, encode_stream
from multimodal_search.embedding.tasks import Hello, PartDone, PartTask, Progress
from multimodal_search.embedding.unfinished import Checkpoints
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.engines import Place, Report
from multimodal_search.storage import S3Options, Store, configure_s3, open_store
from multimodal_search.tables import PartInfo
from multimodal_search.types import Input, Modality, Pool

CHECKPOINT_SECONDS = 2.0
_HOPELESS_BATCHES = 3
_PARTS_IN_WRITING = 1  # less than an engine hands out ahead: a report is what brings the next task


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """Which encoder, in the words of ``encoders.build``."""

    name: str
    modality: Modality
    weights: str | None = None
    pool: Pool = "default"
    options: Mapping[str, Any] = field(default_factory=dict)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False

    def build(self, device: str) -> tuple[FrozenEncoder, str]:
        """The encoder, its weights loaded, and its precision.

        Raises:
            EncoderError: see ``encoders.build``.
        """
        precision = self.precision
        if precision == "auto":
            precision = "fp16" if device.startswith("cuda") else "fp32"
        encoder = encoders.build(
            self.name,
            self.modality,
            self.weights,
            device,
            pool=self.pool,
            precision=precision,
            compile=self.compile,
            **self.options,
        )
        return encoder, precision


@dataclass(frozen=True, slots=True)
class BuildWorker:
    """Makes a worker where an engine wants one; holds settings, never a live model.

    Attributes:
        store_url: the folder or ``s3://`` prefix that parts go to.
        unfinished: a local folder for checkpoints of parts; None keeps none.
        batch_size: inputs a forward pass.
        fast: decode JPEGs at a reduced scale where that is enough.
    """

    encoder: EncoderChoice
    store_url: str
    s3: S3Options
    unfinished: Path | None = None
    batch_size: int = 32
    num_workers: int = 2
    num_threads: int = 8
    fast: bool = True
    phash: bool = False

    def __call__(self, place: Place) -> Embedder:
        configure_s3(self.s3)
        encoder, precision = self.encoder.build(place.device)
        at_least_px = encoder.decode_at_least_px if self.fast else None
        _warm_up(encoder)
        hello = Hello(encoder.card, encoder.fingerprint, place.device, precision, at_least_px)
        return Embedder(self, encoder, hello)


def _warm_up(encoder: FrozenEncoder) -> None:
    """One small pass before the clock starts: the first one picks kernels and takes memory."""
    if encoder.card.modality is not Modality.IMAGE:
        return
    with contextlib.suppress(
        Exception
    ):  # what fails here fails again with the first batch, and is told there
        encoder.encode([encoder.preprocess(Image.new("RGB", (64, 64)))])


class _Tag(NamedTuple):
    part: Part
    number: int  # of the batch in its part; -1 for none


class Embedder:
    """See ``engines.Worker``: computes parts and writes them to the store."""

    def __init__(self, settings: BuildWorker, encoder: FrozenEncoder, hello: Hello) -> None:
        self.hello = hello
        self._settings = settings
        self._encoder = encoder
        self._store: Store = open_store(settings.store_url)
        self._seconds = Seconds()
        self._waiting_for_writer = 0.0
        self._told = self._totals()
        self._hopeless = 0
        self._succeeded = False
        self._checkpoint_at = time.monotonic()

    def run(self, tasks: Iterable[PartTask]) -> Iterator[Report]:
        """See ``engines.Worker``; values are ``Progress``, and ``PartDone`` of a part that is written."""
        settings = self._settings
        encoded = encode_stream(
            self._batches(tasks),
            self._encoder,
            read_input,
            preparing(settings, self._encoder),
            num_workers=settings.num_workers,
            num_threads=settings.num_threads,
            ahead=2 * settings.batch_size + settings.num_workers + settings.num_threads,
            seconds=self._seconds,
        )
        writing: deque[tuple[Part, Future[PartInfo]]] = deque()
        writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        try:
            with contextlib.closing(encoded):
                for batch in encoded:
                    yield from self._take(batch, writer, writing)
            yield from self._written(writing, at_most=0)
        finally:
            writer.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Nothing is held beyond the process."""

    def _batches(self, tasks: Iterable[PartTask]) -> Iterator[tuple[_Tag, list[Input]]]:
        for task in tasks:
            part = Part(task, self._settings.batch_size, self._checkpoints(task))
            missing = part.missing_batches()
            for number, rows in missing:
                yield _Tag(part, number), rows
            if not missing:  # its end must be noticed all the same
                yield _Tag(part, -1), []

    def _take(
        self,
        batch: Encoded[Input],
        writer: ThreadPoolExecutor,
        writing: deque[tuple[Part, Future[PartInfo]]],
    ) -> Iterator[Report]:
        part, number = batch.tag
        if number >= 0:
            failed = part.take(number, batch)
            self._give_up_if_hopeless(batch, failed)
            yield Report(part.task.name, False, self._progress(part.size(number), failed))
        if part.complete:
            writing.append((part, writer.submit(part.write, self._store)))
        elif time.monotonic() - self._checkpoint_at > CHECKPOINT_SECONDS:
            self._checkpoint_at = time.monotonic()
            writer.submit(part.checkpoint)
        yield from self._written(writing, at_most=_PARTS_IN_WRITING)

    def _written(self, writing: deque[tuple[Part, Future[PartInfo]]], *, at_most: int) -> Iterator[Report]:
        """Report the parts that are stored; wait while more than ``at_most`` are on their way."""
        while writing and (len(writing) > at_most or writing[0][1].done()):
            part, future = writing.popleft()
            begin = time.monotonic()
            info = future.result()
            self._waiting_for_writer += time.monotonic() - begin
            rows = part.restored_rows
            done = PartDone(info, len(part.failures), self._progress(rows, part.restored_failed))
            yield Report(part.task.name, True, done)

    def _checkpoints(self, task: PartTask) -> Checkpoints:
        if self._settings.unfinished is None:
            return Checkpoints(None)
        # batches of another size, encoder or precision are of no use to this run
        what = [task.info.fingerprint, task.info.dtype, dict(task.info.settings), self._settings.batch_size]
        what += [sorted(task.excluded), [one.id for one in task.inputs]]
        digest = hashlib.sha256(json.dumps(what, default=str).encode("utf-8", "surrogatepass")).hexdigest()
        return Checkpoints(self._settings.unfinished / f"{task.name}-{digest[:12]}")

    def _give_up_if_hopeless(self, batch: Encoded[Input], failed: int) -> None:
        if not batch.reached_the_encoder:
            return
        self._succeeded = self._succeeded or failed < len(batch.rows)
        self._hopeless = 0 if self._succeeded else self._hopeless + 1
        if self._hopeless >= _HOPELESS_BATCHES:
            reason = next((one.reason for one in batch.outcomes if isinstance(one, Exception)), "")
            raise hopeless(self._encoder, reason)

    def _totals(self) -> dict[str, float]:
        return {
            "input": self._seconds.waiting_for_input,
            "reading": self._seconds.reading,
            "decoding": self._seconds.decoding,
            "model": self._seconds.model,
            "writing": self._waiting_for_writer,
        }

    def _progress(self, rows: int, failed: int) -> Progress:
        """What is new; the wait for input is shared out by what the decoding threads did meanwhile."""
        now = self._totals()
        new = {name: now[name] - self._told[name] for name in now}
        self._told = now
        busy = new["reading"] + new["decoding"]
        reading = new["input"] * new["reading"] / busy if busy > 0 else 0.0
        return Progress(
            rows,
            failed,
            {
                "reading": reading,
                "decoding": new["input"] - reading,
                "model": new["model"],
                "writing": new["writing"],
            },
        )


def preparing(settings: BuildWorker, encoder: FrozenEncoder) -> Callable[[Input, Content], Prepared]:
    """What makes the encoder's input of an input's content; for decoding threads."""
    if encoder.card.modality is Modality.TEXT:
        return partial(prepare_text, encoder=encoder)
    return partial(prepare_image, encoder=encoder, fast=settings.fast, phash=settings.phash)
