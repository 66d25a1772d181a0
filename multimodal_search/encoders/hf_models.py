"""Loading what transformers keeps in a folder or on the hub: models, tokenizers, processors."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel

from multimodal_search.encoders.hub import hub_access, unreachable
from multimodal_search.errors import EncoderError
from multimodal_search.types import EncoderCard


def network_of(card: EncoderCard, where: str, config: Any) -> nn.Module:
    """The model of a folder or id, or one with random weights.

    Raises:
        EncoderError: it cannot be had.
    """
    if card.weights == "random":
        warnings.warn(f"{card.name} has random weights: for benchmarks and tests only", stacklevel=2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            kind: Any = AutoModel
            made: nn.Module = kind.from_config(config)
            return made
    loaded: nn.Module = part(AutoModel, card, where, "model.safetensors")
    return loaded


def part(kind: Any, card: EncoderCard, where: str, file: str) -> Any:
    """What ``kind.from_pretrained`` makes of a folder or id; ``file`` is named where it fails.

    Raises:
        EncoderError: it cannot be had.
    """
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
