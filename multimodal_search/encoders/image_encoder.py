"""What image encoders share: pictures stay 8-bit until they are on the device."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from multimodal_search.encoders.framing import Framing, Pixels
from multimodal_search.encoders.torch_encoder import TorchEncoder
from multimodal_search.errors import SkipInput


class ImageEncoder(TorchEncoder):
    """A torch module that takes pictures; a subclass sets ``framing`` before anything is preprocessed."""

    framing: Framing

    @property
    def decode_at_least_px(self) -> tuple[int, int] | None:
        """See ``FrozenEncoder``."""
        return self.framing.enough_px

    def preprocess(self, raw: Any) -> npt.NDArray[Any]:
        """See ``FrozenEncoder``: (height, width, 3) uint8."""
        if isinstance(raw, np.ndarray):
            return self._of_array(checked_pixels(raw))
        return self._of_image(checked_image(raw))

    def _of_image(self, picture: Image.Image) -> npt.NDArray[Any]:
        """As the library itself resizes it."""
        return self.framing.of_image(picture)

    def _of_array(self, pixels: Pixels) -> npt.NDArray[Any]:
        return self.framing.of_array(pixels)

    def _inputs(self, ready: Sequence[Any]) -> dict[str, Tensor]:
        return {"pixels": torch.from_numpy(np.stack(ready))}

    def _run(self, **inputs: Tensor) -> Tensor:
        return self._forward(self._normalised(inputs["pixels"]).to(self._dtype))

    def _normalised(self, pixels: Tensor) -> Tensor:
        """(batch, height, width, 3) uint8 -> (batch, 3, height, width), in the library's own steps."""
        return self._scaled(
            pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        )

    @abstractmethod
    def _scaled(self, pixels: Tensor) -> Tensor:
        """(batch, 3, height, width), 0 to 255 -> what the model takes; may change its argument."""

    @abstractmethod
    def _forward(self, pictures: Tensor) -> Tensor:
        """What the model takes -> (batch, dim), or (batch, patches, dim) for a grid."""


def channels(values: Sequence[float], device: torch.device) -> Tensor:
    """Three numbers, one a colour, (3, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


def checked_image(raw: Any) -> Image.Image:
    """An RGB picture.

    Raises:
        SkipInput: it is not a picture.
    """
    if not isinstance(raw, Image.Image):
        raise SkipInput(f"not a decoded picture but {type(raw).__name__}")
    return raw if raw.mode == "RGB" else raw.convert("RGB")


def checked_pixels(raw: npt.NDArray[Any]) -> Pixels:
    """RGB pixels (height, width, 3).

    Raises:
        SkipInput: another shape or type.
    """
    if raw.dtype != np.uint8 or raw.ndim != 3 or raw.shape[2] != 3 or 0 in raw.shape:
        raise SkipInput(f"not RGB pixels but {raw.dtype} {raw.shape}")
    return raw
