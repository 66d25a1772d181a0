"""Vision and text models of transformers, frozen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from multimodal_search.encoders import pooling
from multimodal_search.encoders.fingerprint import PROBE_TEXTS
from multimodal_search.encoders.hub import hub_access, unreachable
from multimodal_search.encoders.torch_encoder import TorchEncoder, checked_image, checked_text
from multimodal_search.errors import EncoderError
from multimodal_search.types import EncoderCard

_SHOWN = (
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
)
_MOST_TOKENS = 8192  # a tokenizer without a limit says 1e30


class HfImage(TorchEncoder):
    """A vision model, with the image processor of its repository."""

    def __init__(self, card: EncoderCard, device: str, where: str, config: Any) -> None:
        network = _network(card, where, config)
        self._processor = _part(AutoImageProcessor, card, where, "preprocessor_config.json")
        described = self._processor.to_dict()
        settings = {
            "preprocess": {name: _plain(described.get(name)) for name in _SHOWN},
            "model_type": config.model_type,
            "grid": card.options.get("grid"),
        }
        self._patch_px = config.patch_size if isinstance(getattr(config, "patch_size", None), int) else 1
        super().__init__(card, network, device, settings)

    def preprocess(self, raw: Any) -> Tensor:
        """RGB picture -> (3, height, width)."""
        result: Tensor = self._processor(images=checked_image(raw), return_tensors="pt")["pixel_values"][0]
        return result

    def _forward(self, ready: Sequence[Any]) -> Tensor:
        pictures = torch.stack(list(ready)).to(self.device)
        output = self._module(pixel_values=pictures)
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
        try:
            return pooling.grid(patches, (rows, columns), (target[0], target[1]))
        except ValueError as error:
            raise EncoderError(
                f"{self.card.name}: {error}", remedy="rows and columns that divide it"
            ) from error


class HfText(TorchEncoder):
    """A text model, pooled over its tokens, with the tokenizer of its repository."""

    def __init__(self, card: EncoderCard, device: str, where: str, config: Any) -> None:
        network = _network(card, where, config)
        self._tokenizer = _part(AutoTokenizer, card, where, "tokenizer.json")
        positions = int(getattr(config, "max_position_embeddings", _MOST_TOKENS))
        # RoBERTa's kind counts positions from the padding id on, so two of them are never used
        positions -= 2 if "roberta" in config.model_type else 0
        self._most_tokens = min(int(self._tokenizer.model_max_length), positions, _MOST_TOKENS)
        settings = {
            "probe": self._tokenizer(list(PROBE_TEXTS))["input_ids"],
            "most_tokens": self._most_tokens,
            "model_type": config.model_type,
        }
        super().__init__(card, network, device, settings)

    def preprocess(self, raw: Any) -> str:
        """A text, stripped."""
        return checked_text(raw)

    def _forward(self, ready: Sequence[Any]) -> Tensor:
        tokens = self._tokenizer(
            list(ready), padding=True, truncation=True, max_length=self._most_tokens, return_tensors="pt"
        ).to(self.device)
        output: Tensor = self._module(**tokens).last_hidden_state
        if self.card.pool == "cls":
            return pooling.cls(output)
        return pooling.masked_mean(output, tokens["attention_mask"])


def _plain(value: Any) -> Any:
    """A processor's setting as JSON has it, whatever class this version of the library holds it in."""
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):  # PIL's resampling names too
        return int(value)
    if hasattr(value, "items"):
        return {str(key): _plain(one) for key, one in value.items() if one is not None}
    return [_plain(one) for one in value]


def _network(card: EncoderCard, where: str, config: Any) -> nn.Module:
    if card.weights == "random":
        warnings.warn(f"{card.name} has random weights: for benchmarks and tests only", stacklevel=2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            kind: Any = AutoModel
            made: nn.Module = kind.from_config(config)
            return made
    loaded: nn.Module = _part(AutoModel, card, where, "model.safetensors")
    return loaded


def _part(kind: Any, card: EncoderCard, where: str, file: str) -> Any:
    with hub_access(local=Path(where).is_dir()):
        try:
            return kind.from_pretrained(where)
        except Exception as error:  # OSError for what is absent, ValueError and others for what does not fit
            if not Path(where).is_dir():
                raise unreachable(card.name, f"{card.weights}, {file}", card.modality, error) from error
            raise EncoderError(
                f"The folder of {card.name} does not load: {str(error).strip().splitlines()[0]}",
                where=Path(where) / file,
                remedy="a folder that save_pretrained wrote, or a whole copy of a hub repository",
            ) from error
