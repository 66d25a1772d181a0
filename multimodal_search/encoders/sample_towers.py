"""The sample encoders with their shipped weights loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from multimodal_search.encoders import pooling
from multimodal_search.encoders.fingerprint import PROBE_TEXTS
from multimodal_search.encoders.framing import Framing
from multimodal_search.encoders.image_encoder import ImageEncoder
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.encoders.sample import IMAGE_SIZE_PX, OWN_RESIZE, PATCHES, padded_ids
from multimodal_search.encoders.sample_model import TextTower, VisionTower
from multimodal_search.encoders.torch_encoder import TorchEncoder, checked_text
from multimodal_search.errors import EncoderError
from multimodal_search.types import EncoderCard

VIT_FILE = "sample_vit.safetensors"
TEXT_FILE = "sample_text.safetensors"
TOKENIZER_FILE = "sample_tokenizer.json"


class SampleVit(ImageEncoder):
    """The picture tower."""

    def __init__(self, card: EncoderCard, runtime: Runtime, folder: Path) -> None:
        resize = card.options.get("resize", OWN_RESIZE)
        self.framing = Framing(IMAGE_SIZE_PX, resize, bilinear=True)
        settings = {"resize": f"{resize}, bilinear, antialiased", "size_px": list(IMAGE_SIZE_PX)}
        if "grid" in card.options:
            settings["grid"] = card.options["grid"]
        super().__init__(card, _filled(VisionTower(), folder / VIT_FILE), runtime, settings)

    def _scaled(self, pixels: Tensor) -> Tensor:
        return pixels.div_(127.5).sub_(1.0)

    def _forward(self, pictures: Tensor) -> Tensor:
        tower = self._module
        assert isinstance(tower, VisionTower)
        if self.card.pool == "default":
            result: Tensor = tower(pictures)
            return result
        tokens = tower.tokens(pictures)
        if self.card.pool == "cls":
            return pooling.cls(tokens)
        if self.card.pool == "mean":
            return pooling.mean(tokens[:, 1:])
        rows, columns = self.card.options.get("grid", PATCHES)
        return pooling.grid(tokens[:, 1:], PATCHES, (rows, columns))


class SampleText(TorchEncoder):
    """The text tower, English and Japanese."""

    def __init__(self, card: EncoderCard, runtime: Runtime, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        settings = {"probe": [row.tolist() for row in padded_ids(self._tokenizer, PROBE_TEXTS)]}
        super().__init__(card, _filled(TextTower(), folder / TEXT_FILE), runtime, settings)

    def preprocess(self, raw: Any) -> str:
        """A text, stripped; the tokenizer lower-cases it and folds full-width forms (NFKC)."""
        return checked_text(raw)

    def _inputs(self, ready: Sequence[Any]) -> dict[str, Tensor]:
        return {"ids": torch.from_numpy(padded_ids(self._tokenizer, ready))}

    def _run(self, **inputs: Tensor) -> Tensor:
        result: Tensor = self._module(inputs["ids"])
        return result


def _filled(module: nn.Module, path: Path) -> nn.Module:
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise EncoderError(
            f"The shipped weights of the sample encoders cannot be read: {error}",
            where=path,
            remedy="install the package again",
        ) from error
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return module
