"""What a person asks of a bundle, and what comes back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import multimodal_search
from multimodal_search import encoders
from multimodal_search.errors import BundleError, DataError, EncoderError, SettingsError
from multimodal_search.projectors.bundle import save_projectors, write_bundle_info
from multimodal_search.projectors.heads import Projector
from multimodal_search.search import Searcher
from multimodal_search.types import Modality, Series

COLOURS = {"left": (255, 0, 0), "right": (0, 255, 0), "stop": (0, 0, 255)}


@pytest.fixture
def searcher(bundle, stub):
    return multimodal_search.load(bundle)


def _kinds(hits):
    return [hit.metadata["manoeuvre"] for hit in hits]


def test_words_find_moments_and_a_hit_says_all_of_them(searcher):
    hits = searcher.search(text="a car makes a left turn", k=4)
    assert _kinds(hits) == ["left"] * 4
    first = hits[0]
    assert first.id == "s0/0"
    assert first.scene_id == "s0"
    assert first.text == "turn left number 0"
    assert first.image_path == "images/0.png"
    assert first.location == "tokyo"
    assert first.score == pytest.approx(1.0, abs=0.01)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert set(json.loads(json.dumps(first.to_json()))) >= {
        "id", "scene_id", "score", "text", "image_path", "metadata"
    }  # fmt: skip


def test_japanese_words_work_as_the_encoder_does(searcher):
    assert _kinds(searcher.search(text="右折", k=4)) == ["right"] * 4


@pytest.mark.parametrize("kind", ["left", "right", "stop"])
def test_a_picture_finds_its_like(searcher, tmp_path, kind):
    picture = Image.new("RGB", (8, 6), COLOURS[kind])
    picture.save(tmp_path / "ask me.png")
    for query in (
        picture,
        tmp_path / "ask me.png",
        str(tmp_path / "ask me.png"),
        (tmp_path / "ask me.png").read_bytes(),
    ):
        assert _kinds(searcher.search(image=query, k=3)) == [kind] * 3


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "HSV", "YCbCr"])
def test_a_picture_of_any_mode_is_a_query(searcher, mode):
    picture = Image.new("RGB", (8, 6), COLOURS["stop"]).convert(mode)
    assert _kinds(searcher.search(image=picture, k=3)) == ["stop"] * 3


@pytest.mark.parametrize("kind", ["left", "right", "stop"])
def test_a_signal_finds_its_like(searcher, signal, tmp_path, kind):
    values = signal(kind)
    times = np.arange(len(values)) / 10
    np.save(tmp_path / "signal.npy", values)
    queries = [
        values,
        np.column_stack([times + 100, values]),
        tmp_path / "signal.npy",
        Series(times, values, ("yaw_rate_radps", "speed_mps")),
    ]
    for query in queries:
        assert _kinds(searcher.search(series=query, k=3)) == [kind] * 3


def test_a_file_with_named_channels_beside_it_is_read_by_their_names(searcher, signal, tmp_path):
    np.save(tmp_path / "s.npy", np.column_stack([signal("right")[:, ::-1], np.ones(50)]))
    names = {"channels": ["speed_mps", "yaw_rate_radps", "brake"], "rate_hz": 5}
    (tmp_path / "channels.json").write_text(json.dumps(names))
    assert _kinds(searcher.search(series=tmp_path / "s.npy", k=2)) == ["right"] * 2


def test_several_parts_are_one_query(searcher, signal):
    hits = searcher.search(text=["left", "stop"], k=12)
    assert set(_kinds(hits[:8])) == {"left", "stop"}
    both = searcher.search(text="left", series=signal("stop"), k=12)
    assert {hit.id for hit in both[:8]} == {hit.id for hit in hits[:8]}
    leaning = searcher.search(text="left", series=signal("stop"), k=4, weights={"text": 5.0})
    assert _kinds(leaning) == ["left"] * 4


def test_against_chooses_what_is_compared(searcher):
    for against in (*Modality, "image", "text", "timeseries"):
        assert _kinds(searcher.search(text="left", against=against, k=2)) == ["left"] * 2


def test_k_beyond_the_data_gives_all(searcher):
    assert len(searcher.search(text="left", k=1000)) == len(searcher) == 12


def test_encoders_are_built_once_and_only_when_asked(bundle, stub):
    searcher = Searcher.open(bundle)
    assert stub.built == 0
    searcher.search(text="left")
    searcher.search(text="right")
    assert stub.built == 1


def test_a_bundle_that_moved_still_answers(bundle, stub, tmp_path):
    shutil.copytree(bundle, tmp_path / "移動 bundle")
    assert _kinds(Searcher.open(tmp_path / "移動 bundle").search(text="stop", k=2)) == ["stop"] * 2


def test_images_are_found_below_the_datas_root(searcher):
    hit = searcher.search(text="left", k=1)[0]
    assert searcher.image_file(hit) == searcher.root / "images/0.png"
    assert searcher.root.is_dir()


def test_a_sample_bundle_that_moved_brings_its_own_data(builder, stub, tmp_path):
    builder(tmp_path / "out", root=tmp_path / "out" / "gone")
    (tmp_path / "out" / "sample_data").mkdir()
    assert Searcher.open(tmp_path / "out").root == tmp_path / "out" / "sample_data"


def test_another_encoder_is_refused_not_answered_wrongly(bundle, stub, monkeypatch):
    monkeypatch.setattr(stub, "fingerprint", property(lambda self: "other"))
    with pytest.raises(EncoderError, match="not the one"):
        Searcher.open(bundle).search(text="left")


def test_unreachable_weights_are_said(bundle, monkeypatch):
    def unreachable(_card, _device):
        raise EncoderError("The weights cannot be reached.", remedy="set HF_HUB_OFFLINE")

    monkeypatch.setattr(encoders, "build_from_card", unreachable)
    with pytest.raises(EncoderError, match="cannot be reached"):
        Searcher.open(bundle).search(text="left")


def test_a_bundle_without_signals_says_what_it_takes(builder, stub, signal, tmp_path):
    builder(tmp_path, tmp_path, modalities=(Modality.IMAGE, Modality.TEXT))
    searcher = Searcher.open(tmp_path)
    assert searcher.modalities == (Modality.IMAGE, Modality.TEXT)
    with pytest.raises(SettingsError, match="without timeseries"):
        searcher.search(series=signal("left"))
    with pytest.raises(SettingsError, match="no 'timeseries' vectors"):
        searcher.search(text="left", against="timeseries")


def test_a_bundle_without_pictures_compares_with_what_it_has(builder, stub, signal, tmp_path):
    builder(tmp_path, tmp_path, modalities=(Modality.TEXT, Modality.TIMESERIES))
    searcher = Searcher.open(tmp_path)
    assert _kinds(searcher.search(text="left", k=2)) == ["left"] * 2
    assert _kinds(searcher.search(series=signal("stop"), k=2)) == ["stop"] * 2


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ({}, SettingsError, "Nothing to search for"),
        ({"text": "left", "k": 0}, SettingsError, "at least 1"),
        ({"text": "left", "k": 2.5}, SettingsError, "at least 1"),
        ({"text": " \n "}, DataError, "empty"),
        ({"text": []}, DataError, "empty"),
        ({"text": ["left", ""]}, DataError, "empty"),
        ({"image": "nowhere.jpg"}, DataError, "no picture 'nowhere.jpg'"),
        ({"image": b"no picture"}, DataError, "cannot be used"),
        ({"series": "nowhere.npy"}, DataError, "no signal 'nowhere.npy'"),
        ({"series": np.zeros((4, 7))}, DataError, "7 columns"),
        ({"series": np.zeros(4)}, DataError, "not \\(time, channels\\)"),
        ({"series": np.full((4, 2), np.nan)}, DataError, "NaN"),
        ({"series": np.array([["a", "b"]])}, DataError, "not \\(time, channels\\)"),
        ({"text": "left", "weights": {"image": 1}}, SettingsError, "not part of this query"),
        ({"text": "left", "weights": {"text": 0}}, SettingsError, "all zero"),
        ({"text": "left", "against": "smell"}, SettingsError, "smell"),
    ],
)
def test_a_query_that_cannot_be_is_refused_with_the_reason(searcher, query, error, message):
    with pytest.raises(error, match=message):
        searcher.search(**query)


def test_a_pickled_signal_is_never_opened(searcher, tmp_path):
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="pickled"):
        searcher.search(series=tmp_path / "bad.npy")


@pytest.mark.parametrize("gone", ["bundle.json", "vectors/manifest.json", "text_projector.pt"])
def test_a_bundle_with_a_file_missing_is_refused(bundle, stub, tmp_path, gone):
    shutil.copytree(bundle, tmp_path / "b")
    (tmp_path / "b" / gone).unlink()
    with pytest.raises(BundleError):
        Searcher.open(tmp_path / "b")


def test_an_unknown_device_is_refused(bundle):
    with pytest.raises(SettingsError, match="tpu"):
        Searcher.open(bundle, device="tpu")


def test_a_signal_finds_signals_by_its_heads_own_likeness(builder, signal, stub, tmp_path):
    folder, root = tmp_path / "bundle", tmp_path / "data"
    root.mkdir()
    builder(folder, root)
    plain = multimodal_search.load(folder)
    info = plain.info
    spec = replace(info.heads[Modality.TIMESERIES], likeness=True)
    head = Projector(spec)
    head.set_likeness(np.eye(3)[[1, 0, 2]])  # between signals, left asks for right
    save_projectors(folder, {Modality.TIMESERIES: head})
    write_bundle_info(folder, replace(info, heads={**info.heads, Modality.TIMESERIES: spec}))
    turned = multimodal_search.load(folder)
    assert turned.space != plain.space

    left = signal("left")
    own = _kinds(plain.search(series=left, k=3))
    other = _kinds(turned.search(series=left, k=3))
    assert own == ["left"] * 3
    assert other == ["right"] * 3
    some = plain.search(series=left, k=1)[0].id
    assert _kinds(turned.search(id=some, k=3, against="timeseries")) == other
    for against in ("image", "text"):
        assert _kinds(turned.search(series=left, k=3, against=against)) == own
    assert _kinds(turned.search(text="left", k=3, against="timeseries")) == own


def test_a_query_that_is_not_on_s3_is_said(searcher, new_bucket):
    bucket = new_bucket()
    with pytest.raises(DataError, match="no picture 's3://"):
        searcher.search(image=f"s3://{bucket}/nowhere.jpg")


def test_a_bundle_whose_vectors_were_left_behind_is_said(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "copy", ignore=shutil.ignore_patterns("vectors"))
    with pytest.raises(BundleError, match="copy the whole bundle folder"):
        multimodal_search.load(tmp_path / "copy")
