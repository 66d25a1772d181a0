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
from multimodal_search.encoders.sample import IMAGE_SIZE_PX, padded_ids, squash
from multimodal_search.encoders.sample_model import TextTower, VisionShape, VisionTower
from multimodal_search.encoders.torch_encoder import TorchEncoder, checked_image, checked_text
from multimodal_search.errors import EncoderError
from multimodal_search.types import EncoderCard

VIT_FILE = "sample_vit.safetensors"
TEXT_FILE = "sample_text.safetensors"
TOKENIZER_FILE = "sample_tokenizer.json"


class SampleVit(TorchEncoder):
    """The picture tower."""

    def __init__(self, card: EncoderCard, device: str, folder: Path) -> None:
        settings = {"resize": "squash, bilinear, antialiased", "size_px": list(IMAGE_SIZE_PX)}
        super().__init__(card, _filled(VisionTower(), folder / VIT_FILE), device, settings)

    def preprocess(self, raw: Any) -> Tensor:
        """RGB picture -> (3, height, width)."""
        return torch.from_numpy(squash(checked_image(raw)))

    def _forward(self, ready: Sequence[Any]) -> Tensor:
        tower = self._module
        assert isinstance(tower, VisionTower)
        batch = torch.stack(list(ready)).to(self.device)
        if self.card.pool == "default":
            result: Tensor = tower(batch)
            return result
        tokens = tower.tokens(batch)
        if self.card.pool == "cls":
            return pooling.cls(tokens)
        if self.card.pool == "mean":
            return pooling.mean(tokens[:, 1:])
        shape = VisionShape().grid
        return pooling.grid(tokens[:, 1:], shape, shape)


class SampleText(TorchEncoder):
    """The text tower, English and Japanese."""

    def __init__(self, card: EncoderCard, device: str, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        settings = {"probe": [row.tolist() for row in padded_ids(self._tokenizer, PROBE_TEXTS)]}
        super().__init__(card, _filled(TextTower(), folder / TEXT_FILE), device, settings)

    def preprocess(self, raw: Any) -> str:
        """A text, stripped; the tokenizer lower-cases it and folds full-width forms (NFKC)."""
        return checked_text(raw)

    def _forward(self, ready: Sequence[Any]) -> Tensor:
        ids = torch.from_numpy(padded_ids(self._tokenizer, ready)).to(self.device)
        result: Tensor = self._module(ids)
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
