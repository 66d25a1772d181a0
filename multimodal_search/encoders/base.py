"""What every frozen encoder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_search.types import EncoderCard, FloatArray


class FrozenEncoder(ABC):
    """Turns images, texts or signals into vectors; its weights never change.

    A subclass sets ``card`` and ``fingerprint``; the latter keeps vectors of one encoder from being compared
    with those of another.
    """

    card: EncoderCard

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of weights, preprocessing and pooling (``encoders.fingerprint``); computed once."""

    @abstractmethod
    def preprocess(self, raw: Any) -> Any:
        """One input made ready: RGB ``PIL.Image`` -> (3, H, W) tensor, str -> str, ``Series`` -> ``Series``.

        Thread-safe: decoding threads call it.

        Raises:
            SkipInput: this input cannot be used.
        """

    @abstractmethod
    def encode(self, ready: Sequence[Any]) -> FloatArray:
        """The model's own output for preprocessed inputs, (batch, dim) float32.

        With ``pool="grid"`` (batch, patches, dim). An empty sequence gives (0, dim).
        """

    def embed(self, ready: Sequence[Any]) -> FloatArray:
        """``encode``, L2-normalised where the card says so: what tables store and queries use.

        Returns:
            (batch, dim) float32, or (batch, patches, dim) with ``pool="grid"``.
        """
        vectors = np.asarray(self.encode(ready), dtype=np.float32)
        if not self.card.normalise:
            return vectors
        norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
