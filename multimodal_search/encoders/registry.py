"""From a name such as ``open_clip/ViT-L-14`` to a card, and from a card to a frozen model."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any, Protocol, cast, get_args

from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.encoders.runtime import Precision, Runtime, runtime
from multimodal_search.errors import EncoderError, nearest
from multimodal_search.types import EncoderCard, Modality, Pool

FAMILIES = {
    "open_clip": "open_clip/ViT-L-14",
    "hf": "hf/facebook/dinov2-small",
    "sample": "sample/vit",
    "timeseries": "timeseries/statistics",
}
"""Family -> an example. Each is a module of this package, imported on first use, as two bring torch."""


class _Family(Protocol):
    def models(self) -> list[str]: ...

    def card(
        self, model: str, modality: Modality, weights: str | None, pool: Pool, options: dict[str, Any]
    ) -> EncoderCard: ...

    def load(self, card: EncoderCard, runtime: Runtime) -> FrozenEncoder: ...


def card(
    name: str,
    modality: Modality | str,
    weights: str | None = None,
    *,
    pool: Pool = "default",
    normalise: bool | None = None,
    **options: Any,
) -> EncoderCard:
    """What is known of an encoder without loading a weight.

    Args:
        name: ``family/model``.
        modality: which tower, where a model has several.
        weights: a published tag, a local file or folder, or ``random``; None is the model's usual weights.
        pool: ``default``, ``cls``, ``mean`` or ``grid``, as far as the model can.
        normalise: whether ``embed`` L2-normalises; None does it for pooled vectors, not for grids.
        options: of the family; None counts as left out. ``channels`` and ``rate_hz`` (timeseries); of images
            ``grid`` (rows, columns), ``resize`` (``crop``, ``pad`` or ``squash`` in place of the model's own
            way) and ``image_size`` (side in pixels, position embeddings interpolated).

    Raises:
        EncoderError: unknown family, model, weights, pooling or option; the message names the nearest known.
    """
    family, model = _split(name)
    if pool not in get_args(Pool):
        raise EncoderError(f"Unknown pooling {pool!r}: {nearest(str(pool), list(get_args(Pool)))}")
    try:
        kind = Modality(modality)
    except ValueError as error:
        known = [one.value for one in Modality]
        raise EncoderError(f"Unknown modality {modality!r}: {nearest(str(modality), known)}") from error
    given = {name: value for name, value in options.items() if value is not None}
    found = family.card(model, kind, weights, pool, given)
    if normalise is None:
        normalise = found.normalise and pool != "grid"
    return replace(found, normalise=normalise)


def build(
    name: str,
    modality: Modality | str,
    weights: str | None = None,
    device: str = "cpu",
    *,
    pool: Pool = "default",
    normalise: bool | None = None,
    precision: Precision = "fp32",
    compile: bool = False,
    **options: Any,
) -> FrozenEncoder:
    """The frozen encoder of this name, its weights loaded; arguments as in ``card`` and ``build_from_card``.

    Raises:
        EncoderError: as ``card``; or the weights cannot be reached; or the device is not there.
    """
    found = card(name, modality, weights, pool=pool, normalise=normalise, **options)
    return build_from_card(found, device, precision=precision, compile=compile)


def build_from_card(
    card: EncoderCard, device: str = "cpu", *, precision: Precision = "fp32", compile: bool = False
) -> FrozenEncoder:
    """The encoder that a card (of a table or a bundle) describes.

    Args:
        device: torch's name of where it runs.
        precision: of the forward pass; ``auto`` is fp16 on CUDA and fp32 elsewhere. Not in the fingerprint:
            vectors of other precisions are comparable, though not equal.
        compile: through ``torch.compile``.

    Raises:
        EncoderError: it cannot be loaded here, or not in this precision.
    """
    family, _ = _split(card.name)
    return family.load(card, runtime(device, precision, compile))


def default_encoders(sample: bool) -> dict[Modality, tuple[str, str]]:
    """Modality -> (name, weights) for the sample world, or for real data."""
    if sample:
        return {
            Modality.IMAGE: ("sample/vit", "shipped"),
            Modality.TEXT: ("sample/text", "shipped"),
        }
    clip = ("open_clip/ViT-L-14", "laion2b_s32b_b82k")
    return {Modality.IMAGE: clip, Modality.TEXT: clip}


def verify(encoder: FrozenEncoder, fingerprint: str, where: object) -> None:
    """Refuse an encoder that is not the one that made some vectors.

    Raises:
        EncoderError: the fingerprints differ.
    """
    if encoder.fingerprint != fingerprint:
        raise EncoderError(
            f"The encoder {encoder.card.name} ({encoder.card.weights}) is not the one that made these "
            f"vectors: its fingerprint is {encoder.fingerprint[:12]}, theirs is {fingerprint[:12]}",
            where=where,
            remedy="use the weights it was made with, or run training again with the present ones",
        )


def _split(name: str) -> tuple[_Family, str]:
    family, _, model = name.partition("/")
    if family not in FAMILIES or not model:
        known = list(FAMILIES.values())
        hint = nearest(name, known) if family not in FAMILIES else f"known: {FAMILIES[family]}"
        raise EncoderError(
            f"Unknown encoder {name!r}: {hint}",
            remedy=f"name it family/model, the family one of {', '.join(FAMILIES)}",
        )
    module = importlib.import_module(f"multimodal_search.encoders.{family}")
    return cast(_Family, module), model
