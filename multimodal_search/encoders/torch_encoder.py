"""What the encoders that are torch modules share: freezing, devices, batches in and numpy out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.encoders.fingerprint import fingerprint, weights_of
from multimodal_search.errors import EncoderError, SkipInput
from multimodal_search.types import EncoderCard, FloatArray


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
        module: the network; frozen here.
        device: torch's name of where it runs.
        settings: what decides the output besides the weights, for the fingerprint.
        own: which weights of the module, by name, are this encoder's; all where None.
    """

    def __init__(
        self,
        card: EncoderCard,
        module: nn.Module,
        device: str,
        settings: Mapping[str, Any],
        own: Callable[[str], bool] | None = None,
    ) -> None:
        self.card = card
        self.device = torch.device(device)
        self._module = freeze(module, device)
        self._settings = {"modality": card.modality.value, "pool": card.pool, **settings}
        self._own = own

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of settings and weights."""
        return fingerprint(self._settings, weights_of(self._module, self._own))

    @torch.inference_mode()
    def encode(self, ready: Sequence[Any]) -> FloatArray:
        """(batch, dim) float32; (0, dim) for an empty sequence."""
        if len(ready) == 0:
            return np.empty((0, self.card.dim), dtype=np.float32)
        output = self._forward(ready)
        return np.asarray(output.float().cpu().numpy(), dtype=np.float32)

    @abstractmethod
    def _forward(self, ready: Sequence[Any]) -> Tensor:
        """Preprocessed inputs -> (batch, dim) on any device."""


def checked_image(raw: Any) -> Image.Image:
    """An RGB picture.

    Raises:
        SkipInput: it is not a picture.
    """
    if not isinstance(raw, Image.Image):
        raise SkipInput(f"not a decoded picture but {type(raw).__name__}")
    return raw if raw.mode == "RGB" else raw.convert("RGB")


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
