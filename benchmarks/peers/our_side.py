"""The same work done by this library: its reader alone, its encoder alone, and its whole command."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from multimodal_search import encoders
from multimodal_search.embedding.preparing import prepare_image
from multimodal_search.embedding.reading import read_input
from multimodal_search.embedding.stream import encode_stream
from multimodal_search.encoders import FrozenEncoder
from multimodal_search.types import FloatArray, Input, Modality

ROOT = Path(__file__).parents[2]
_TOLD = re.compile(r"(\d+) new at ([\d.]+) a second, bound by (\w+) \((\d+) %")


@dataclass(frozen=True, slots=True)
class Told:
    """What the command said at its end.

    Attributes:
        rate: inputs a second since the workers were up, until the table was whole.
        bound: the stage that bound it, as it names it.
        share: of the worker's time that went there, 0 .. 1.
        startup_seconds: the rest of the command's time: imports, loading the model, ending.
        processor_seconds: of all its processes, start-up included.
    """

    rate: float
    bound: str
    share: float
    startup_seconds: float
    processor_seconds: float


class _NoModel(FrozenEncoder):
    """The preprocessing of an encoder, and zeros."""

    def __init__(self, encoder: FrozenEncoder) -> None:
        self.card = encoder.card
        self._encoder = encoder

    @property
    def fingerprint(self) -> str:
        return self._encoder.fingerprint

    @property
    def decode_at_least_px(self) -> tuple[int, int] | None:
        return self._encoder.decode_at_least_px

    def preprocess(self, raw: object) -> object:
        return self._encoder.preprocess(raw)

    def encode(self, ready: Sequence[object]) -> FloatArray:
        return np.ones((len(ready), self.card.dim), np.float32)


def weights_of(model: str, folder: Path) -> Path:
    """Random weights of an open_clip model as a file, for both sides; no download."""
    path = folder / f"{model}.pt"
    if not path.exists():
        import open_clip

        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        torch.save(open_clip.create_model(model, pretrained=None).state_dict(), path)
    return path


def encoder_of(model: str, weights: Path) -> FrozenEncoder:
    """The image encoder on the processor."""
    return encoders.build(f"open_clip/{model}", Modality.IMAGE, str(weights), "cpu")


def inputs_of(folder: Path) -> list[Input]:
    """Every file as an input."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [Input(str(path.relative_to(folder)), location=str(path)) for path in files]


def read_seconds(
    encoder: FrozenEncoder, inputs: Sequence[Input], *, fast: bool, batch_size: int, num_workers: int
) -> float:
    """Reading, decoding and preprocessing alone: the job's own pipe with a model that does nothing."""
    stub = _NoModel(encoder)
    batches = [(None, inputs[at : at + batch_size]) for at in range(0, len(inputs), batch_size)]
    begin = time.perf_counter()
    stream = encode_stream(
        batches,
        stub,
        read_input,
        partial(prepare_image, encoder=stub, fast=fast, phash=False),
        num_workers=num_workers,
        num_threads=8,
        ahead=2 * batch_size,
    )
    done = sum(len(batch.outcomes) for batch in stream)
    seconds = time.perf_counter() - begin
    assert done == len(inputs)
    return seconds


def encoder_alone(encoder: FrozenEncoder, inputs: Sequence[Input], batch_size: int) -> Callable[[], float]:
    """A call that gives images/s of the model over these pictures, which are ready in memory."""
    one = partial(prepare_image, encoder=encoder, fast=True, phash=False)
    ready = [one(entry, read_input(entry)).ready for entry in inputs]
    batches = [ready[at : at + batch_size] for at in range(0, len(ready), batch_size)]
    encoder.embed(batches[0])

    def measure() -> float:
        begin = time.perf_counter()
        for batch in batches:
            encoder.embed(batch)
        return len(ready) / (time.perf_counter() - begin)

    return measure


def whole_job(model: str, weights: Path, folder: Path, out: Path, flags: Sequence[str]) -> Told:
    """``multimodal-search embed`` in a process of its own, from nothing.

    Raises:
        SystemExit: it failed, or did not say how fast it was.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "multimodal_search", "embed", "--image-dir", str(folder)]
    command += ["--encoder", f"open_clip/{model}", "--weights", str(weights), "--out", str(out), *flags]
    begin, busy = time.perf_counter(), _of_children()
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    told = _TOLD.search(done.stdout + done.stderr)
    if done.returncode or told is None:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    count, rate = int(told[1]), float(told[2])
    return Told(rate, told[3], int(told[4]) / 100, seconds - count / rate, _of_children() - busy)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
