"""From settings to encoders and devices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from multimodal_search.errors import DataError, EncoderError, SettingsError, SkipInput
from multimodal_search.projectors.bundle import BundleEncoder, BundleInfo
from multimodal_search.projectors.heads import HeadSpec
from multimodal_search.settings import TrainSettings
from multimodal_search.training import prepare
from multimodal_search.types import Failure, Item, Modality, Series


class StubSource:
    """Three scenes; the first one's signal is broken, the others name different channels."""

    kind = "sample"
    root = Path("data")
    licence = None
    official_splits = None

    def __init__(self, channels: list[tuple[str, ...] | None]) -> None:
        self.failures: list[Failure] = []
        self._channels = channels

    def items(self) -> list[Item]:
        return [
            Item(id=str(k), scene_id=str(k), text=("words",), image_path="a.jpg")
            for k in range(len(self._channels))
        ]

    def image_file(self, path: str) -> Path:
        return self.root / path

    def image_key(self, path: str) -> str:
        return path

    def series(self, item: Item) -> Series | None:
        channels = self._channels[int(item.id)]
        if channels is None:
            raise SkipInput("empty")
        values = torch.zeros(2, len(channels)).double().numpy()
        return Series(torch.tensor([0.0, 1.0]).double().numpy(), values, channels)


def test_channels_are_the_union_in_order_and_a_broken_signal_is_passed_over() -> None:
    source = StubSource([None, ("speed_mps", "brake"), ("brake", "yaw_rate_radps")])
    assert prepare.series_channels(source) == ("speed_mps", "brake", "yaw_rate_radps")


def test_no_usable_signal_is_an_error_with_the_first_reason() -> None:
    with pytest.raises(DataError, match="empty"):
        prepare.series_channels(StubSource([None, None]))


def test_sample_data_gets_the_shipped_encoders_and_others_are_taken_as_named() -> None:
    source = StubSource([None])
    default = prepare.build_encoders(TrainSettings(), source, "cpu")
    assert {key: one.card.name for key, one in default.items()} == {
        Modality.IMAGE: "sample/vit",
        Modality.TEXT: "sample/text",
    }
    with pytest.raises(EncoderError, match="did you mean 'vit'"):
        prepare.build_encoders(TrainSettings(image_encoder="sample/vitt"), source, "cpu")


def test_an_encoder_that_gives_other_vectors_is_refused() -> None:
    encoder = prepare.build_encoders(TrainSettings(), StubSource([None]), "cpu")[Modality.TEXT]
    heads = {Modality.TEXT: HeadSpec("linear", encoder.card.dim, 4)}
    info = BundleInfo({Modality.TEXT: BundleEncoder(encoder.card, encoder.fingerprint)}, heads)
    assert set(prepare.bundle_encoders(info, "cpu", {Modality.TEXT}, Path("here"))) == {Modality.TEXT}
    assert prepare.bundle_encoders(info, "cpu", {Modality.IMAGE}, Path("here")) == {}
    other = BundleInfo({Modality.TEXT: BundleEncoder(encoder.card, "0" * 64)}, heads)
    with pytest.raises(EncoderError, match="not the one"):
        prepare.bundle_encoders(other, "cpu", {Modality.TEXT}, Path("here"))


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert prepare.resolve_device("auto") == "cpu"
    with pytest.raises(SettingsError, match="--device cuda"):
        prepare.resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert prepare.resolve_device("auto") == "cuda"
