"""Precision, compilation and passes that are begun and collected later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from multimodal_search import encoders
from multimodal_search.encoders.runtime import runtime
from multimodal_search.errors import EncoderError
from multimodal_search.types import Modality

KINDS = (
    "sample image",
    "open_clip image",
    "hf image",
    "sample text",
    "open_clip text",
    "hf text",
    "statistics",
)
IMAGES = KINDS[:3]
Arguments = Callable[[str], dict[str, Any]]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def ready(encoder: encoders.FrozenEncoder, inputs: dict[Modality, list[Any]]) -> list[Any]:
    return [encoder.preprocess(one) for one in inputs[encoder.card.modality]]


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(axis=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_begun_passes_may_be_collected_in_any_order(
    kind: str, arguments: Arguments, inputs: dict[Modality, list[Any]]
) -> None:
    encoder = encoders.build(**arguments(kind))
    given = ready(encoder, inputs)
    collects = [encoder.begin(given[:2]), encoder.begin(given[2:]), encoder.begin([])]
    last, second, first = (collect() for collect in reversed(collects))
    np.testing.assert_allclose(np.concatenate([first, second]), encoder.embed(given), atol=2e-5)
    np.testing.assert_array_equal(first, encoder.embed(given[:2]))
    assert last.shape == (0, encoder.card.dim)


@pytest.mark.parametrize("kind", IMAGES)
def test_pictures_stay_bytes_until_they_are_encoded(
    kind: str, arguments: Arguments, inputs: dict[Modality, list[Any]]
) -> None:
    encoder = encoders.build(**arguments(kind))
    for one in ready(encoder, inputs):
        assert one.dtype == np.uint8
        assert one.shape == (*(encoder.card.image_size_px or ()), 3)


@pytest.mark.parametrize("kind", IMAGES)
def test_pixels_of_a_quick_decoder_give_nearly_the_same(
    kind: str, arguments: Arguments, inputs: dict[Modality, list[Any]]
) -> None:
    encoder = encoders.build(**arguments(kind))
    pictures = inputs[Modality.IMAGE]
    quick = encoder.embed([encoder.preprocess(np.asarray(one)) for one in pictures])
    assert cosines(quick, encoder.embed(ready(encoder, inputs))).min() > 0.9999


@pytest.mark.parametrize("kind", [*IMAGES, "open_clip text", "hf text"])
def test_bfloat16_is_the_same_encoder_less_exactly(
    kind: str, arguments: Arguments, inputs: dict[Modality, list[Any]]
) -> None:
    exact = encoders.build(**arguments(kind))
    rounded = encoders.build(**arguments(kind), precision="bf16")
    assert (exact.precision, rounded.precision) == ("fp32", "bf16")
    assert rounded.fingerprint == exact.fingerprint
    assert rounded.card == exact.card
    first, second = exact.embed(ready(exact, inputs)), rounded.embed(ready(rounded, inputs))
    assert second.dtype == np.float32
    assert not np.array_equal(first, second)
    assert cosines(first, second).min() > 0.99
    np.testing.assert_array_equal(exact.embed(ready(exact, inputs)), first)  # its weights are its own


def test_half_precision_needs_a_gpu() -> None:
    with pytest.raises(EncoderError, match="bf16"):
        encoders.build("sample/vit", "image", precision="fp16")
    with pytest.raises(EncoderError, match="'fp16'"):
        encoders.build("sample/vit", "image", precision="fp15")  # type: ignore[arg-type]
    assert runtime("cpu", "auto", False).precision == "fp32"
    assert runtime("cuda:1", "auto", False).precision == "fp16"


@pytest.mark.slow
def test_compiled_it_gives_the_same(inputs: dict[Modality, list[Any]]) -> None:
    plain = encoders.build("sample/vit", "image")
    compiled = encoders.build("sample/vit", "image", compile=True)
    assert compiled.fingerprint == plain.fingerprint
    given = ready(plain, inputs)
    np.testing.assert_allclose(compiled.embed(given), plain.embed(given), atol=1e-4)


def test_normalising_is_a_choice_that_the_card_keeps(inputs: dict[Modality, list[Any]]) -> None:
    raw = encoders.build("sample/vit", "image", normalise=False)
    again = encoders.build_from_card(raw.card)
    given = ready(raw, inputs)
    np.testing.assert_array_equal(raw.embed(given), raw.encode(given))
    np.testing.assert_array_equal(again.embed(given), raw.encode(given))
    assert raw.fingerprint == encoders.build("sample/vit", "image").fingerprint
    assert encoders.card("sample/vit", "image", pool="grid").normalise is False
    assert encoders.card("sample/vit", "image", pool="grid", normalise=True).normalise is True


@needs_gpu
@pytest.mark.parametrize("kind", [*IMAGES, "open_clip text", "hf text"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_on_a_gpu(kind: str, precision: Any, arguments: Arguments, inputs: dict[Modality, list[Any]]) -> None:
    here = encoders.build(**arguments(kind))
    there = encoders.build(**arguments(kind), device="cuda", precision=precision)
    assert there.precision == ("fp16" if precision == "auto" else precision)
    assert there.fingerprint == here.fingerprint
    given = ready(here, inputs)
    collects = [there.begin(given) for _ in range(3)]
    wanted = here.embed(given)
    for collect in collects:
        assert cosines(collect(), wanted).min() > (0.9999 if precision == "fp32" else 0.99)
