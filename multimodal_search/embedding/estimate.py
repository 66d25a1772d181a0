"""How long the whole input would take, and what it would cost: from a few batches, timed here."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from multimodal_search.embedding.bulk import build_worker
from multimodal_search.embedding.destination import destination
from multimodal_search.embedding.reading import read_input
from multimodal_search.embedding.stream import encode_stream
from multimodal_search.embedding.worker import BuildWorker, preparing
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.engines.devices import devices_here
from multimodal_search.errors import DataError, SkipInput
from multimodal_search.settings import EmbedSettings
from multimodal_search.sources.inputs import Inputs, open_inputs
from multimodal_search.storage import S3Options, configure_s3, default_features_dir
from multimodal_search.types import Input, Modality

_SECONDS = 10.0  # of each measurement, about
_MOST_INPUTS = 2048


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine to rent.

    Attributes:
        flops: dense fp16 operations a second of its GPU, by its data sheet.
        dollars_an_hour: on demand, us-east-1, as listed in 2026; look it up before relying on it.
    """

    name: str
    flops: float
    vcpus: int
    dollars_an_hour: float


G6E_XLARGE = Machine("g6e.xlarge (L40S, 4 vCPU)", 362e12, 4, 1.861)
_UTILISATION = 0.35  # of the data sheet's operations, as vision transformers in half precision reach
_VCPU = 0.5  # of a core: a vCPU is one of its two threads


@dataclass(frozen=True, slots=True)
class Measured:
    """Inputs a second: of one core that reads and decodes, of the model on ready inputs, of all together."""

    per_core: float
    model: float
    together: float
    flops_an_input: float | None


def estimate(settings: EmbedSettings) -> str:
    """Time a few batches of the first inputs; nothing is written.

    Raises:
        DataError: no inputs, or the first ones are all unusable.
    """
    configure_s3(S3Options(**settings.s3_options()))
    inputs = open_inputs(settings, sample_dir=default_features_dir().parent / "sample")
    build = build_worker(settings, inputs.modality, destination(settings))
    encoder, precision = build.encoder.build(devices_here(settings.device)[0])
    measured = _measure(build, encoder, inputs)
    count = inputs.count
    lines = [
        f"{'an unknown number of' if count is None else count} {inputs.modality.value}s "
        f"through {encoder.card.name}",
        f"  reading and decoding: {measured.per_core:.1f} a second and core",
        f"  model: {measured.model:.1f} a second",
    ]
    bound = "the model" if measured.together > 0.8 * measured.model else "reading and decoding"
    here = f"this machine ({os.cpu_count()} cores, {devices_here(settings.device)[0]}, {precision})"
    lines.append(_line(here, measured.together, count, settings.hourly_price, bound))
    if measured.flops_an_input:
        model = _UTILISATION * G6E_XLARGE.flops / measured.flops_an_input
        processors = _VCPU * G6E_XLARGE.vcpus * measured.per_core
        bound = "the model" if model < processors else "reading and decoding"
        rate = min(model, processors)
        lines.append(_line(G6E_XLARGE.name, rate, count, G6E_XLARGE.dollars_an_hour, bound))
        lines.append(
            f"  the latter is arithmetic, not measured: {measured.flops_an_input / 1e9:.1f} GFLOP an input "
            f"at {_UTILISATION:.0%} of the GPU's data sheet, and {_VCPU} of a core here for a vCPU"
        )
    return "\n".join(lines)


def _line(machine: str, rate: float, count: int | None, dollars_an_hour: float, bound: str) -> str:
    text = f"  {machine}: {rate:.1f} a second, bound by {bound}"
    if count is not None:
        hours = count / rate / 3600
        text += f": {hours:.2f} h"
        if dollars_an_hour:
            text += f", ${hours * dollars_an_hour:.2f} at ${dollars_an_hour} an hour"
    return text


def _measure(build: BuildWorker, encoder: FrozenEncoder, inputs: Inputs) -> Measured:
    prepare = preparing(build, encoder)
    few: list[Input] = list(islice(iter(inputs), _MOST_INPUTS))
    ready: list[Any] = []
    begin = time.monotonic()
    for one in few:
        with contextlib.suppress(SkipInput):
            prepared = prepare(one, read_input(one))
            if prepared.skip is None:
                ready.append(prepared.ready)
        if time.monotonic() - begin > _SECONDS:
            break
    if not ready:
        raise DataError("None of the first inputs can be used.", where=inputs.root, remedy="embed says why")
    per_core = len(ready) / (time.monotonic() - begin)
    batch = (ready * (build.batch_size // len(ready) + 1))[: build.batch_size]
    encoder.embed(batch)  # the first pass chooses kernels, and compiles where asked
    model = _rate(lambda: encoder.embed(batch), len(batch))
    return Measured(per_core, model, _together(build, encoder, few, prepare), _flops(encoder, batch))


def _rate(work: Callable[[], object], count: int) -> float:
    begin, done = time.monotonic(), 0
    while time.monotonic() - begin < _SECONDS and (done < 32 * count):
        work()
        done += count
    return done / (time.monotonic() - begin)


def _together(build: BuildWorker, encoder: FrozenEncoder, few: list[Input], prepare: Any) -> float:
    size = build.batch_size
    batches = ((None, few[start : start + size]) for start in range(0, len(few), size))
    begin, done = time.monotonic(), 0
    stream = encode_stream(
        batches,
        encoder,
        read_input,
        prepare,
        num_workers=build.num_workers,
        num_threads=build.num_threads,
        ahead=2 * size + build.num_workers + build.num_threads,
    )
    with contextlib.closing(stream):
        for batch in stream:
            done += len(batch.rows)
            if time.monotonic() - begin > 2 * _SECONDS:
                break
    return done / (time.monotonic() - begin)


def _flops(encoder: FrozenEncoder, batch: list[Any]) -> float | None:
    """Operations of one input's forward pass, where torch can count them."""
    if encoder.card.modality is not Modality.IMAGE:
        return None
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        encoder.embed(batch[:1])
    return float(counter.get_total_flops()) or None
