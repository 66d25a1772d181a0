"""What every frozen encoder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from multimodal_search.types import EncoderCard, FloatArray


class FrozenEncoder(ABC):
    """Turns images, texts or signals into vectors; its weights never change.

    A subclass sets ``card`` and ``fingerprint``; the latter keeps vectors of one encoder from being compared
    with those of another.

    Attributes:
        precision: of the forward pass: ``fp32``, ``bf16`` or ``fp16``.
        overlaps: whether ``begin`` returns before the work is done.
    """

    card: EncoderCard
    precision: str = "fp32"
    overlaps: bool = False

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of weights, preprocessing and pooling (``encoders.fingerprint``); computed once."""

    @property
    def decode_at_least_px(self) -> tuple[int, int] | None:
        """(height, width) that a picture may be decoded down to without harm; None where it has no say."""
        return None

    @abstractmethod
    def preprocess(self, raw: Any) -> Any:
        """One input made ready: a picture -> (H, W, 3) uint8 array, str -> str, ``Series`` -> ``Series``.

        A picture is an RGB ``PIL.Image``, which goes through the library's own transform, or an RGB uint8
        array (H, W, 3), which was decoded at a reduced size and is resized in a quicker way. What comes out
        is for ``encode`` alone. Thread-safe: decoding threads call it.

        Raises:
            SkipInput: this input cannot be used.
        """

    @abstractmethod
    def encode(self, ready: Sequence[Any]) -> FloatArray:
        """The model's own output for preprocessed inputs, (batch, dim) float32.

        With ``pool="grid"`` (batch, patches, dim). An empty sequence gives (0, dim).
        """

    def begin(self, ready: Sequence[Any]) -> Callable[[], FloatArray]:
        """Start what ``embed`` does; the returned call waits for it.

        On a GPU the caller is free while the model runs and while its output is copied back; elsewhere all
        is done on return.
        """
        vectors = self._directed(self.encode(ready))
        return lambda: vectors

    def embed(self, ready: Sequence[Any]) -> FloatArray:
        """``encode``, L2-normalised where the card says so: what tables store and queries use.

        Returns:
            (batch, dim) float32, or (batch, patches, dim) with ``pool="grid"``.
        """
        return self.begin(ready)()

    def _directed(self, output: FloatArray) -> FloatArray:
        vectors = np.asarray(output, dtype=np.float32)
        if not self.card.normalise:
            return vectors
        norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
