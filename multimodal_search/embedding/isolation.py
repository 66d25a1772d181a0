"""Encoding a batch so that one input that breaks it costs one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import EncoderError, ProjectError, SkipInput
from multimodal_search.types import FloatArray


def encode_isolating(
    encoder: FrozenEncoder, ready: Sequence[Any], begun: Callable[[], FloatArray] | None = None
) -> list[FloatArray | SkipInput]:
    """For each input its vector (dim,), or the reason why it has none.

    A batch that fails is halved until the input that breaks it is alone; the same brings a batch that is too
    large for the device's memory through.

    Args:
        begun: collects a forward pass over the whole batch that is under way already.

    Raises:
        EncoderError: the encoder's output has another shape than its card says.
    """
    reason: str | None = None
    try:
        vectors = encoder.embed(ready) if begun is None else begun()
    except ProjectError:
        raise
    except SkipInput as skip:
        reason = skip.reason
    except Exception as error:
        reason = f"the encoder failed: {type(error).__name__}: {error}"
    if reason is not None:  # outside the handler, whose traceback would keep the failed batch's memory
        if len(ready) == 1:
            return [SkipInput(reason)]
        half = len(ready) // 2
        return [*encode_isolating(encoder, ready[:half]), *encode_isolating(encoder, ready[half:])]
    return _checked(encoder, vectors, len(ready))


def _checked(encoder: FrozenEncoder, vectors: FloatArray, count: int) -> list[FloatArray | SkipInput]:
    """One by one, (dim,) or (patches, dim); what is not finite, or a zero without direction, is no vector.

    Raises:
        EncoderError: the encoder's output has another shape than its card says.
    """
    card = encoder.card
    expected = (count, card.dim) if card.pool != "grid" else (count, *vectors.shape[1:2], card.dim)
    if vectors.shape != expected:
        raise EncoderError(
            f"The encoder returned {vectors.shape}, its card says {expected}.",
            where=card.name,
            remedy="correct the encoder's card",
        )
    inner = tuple(range(1, vectors.ndim))
    finite = np.isfinite(vectors).all(axis=inner)
    # a normalised zero is no direction; a raw signal feature may well be zero
    void = card.normalise & ~vectors.any(axis=inner)
    return [
        SkipInput("the encoder returned a value that is not finite")
        if not ok
        else SkipInput("the encoder returned a zero vector")
        if empty
        else vector
        for vector, ok, empty in zip(vectors, finite, void, strict=True)
    ]
