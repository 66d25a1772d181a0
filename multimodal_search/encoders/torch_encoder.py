"""What the encoders that are torch modules share: freezing, devices, batches in and numpy out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.encoders.fingerprint import fingerprint, weights_of
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.errors import EncoderError, SkipInput
from multimodal_search.types import EncoderCard, FloatArray

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def freeze(module: nn.Module, device: str) -> nn.Module:
    """The module in float32 on ``device``, in evaluation mode, without gradients.

    Raises:
        EncoderError: the device is not there.
    """
    try:
        return module.eval().requires_grad_(False).float().to(device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(
            f"The encoder cannot be put on device {device!r}: {error}", remedy="--device cpu or --device auto"
        ) from error


class TorchEncoder(FrozenEncoder):
    """A frozen torch module behind ``encode``.

    Args:
        module: the network; frozen here, and where the precision is not fp32 converted in place.
        runtime: where and how it runs.
        settings: what decides the output besides the weights, for the fingerprint.
        own: which weights of the module, by name, are this encoder's; all where None.
    """

    def __init__(
        self,
        card: EncoderCard,
        module: nn.Module,
        runtime: Runtime,
        settings: Mapping[str, Any],
        own: Callable[[str], bool] | None = None,
    ) -> None:
        self.card = card
        self.device = torch.device(runtime.device)
        self.overlaps = self.device.type == "cuda"
        self.precision = runtime.precision
        self._dtype = _DTYPES[runtime.precision]
        self._module = freeze(module, runtime.device)
        self._settings = {"modality": card.modality.value, "pool": card.pool, **settings}
        self._own = own
        if self._dtype is not torch.float32:
            _ = self.fingerprint  # of the weights as they are; a rounded copy is the same encoder
            self._module.to(self._dtype)
        if self.device.type == "cuda":  # convolutions on tensor cores want it
            self._module.to(memory_format=torch.channels_last)
        self._compiled: Callable[..., Tensor] | None = torch.compile(self._run) if runtime.compile else None

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of settings and weights."""
        return fingerprint(self._settings, weights_of(self._module, self._own))

    def encode(self, ready: Sequence[Any]) -> FloatArray:
        """(batch, dim) float32; (0, dim) for an empty sequence."""
        return self._started(ready)()

    def begin(self, ready: Sequence[Any]) -> Callable[[], FloatArray]:
        """See ``FrozenEncoder.begin``."""
        collect = self._started(ready)
        return lambda: self._directed(collect())

    @torch.inference_mode()
    def _started(self, ready: Sequence[Any]) -> Callable[[], FloatArray]:
        if len(ready) == 0:
            return lambda: np.empty((0, self.card.dim), dtype=np.float32)
        inputs = self._inputs(ready)
        run = self._compiled or self._run
        if self.device.type != "cuda":
            output = run(**{name: one.to(self.device) for name, one in inputs.items()})
            result = output.float().cpu().numpy()
            return lambda: np.asarray(result, dtype=np.float32)
        with torch.cuda.device(self.device):
            moved = {
                name: one.pin_memory().to(self.device, non_blocking=True) for name, one in inputs.items()
            }
            output = run(**moved).float()
            host = torch.empty(output.shape, dtype=torch.float32, pin_memory=True)
            host.copy_(output, non_blocking=True)
            copied = torch.cuda.current_stream().record_event()

        def collect() -> FloatArray:
            copied.synchronize()
            return host.numpy().copy()  # pinned memory is scarce and goes back at once

        return collect

    @abstractmethod
    def _inputs(self, ready: Sequence[Any]) -> dict[str, Tensor]:
        """Preprocessed inputs -> the arguments of ``_run``, in the processor's memory."""

    @abstractmethod
    def _run(self, **inputs: Tensor) -> Tensor:
        """The forward pass, all on the device: -> (batch, dim), or (batch, patches, dim) for a grid."""


def checked_text(raw: Any) -> str:
    """A text without surrounding white space.

    Raises:
        SkipInput: nothing is left, or it is not a text.
    """
    if not isinstance(raw, str):
        raise SkipInput(f"not a text but {type(raw).__name__}")
    text = raw.strip()
    if not text:
        raise SkipInput("the text is empty")
    return text
