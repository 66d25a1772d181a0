"""Encoding a batch so that one input that breaks it costs one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import EncoderError, ProjectError, SkipInput
from multimodal_search.types import FloatArray


def encode_isolating(encoder: FrozenEncoder, ready: Sequence[Any]) -> list[FloatArray | str]:
    """For each input its vector (dim,), or the reason why it has none.

    A batch that fails is halved until the input that breaks it is alone; the same brings a batch that is too
    large for the device's memory through.

    Raises:
        EncoderError: the encoder's output has another shape than its card says.
    """
    reason: str | None = None
    try:
        vectors = encoder.embed(ready)
    except ProjectError:
        raise
    except SkipInput as skip:
        reason = skip.reason
    except Exception as error:
        reason = f"the encoder failed: {type(error).__name__}: {error}"
    if reason is not None:  # outside the handler, whose traceback would keep the failed batch's memory
        if len(ready) == 1:
            return [reason]
        half = len(ready) // 2
        return [*encode_isolating(encoder, ready[:half]), *encode_isolating(encoder, ready[half:])]
    if vectors.shape != (len(ready), encoder.card.dim):
        raise EncoderError(
            f"The encoder returned {vectors.shape}, its card says {(len(ready), encoder.card.dim)}.",
            where=encoder.card.name,
            remedy="correct the encoder's card",
        )
    finite = np.isfinite(vectors).all(axis=1)
    # a normalised zero is no direction; a raw signal feature may well be zero
    void = encoder.card.normalise & ~vectors.any(axis=1)
    return [
        "the encoder returned a value that is not finite"
        if not ok
        else "the encoder returned a zero vector"
        if empty
        else vector
        for vector, ok, empty in zip(vectors, finite, void, strict=True)
    ]
