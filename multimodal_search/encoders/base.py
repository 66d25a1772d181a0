"""What every frozen encoder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_search.types import EncoderCard, FloatArray


class FrozenEncoder(ABC):
    """Turns images, texts or signals into vectors; its weights never change.

    A subclass sets ``card`` and computes ``fingerprint`` from its own output on fixed inputs, so that vectors
    of one encoder are never compared with those of another.
    """

    card: EncoderCard

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of the model's output on fixed inputs and of its preprocessing; computed once."""

    @abstractmethod
    def preprocess(self, raw: Any) -> Any:
        """One input made ready: RGB ``PIL.Image`` -> (3, H, W) tensor, str -> str, ``Series`` -> ``Series``.

        Thread-safe: decoding threads call it.

        Raises:
            SkipInput: this input cannot be used.
        """

    @abstractmethod
    def encode(self, ready: Sequence[Any]) -> FloatArray:
        """The model's own output for preprocessed inputs, (batch, dim) float32."""

    def embed(self, ready: Sequence[Any]) -> FloatArray:
        """``encode``, L2-normalised where the card says so: what tables store and queries use, (batch, dim)."""
        vectors = np.asarray(self.encode(ready), dtype=np.float32)
        if not self.card.normalise:
            return vectors
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(norms, 1e-12)
