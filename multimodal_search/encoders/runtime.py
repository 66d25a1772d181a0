"""Where and how a model runs: device, precision, compilation. Nothing here changes what a vector means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from multimodal_search.errors import EncoderError, nearest

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A place for one model.

    Attributes:
        device: torch's name, for example ``cpu`` or ``cuda:1``.
        precision: ``fp32``, ``bf16`` or ``fp16``, of weights and activations.
        compile: through ``torch.compile``.
    """

    device: str = "cpu"
    precision: str = "fp32"
    compile: bool = False


def runtime(device: str, precision: str, compile: bool) -> Runtime:
    """The runtime of these wishes; ``auto`` is fp16 on CUDA and fp32 elsewhere.

    Raises:
        EncoderError: unknown precision, or fp16 on a processor, which has no arithmetic for it.
    """
    known = get_args(Precision)
    if precision not in known:
        raise EncoderError(f"Unknown precision {precision!r}: {nearest(precision, known)}")
    on_gpu = device.startswith("cuda")
    if precision == "auto":
        precision = "fp16" if on_gpu else "fp32"
    if precision == "fp16" and not on_gpu:
        raise EncoderError(
            f"fp16 needs a CUDA device, and this model runs on {device!r}",
            remedy="--precision fp32, or bf16 where the processor has it (AVX512-BF16, AMX); auto chooses",
        )
    return Runtime(device, precision, compile)
