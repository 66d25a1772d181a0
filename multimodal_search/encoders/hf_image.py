"""Vision models of transformers, frozen."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from multimodal_search.encoders import pooling
from multimodal_search.encoders.framing import Pixels
from multimodal_search.encoders.hf_models import network_of
from multimodal_search.encoders.hf_processor import HfProcessor
from multimodal_search.encoders.image_encoder import ImageEncoder, channels
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.errors import EncoderError
from multimodal_search.types import EncoderCard


class HfImage(ImageEncoder):
    """A vision model, with the image processor of its repository."""

    def __init__(self, card: EncoderCard, runtime: Runtime, where: str, config: Any) -> None:
        network = network_of(card, where, config)
        self._processor = HfProcessor(card, where)
        self._interpolating = _interpolating(card, network)
        settings = {
            "preprocess": self._processor.described,
            "model_type": config.model_type,
            "grid": card.options.get("grid"),
        }
        settings |= {name: card.options[name] for name in ("image_size", "resize") if name in card.options}
        self._patch_px = config.patch_size if isinstance(getattr(config, "patch_size", None), int) else 1
        framing = self._processor.framing
        if framing is not None:
            self.framing = framing
        elif "resize" in card.options:
            raise EncoderError(
                f"The image processor of {card.name} has a way of its own to resize",
                remedy="leave resize out",
            )
        super().__init__(card, network, runtime, settings)
        shift, scale = self._processor.shift_and_scale
        self._shift, self._scale = (channels(one, self.device) for one in (shift, scale))

    @property
    def decode_at_least_px(self) -> tuple[int, int] | None:
        """See ``FrozenEncoder``; None where the processor is of a kind that is not known here."""
        return None if self._processor.framing is None else self.framing.enough_px

    def _of_image(self, picture: Image.Image) -> npt.NDArray[Any]:
        if "resize" in self.card.options:
            return self.framing.of_image(picture)
        return self._processor(picture)

    def _of_array(self, pixels: Pixels) -> npt.NDArray[Any]:
        return self._processor(pixels) if self._processor.framing is None else self.framing.of_array(pixels)

    def _inputs(self, ready: Sequence[Any]) -> dict[str, Tensor]:
        return {"pixels": torch.from_numpy(np.stack(ready))}

    def _normalised(self, pixels: Tensor) -> Tensor:
        return super()._normalised(pixels) if pixels.dtype is torch.uint8 else pixels

    def _scaled(self, pixels: Tensor) -> Tensor:
        return pixels.sub_(self._shift).div_(self._scale)

    def _forward(self, pictures: Tensor) -> Tensor:
        output = self._module(pixel_values=pictures, **self._interpolating)
        if self.card.pool == "default" and getattr(output, "pooler_output", None) is not None:
            pooled: Tensor = output.pooler_output
            return pooled.flatten(1)  # convolutional models give (batch, dim, 1, 1)
        tokens: Tensor = output.last_hidden_state
        if self.card.pool in ("default", "cls"):
            return pooling.cls(tokens)
        rows, columns = (side // self._patch_px for side in pictures.shape[-2:])
        patches = tokens[:, tokens.shape[1] - rows * columns :]  # class and register tokens come first
        if self.card.pool == "mean":
            return pooling.mean(patches)
        target = tuple(self.card.options.get("grid") or (rows, columns))
        return pooling.grid(patches, (rows, columns), (target[0], target[1]))


def _interpolating(card: EncoderCard, network: nn.Module) -> dict[str, bool]:
    """The argument that lets the model take another size than its own, where one is asked for and needed.

    Raises:
        EncoderError: the model cannot.
    """
    if "image_size" not in card.options:
        return {}
    if "interpolate_pos_encoding" in inspect.signature(network.forward).parameters:
        return {"interpolate_pos_encoding": True}
    embeddings = getattr(network, "embeddings", None)
    if hasattr(embeddings, "interpolate_pos_encoding") or hasattr(network, "rope_embeddings"):
        return {}
    raise EncoderError(f"{card.name} takes pictures of its own size only", remedy="leave the image size out")
