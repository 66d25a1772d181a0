"""One contract over every kind of encoder that is registered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from multimodal_search import encoders
from multimodal_search.encoders.registry import FAMILIES
from multimodal_search.errors import SkipInput
from multimodal_search.types import EncoderCard, Modality

KINDS = (
    "sample image",
    "sample text",
    "open_clip image",
    "open_clip text",
    "hf image",
    "hf text",
    "statistics",
    "kernels",
)
Arguments = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module", params=KINDS)
def encoder(request: pytest.FixtureRequest, arguments: Arguments) -> encoders.FrozenEncoder:
    return encoders.build(**arguments(request.param))


def ready(encoder: encoders.FrozenEncoder, inputs: dict[Modality, list[Any]]) -> list[Any]:
    return [encoder.preprocess(one) for one in inputs[encoder.card.modality]]


def test_every_family_is_held_to_the_contract(arguments: Arguments) -> None:
    assert {arguments(kind)["name"].split("/")[0] for kind in KINDS} == set(FAMILIES)


def test_the_output_is_as_the_card_says(
    encoder: encoders.FrozenEncoder, inputs: dict[Modality, list[Any]]
) -> None:
    vectors = encoder.embed(ready(encoder, inputs))
    assert vectors.shape == (5, encoder.card.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    if encoder.card.normalise:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(vectors.round(4), axis=0)) == 5


def test_the_same_input_gives_the_same_vector_in_any_batch_and_order(
    encoder: encoders.FrozenEncoder, inputs: dict[Modality, list[Any]]
) -> None:
    given = ready(encoder, inputs)
    together = encoder.embed(given)
    np.testing.assert_array_equal(together, encoder.embed(given))
    alone = np.concatenate([encoder.embed([one]) for one in given])
    np.testing.assert_allclose(together, alone, atol=2e-5)
    np.testing.assert_allclose(together[::-1], encoder.embed(given[::-1]), atol=2e-5)


def test_nothing_in_nothing_out(encoder: encoders.FrozenEncoder) -> None:
    assert encoder.embed([]).shape == (0, encoder.card.dim)


def test_it_is_frozen(encoder: encoders.FrozenEncoder, inputs: dict[Modality, list[Any]]) -> None:
    modules = [value for value in vars(encoder).values() if isinstance(value, torch.nn.Module)]
    for module in modules:
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
    before = encoder.fingerprint
    encoder.embed(ready(encoder, inputs))
    assert encoder.fingerprint == before


def test_a_card_rebuilds_the_encoder_after_a_trip_through_json(
    encoder: encoders.FrozenEncoder, inputs: dict[Modality, list[Any]]
) -> None:
    card = EncoderCard.from_json(json.loads(json.dumps(encoder.card.to_json())))
    again = encoders.build_from_card(card)
    assert again.card == encoder.card
    assert again.fingerprint == encoder.fingerprint
    given = ready(encoder, inputs)
    np.testing.assert_array_equal(again.embed(given), encoder.embed(given))


def test_the_card_needs_no_weight(encoder: encoders.FrozenEncoder, arguments: Arguments) -> None:
    found = [encoders.card(**arguments(kind)) for kind in KINDS]
    assert encoder.card in found


def test_fingerprints_tell_encoders_apart(arguments: Arguments) -> None:
    prints = [encoders.build(**arguments(kind)).fingerprint for kind in KINDS]
    assert len(set(prints)) == len(KINDS)


@pytest.mark.parametrize("unusable", [None, 3, b"bytes", ""])
def test_an_unusable_input_is_skipped_with_a_reason(encoder: encoders.FrozenEncoder, unusable: Any) -> None:
    with pytest.raises(SkipInput) as caught:
        encoder.preprocess(unusable)
    assert caught.value.reason
