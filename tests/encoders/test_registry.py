"""Names, defaults and refusals."""

from __future__ import annotations

import subprocess
import sys

import pytest

from multimodal_search import encoders
from multimodal_search.errors import EncoderError
from multimodal_search.types import Modality


@pytest.mark.parametrize(
    ("name", "modality", "named"),
    [
        ("opnclip/ViT-L-14", "image", "open_clip"),
        ("open_clip/ViT-L14", "image", "ViT-L-14"),
        ("sample/vti", "image", "'vit'"),
        ("timeseries/statistic", "timeseries", "'statistics'"),
        ("ViT-L-14", "image", "family/model"),
        ("sample/vit", "pictures", "image"),
        ("sample/", "image", "family/model"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, modality: str, named: str) -> None:
    with pytest.raises(EncoderError) as caught:
        encoders.card(name, modality)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("sample/vit", "text"),
        ("sample/text", "image"),
        ("timeseries/kernels", "text"),
        ("sample/vit", "timeseries"),
    ],
)
def test_an_encoder_of_another_modality_is_refused(name: str, modality: str) -> None:
    with pytest.raises(EncoderError, match=modality):
        encoders.card(name, modality)


def test_unknown_options_and_poolings_are_refused() -> None:
    with pytest.raises(EncoderError, match="rate"):
        encoders.card("timeseries/statistics", "timeseries", channels=("a",), rate=10)
    with pytest.raises(EncoderError, match="channels"):
        encoders.card("timeseries/statistics", "timeseries")
    with pytest.raises(EncoderError, match="mean"):
        encoders.card("sample/vit", "image", pool="meen")  # type: ignore[arg-type]
    with pytest.raises(EncoderError, match="grid"):
        encoders.card("sample/text", "text", pool="grid")


def test_the_sample_pair_and_the_default_for_real_data_are_pre_aligned() -> None:
    for sample in (True, False):
        chosen = encoders.default_encoders(sample)
        cards = [encoders.card(name, kind, weights) for kind, (name, weights) in chosen.items()]
        assert {card.modality for card in cards} == {Modality.IMAGE, Modality.TEXT}
        assert len({card.space for card in cards}) == 1
        assert cards[0].space is not None
        assert cards[0].dim == cards[1].dim


def test_another_fingerprint_is_refused() -> None:
    encoder = encoders.build("timeseries/statistics", "timeseries", channels=("a",))
    encoders.verify(encoder, encoder.fingerprint, "bundle.json")
    with pytest.raises(EncoderError, match=r"bundle\.json"):
        encoders.verify(encoder, "0" * 64, "bundle.json")


def test_cards_of_the_small_families_bring_no_torch() -> None:
    code = (
        "import sys\n"
        "from multimodal_search import encoders\n"
        "encoders.card('sample/vit', 'image')\n"
        "encoders.card('timeseries/kernels', 'timeseries', channels=('a',))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(EncoderError, match="cuda:77"):
        encoders.build("sample/vit", "image", device="cuda:77")
