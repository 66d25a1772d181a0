"""From an input's raw content to what its encoder takes; for decoding threads."""

from __future__ import annotations

from typing import NamedTuple

from multimodal_search.embedding.images import decode
from multimodal_search.embedding.reading import Content
from multimodal_search.embedding.stream import Prepared
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.types import Input


class Learned(NamedTuple):
    """What reading an input brought besides its vector."""

    key: str
    phash: str | None = None


def prepare_image(
    one: Input, content: Content, *, encoder: FrozenEncoder, fast: bool, phash: bool
) -> Prepared:
    """Decode and resize a picture.

    Args:
        fast: JPEGs may be decoded at a reduced scale that still covers the encoder's input.
        phash: also make the perceptual hash.

    Raises:
        SkipInput: it is no usable picture.
    """
    picture = decode(content.raw, at_least_px=encoder.decode_at_least_px if fast else None)
    hashed = None
    if phash:
        from multimodal_search.embedding.hashing import phash as perceptual_hash

        hashed = perceptual_hash(picture)
    return Prepared(encoder.preprocess(picture), extra=Learned(content.key, hashed))


def prepare_text(one: Input, content: Content, *, encoder: FrozenEncoder) -> Prepared:
    """Check a text."""
    return Prepared(encoder.preprocess(one.id), extra=Learned(content.key))
