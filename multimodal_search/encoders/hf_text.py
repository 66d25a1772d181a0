"""Text models of transformers, frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import AutoTokenizer

from multimodal_search.encoders import pooling
from multimodal_search.encoders.fingerprint import PROBE_TEXTS
from multimodal_search.encoders.hf_models import network_of, part
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.encoders.torch_encoder import TorchEncoder, checked_text
from multimodal_search.types import EncoderCard

_MOST_TOKENS = 8192  # a tokenizer without a limit says 1e30


class HfText(TorchEncoder):
    """A text model, pooled over its tokens, with the tokenizer of its repository."""

    def __init__(self, card: EncoderCard, runtime: Runtime, where: str, config: Any) -> None:
        network = network_of(card, where, config)
        self._tokenizer = part(AutoTokenizer, card, where, "tokenizer.json")
        positions = int(getattr(config, "max_position_embeddings", _MOST_TOKENS))
        # RoBERTa's kind counts positions from the padding id on, so two of them are never used
        positions -= 2 if "roberta" in config.model_type else 0
        self._most_tokens = min(int(self._tokenizer.model_max_length), positions, _MOST_TOKENS)
        settings = {
            "probe": self._tokenizer(list(PROBE_TEXTS))["input_ids"],
            "most_tokens": self._most_tokens,
            "model_type": config.model_type,
        }
        super().__init__(card, network, runtime, settings)

    def preprocess(self, raw: Any) -> str:
        """A text, stripped."""
        return checked_text(raw)

    def _inputs(self, ready: Sequence[Any]) -> dict[str, Tensor]:
        return dict(
            self._tokenizer(
                list(ready), padding=True, truncation=True, max_length=self._most_tokens, return_tensors="pt"
            )
        )

    def _run(self, **inputs: Tensor) -> Tensor:
        output: Tensor = self._module(**inputs).last_hidden_state
        if self.card.pool == "cls":
            return pooling.cls(output)
        return pooling.masked_mean(output, inputs["attention_mask"])
