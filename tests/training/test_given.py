"""Which tables ``--features`` takes, and what it says of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal_search.errors import BundleError, DataError, EncoderError, SettingsError
from multimodal_search.projectors.bundle import BundleEncoder, BundleInfo
from multimodal_search.projectors.heads import HeadSpec
from multimodal_search.settings import TrainSettings
from multimodal_search.tables import TableInfo, TableWriter
from multimodal_search.training import prepare
from multimodal_search.training.given import check_asked, check_bundle, open_given, own_tables
from multimodal_search.types import EncoderCard, Failure, Item, Modality

IMAGE = EncoderCard("sample/vit", "shipped", Modality.IMAGE, 128, space="sample")
TEXT = EncoderCard("sample/text", "shipped", Modality.TEXT, 128, space="sample")


def table(folder: Path, card: EncoderCard | None, **changes: Any) -> str:
    info = replace(TableInfo("f" * 64, 128, card), **changes)
    with TableWriter(folder, info) as writer:
        writer.add(["a"], [""], np.eye(1, 128, dtype=np.float32))
    return str(folder)


def test_a_table_a_modality(tmp_path: Path) -> None:
    given = open_given([table(tmp_path / "i", IMAGE), table(tmp_path / "t", TEXT, dtype="float16")])
    assert {modality: one.place for modality, one in given.items()} == {
        Modality.IMAGE: str(tmp_path / "i"),
        Modality.TEXT: str(tmp_path / "t"),
    }
    assert open_given([]) == {}


def test_a_single_file_stands_for_the_parts_beside_it(tmp_path: Path) -> None:
    table(tmp_path / "x.parquet.parts", IMAGE)
    (tmp_path / "x.parquet").write_bytes(b"")
    assert open_given([str(tmp_path / "x.parquet")])[Modality.IMAGE].place == str(
        tmp_path / "x.parquet.parts"
    )


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (replace(IMAGE, pool="grid"), "--pool mean"),
        (None, "not made by one frozen encoder"),
        (replace(IMAGE, name="timeseries/statistics", modality=Modality.TIMESERIES), "timeseries features"),
    ],
)
def test_tables_that_cannot_stand_for_an_encoder(card: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        open_given([table(tmp_path / "x", card)])
    assert str(tmp_path / "x") in str(caught.value)


def test_absent_and_damaged_tables(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no whole feature table"):
        open_given([str(tmp_path / "absent")])
    place = table(tmp_path / "x", IMAGE)
    part = next(Path(place).glob("*.npy"))
    part.write_bytes(part.read_bytes()[:-1] + b"\1")
    with pytest.raises(BundleError, match="damaged"):
        open_given([place])


def test_two_tables_of_one_modality(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Two tables of image") as caught:
        open_given([table(tmp_path / "x", IMAGE), table(tmp_path / "y", IMAGE)])
    assert str(tmp_path / "x") in str(caught.value)
    assert str(tmp_path / "y") in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"image_encoder": "open_clip/ViT-B-32"}, "open_clip/ViT-B-32, but .* sample/vit"),
        ({"image_weights": "random"}, r"sample/vit \(random\), but .* sample/vit \(shipped\)"),
    ],
)
def test_another_encoder_asked_for_names_both(asked: dict[str, str], words: str, tmp_path: Path) -> None:
    given = open_given([table(tmp_path / "x", IMAGE)])
    with pytest.raises(SettingsError, match=words):
        check_asked(given, TrainSettings(**asked))


def test_the_tables_own_encoder_may_be_named(tmp_path: Path) -> None:
    given = open_given([table(tmp_path / "x", IMAGE)])
    check_asked(given, TrainSettings(image_encoder="sample/vit", image_weights="shipped"))
    check_asked(given, TrainSettings(text_encoder="open_clip/ViT-B-32"))
    with pytest.raises(EncoderError, match="did you mean"):
        check_asked(given, TrainSettings(image_encoder="sample/vitt"))


class StubSource:
    kind = "sample"
    root = Path("data")
    licence = None
    official_splits = None

    def __init__(self, item: Item) -> None:
        self.failures: list[Failure] = []
        self._item = item

    def items(self) -> list[Item]:
        return [self._item]


def test_the_tables_encoder_is_not_built(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source: Any = StubSource(Item("a", "a", image_path="a", text=("rain",)))
    given = open_given([table(tmp_path / "x", IMAGE)])
    assert set(prepare.build_encoders(TrainSettings(), source, "cpu", given)) == {Modality.TEXT}
    assert not caplog.records
    other = replace(IMAGE, name="open_clip/ViT-B-32", weights="random", space="another")
    given = open_given([table(tmp_path / "y", other)])
    prepare.build_encoders(TrainSettings(), source, "cpu", given)
    assert not caplog.records, "no text tower of that space is known"


def test_a_table_of_what_the_data_lacks(tmp_path: Path) -> None:
    source: Any = StubSource(Item("a", "a", image_path="a"))
    with pytest.raises(DataError, match="text features, but no item"):
        prepare.build_encoders(TrainSettings(), source, "cpu", open_given([table(tmp_path / "x", TEXT)]))


def bundle_of(card: EncoderCard, fingerprint: str = "f" * 64, **data: Any) -> BundleInfo:
    heads = {card.modality: HeadSpec("linear", card.dim, 4)}
    return BundleInfo({card.modality: BundleEncoder(card, fingerprint)}, heads, data=data)


def test_a_bundle_of_another_encoder(tmp_path: Path) -> None:
    given = open_given([table(tmp_path / "x", IMAGE)])
    check_bundle(given, bundle_of(IMAGE), tmp_path)
    with pytest.raises(EncoderError, match="fingerprint 000000000000"):
        check_bundle(given, bundle_of(IMAGE, "0" * 64), tmp_path)
    with pytest.raises(EncoderError, match="no image encoder"):
        check_bundle(given, bundle_of(TEXT), tmp_path)


def test_a_bundles_own_tables_are_used_while_they_are_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = table(tmp_path / "x", IMAGE)
    assert set(own_tables(bundle_of(IMAGE, features=[place]), tmp_path)) == {Modality.IMAGE}
    assert own_tables(bundle_of(IMAGE), tmp_path) == {}
    assert own_tables(bundle_of(IMAGE, features=[str(tmp_path / "gone")]), tmp_path) == {}
    assert own_tables(bundle_of(IMAGE, "0" * 64, features=[place]), tmp_path) == {}
    assert caplog.text.count("encoded again") == 2
