"""The shipped encoders of the sample world."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_search import encoders
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.encoders.sample import CONTEXT_LENGTH, DIM, padded_ids, weights_folder
from multimodal_search.encoders.sample_model import TextShape, VisionShape
from multimodal_search.errors import EncoderError
from multimodal_search.sources.sample import render, texts, world

GALLERY = 150
SEED = 77  # a world that the recipe never trained on: its seeds start at 1,000,000


@pytest.fixture(scope="module")
def scenes() -> list[world.SampleScene]:
    return world.make_scenes(GALLERY, SEED)


@pytest.fixture(scope="module")
def images(scenes: list[world.SampleScene]) -> np.ndarray:
    encoder = encoders.build("sample/vit", "image")
    return encoder.embed([encoder.preprocess(render.render(scene)) for scene in scenes])


def embedded(lines: list[str]) -> np.ndarray:
    encoder = encoders.build("sample/text", "text")
    return encoder.embed([encoder.preprocess(line) for line in lines])


def share_among_best_ten(queries: np.ndarray, gallery: np.ndarray) -> float:
    scores = queries @ gallery.T
    return float(((scores > np.diagonal(scores)[:, None]).sum(axis=1) < 10).mean())


@pytest.mark.parametrize("language", [0, 1])
def test_a_description_finds_its_unseen_scene(
    scenes: list[world.SampleScene], images: np.ndarray, language: int
) -> None:
    lines = [texts.descriptions(scene, SEED)[language] for scene in scenes]
    assert share_among_best_ten(embedded(lines), images) >= 0.95


def test_english_and_japanese_of_one_scene_land_together(scenes: list[world.SampleScene]) -> None:
    both = [texts.descriptions(scene, SEED)[:2] for scene in scenes]
    english, japanese = (embedded([pair[side] for pair in both]) for side in (0, 1))
    own = (english * japanese).sum(axis=1)
    others = (english @ japanese.T)[~np.eye(len(own), dtype=bool)]
    assert np.median(own) > 0.7
    assert share_among_best_ten(japanese, english) > 0.8
    assert np.median(own) > np.quantile(others, 0.95)


@pytest.mark.parametrize(
    ("query", "attribute", "value"),
    [
        ("night", "time_of_day", "night"),
        ("夜", "time_of_day", "night"),
        ("snow", "weather", "snow"),
        ("雪", "weather", "snow"),
        ("highway", "place", "highway"),
        ("turn left", "manoeuvre", "turn_left"),
        ("右折", "manoeuvre", "turn_right"),
    ],
)
def test_a_short_query_finds_its_attribute(
    scenes: list[world.SampleScene], images: np.ndarray, query: str, attribute: str, value: str
) -> None:
    truth = np.array([getattr(scene, attribute) == value for scene in scenes])
    best = np.argsort(-(images @ embedded([query])[0]))[:10]
    assert truth[best].mean() >= 0.8
    assert truth[best].mean() > 2 * truth.mean()


def test_width_and_case_of_letters_do_not_matter() -> None:
    plain = "a car stops at night. 夜に停止する車"
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in plain.upper())
    assert unicodedata.normalize("NFKC", wide).lower() == plain
    np.testing.assert_allclose(embedded([plain]), embedded([wide]), atol=1e-5)


def test_texts_of_any_length_and_any_script() -> None:
    vectors = embedded(["word " * 2000, "a", "नमस्ते 🚗\nзима", "\x00"])
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_shipped_files_are_small_and_hold_no_pickle() -> None:
    files = [path for path in weights_folder().iterdir() if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".md"}
    assert sum(path.stat().st_size for path in files) <= 10_000_000
    assert json.loads((weights_folder() / "sample_tokenizer.json").read_text(encoding="utf-8"))["model"]


def test_card_and_network_agree() -> None:
    card = encoders.card("sample/vit", "image")
    assert card.image_size_px == VisionShape().image_size_px
    assert card.dim == VisionShape().tower.out_dim == TextShape().tower.out_dim == DIM
    assert TextShape().context_length == CONTEXT_LENGTH
    assert encoders.card("sample/vit", "image", pool="mean").dim == VisionShape().tower.width


def test_poolings_of_the_picture_tower() -> None:
    picture = Image.new("RGB", (320, 180), (30, 90, 200))
    for pool, shape in (("cls", (1, 144)), ("mean", (1, 144)), ("grid", (1, 60, 144))):
        encoder = encoders.build("sample/vit", "image", pool=pool)  # type: ignore[arg-type]
        assert encoder.embed([encoder.preprocess(picture)]).shape == shape
        assert encoder.card.space is None


def test_padding_is_the_only_zero() -> None:
    class Words:
        def encode(self, text: str) -> object:
            return type("Found", (), {"ids": [1] * len(text)})

    ids = padded_ids(Words(), ["abc", "", "a" * 500])
    assert ids.shape == (3, CONTEXT_LENGTH)
    assert (ids > 0).sum(axis=1).tolist() == [3, 0, CONTEXT_LENGTH]


def test_other_weights_are_refused() -> None:
    with pytest.raises(EncoderError, match="shipped"):
        encoders.card("sample/vit", "image", "my.safetensors")


def test_a_damaged_installation_is_named(tmp_path: Path) -> None:
    from multimodal_search.encoders.sample_towers import SampleVit

    (tmp_path / "sample_vit.safetensors").write_bytes(b"nothing")
    with pytest.raises(EncoderError, match=r"sample_vit\.safetensors"):
        SampleVit(encoders.card("sample/vit", "image"), Runtime(), tmp_path)
