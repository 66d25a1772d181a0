"""open_clip towers against the library itself, and their refusals."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from multimodal_search import encoders
from multimodal_search.encoders.open_clip import library_name
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.errors import EncoderError

TINY = "open_clip/tiny-test-clip"


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache and a hub address where nobody answers."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "cache"


def test_images_come_out_as_the_library_has_them(clip_weights: Path, pictures: list[Image.Image]) -> None:
    model, _, transform = open_clip.create_model_and_transforms(
        "tiny-test-clip", pretrained=str(clip_weights)
    )
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(one) for one in pictures])).numpy()
    encoder = encoders.build(TINY, "image", str(clip_weights))
    found = encoder.encode([encoder.preprocess(one) for one in pictures])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_texts_come_out_as_the_library_has_them(clip_weights: Path) -> None:
    lines = ["a red car turns left", "雨の交差点", "word " * 2000]
    model = open_clip.create_model("tiny-test-clip", pretrained=str(clip_weights))
    tokens = open_clip.get_tokenizer("tiny-test-clip")(lines)
    with torch.inference_mode():
        expected = model.eval().encode_text(tokens).numpy()
    encoder = encoders.build(TINY, "text", str(clip_weights))
    np.testing.assert_allclose(encoder.encode(lines), expected, atol=1e-5)


_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
_TRANSFORMER = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
_RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("tiny-resnet", {"embed_dim": 20, "vision_cfg": _RESNET, "text_cfg": _TEXT}),
        (
            "tiny-text-of-its-own",
            {"embed_dim": 20, "custom_text": True, "vision_cfg": _TRANSFORMER, "text_cfg": _TEXT},
        ),
        (
            "tiny-quickgelu",
            {"embed_dim": 20, "quick_gelu": True, "vision_cfg": _TRANSFORMER, "text_cfg": _TEXT},
        ),
    ],
)
def test_other_architectures_come_out_as_the_library_has_them(
    name: str, config: dict[str, object], pictures: list[Image.Image], tmp_path: Path
) -> None:
    path, weights = tmp_path / f"{name}.json", tmp_path / "weights.pt"
    path.write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(path)
    torch.manual_seed(6)
    torch.save(open_clip.create_model(name).state_dict(), weights)
    model, _, transform = open_clip.create_model_and_transforms(name, pretrained=str(weights))
    lines = ["a red car turns left", "雨の交差点"]
    with torch.inference_mode():
        images = model.eval().encode_image(torch.stack([transform(one) for one in pictures])).numpy()
        texts = model.encode_text(open_clip.get_tokenizer(name)(lines)).numpy()
    image = encoders.build(f"open_clip/{name}", "image", str(weights))
    text = encoders.build(f"open_clip/{name}", "text", str(weights))
    np.testing.assert_allclose(image.encode([image.preprocess(one) for one in pictures]), images, atol=1e-5)
    np.testing.assert_allclose(text.encode(lines), texts, atol=1e-5)
    assert image.fingerprint != text.fingerprint


def test_safetensors_weights_give_the_same_encoder(clip_weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file(torch.load(clip_weights, weights_only=True), path)
    first = encoders.build(TINY, "image", str(clip_weights))
    assert encoders.build(TINY, "image", str(path)).fingerprint == first.fingerprint


def test_two_towers_share_one_model_in_memory(clip_weights: Path) -> None:
    image = encoders.build(TINY, "image", str(clip_weights))
    text = encoders.build(TINY, "text", str(clip_weights))
    assert image._module is text._module  # type: ignore[attr-defined]
    assert image.fingerprint != text.fingerprint
    assert image.card.space == text.card.space


def test_random_weights_warn_and_are_the_same_each_time(clip_weights: Path) -> None:
    prints = []
    for _ in range(2):
        with pytest.warns(UserWarning, match="random weights"):
            prints.append(encoders.build(TINY, "image", "random").fingerprint)
    assert prints[0] == prints[1]
    assert prints[0] != encoders.build(TINY, "image", str(clip_weights)).fingerprint


def test_poolings_over_patches(clip_weights: Path, pictures: list[Image.Image]) -> None:
    def embedded(pool: str, **options: object) -> np.ndarray:
        encoder = encoders.build(TINY, "image", str(clip_weights), pool=pool, **options)  # type: ignore[arg-type]
        result = encoder.embed([encoder.preprocess(one) for one in pictures])
        assert result.shape[-1] == encoder.card.dim == 64
        return result

    assert embedded("cls").shape == embedded("mean").shape == (5, 64)
    whole, halved = embedded("grid"), embedded("grid", grid=(2, 2))
    assert (whole.shape, halved.shape) == ((5, 16, 64), (5, 4, 64))
    cells = whole.reshape(5, 2, 2, 2, 2, 64).mean(axis=(2, 4)).reshape(5, 4, 64)
    np.testing.assert_allclose(halved, cells, atol=1e-5)  # averages, not normalised
    with pytest.raises(EncoderError, match="4x4"):
        encoders.card(TINY, "image", str(clip_weights), pool="grid", grid=(3, 3))
    with pytest.raises(EncoderError, match="ViT"):
        encoders.card("open_clip/RN50", "image", "openai", pool="mean")


@pytest.mark.parametrize(
    ("given", "library"),
    [
        ("ViT-L/14", "ViT-L-14"),
        ("ViT-L/14@336px", "ViT-L-14-336"),
        ("RN50x4", "RN50x4"),
        ("ViT-B/32", "ViT-B-32"),
    ],
)
def test_openai_spellings(given: str, library: str) -> None:
    assert library_name(given) == library
    assert encoders.card(f"open_clip/{given}", "image", "openai").name == f"open_clip/{library}"


def test_the_default_card_is_known_without_its_weights() -> None:
    card = encoders.card("open_clip/ViT-L-14", "image")
    assert (card.weights, card.dim, card.image_size_px) == ("laion2b_s32b_b82k", 768, (224, 224))


def test_unknown_weights_name_the_nearest_tag() -> None:
    with pytest.raises(EncoderError, match="laion2b_s32b_b82k"):
        encoders.card("open_clip/ViT-L-14", "image", "laion2b_s32b")


def test_unreachable_weights_name_the_ways_out(no_hub: Path) -> None:
    with pytest.raises(EncoderError) as caught:
        encoders.build("open_clip/ViT-B-32", "image", "laion2b_s34b_b79k")
    message = str(caught.value)
    for way in (str(no_hub), "--image-weights", "HF_ENDPOINT", "--image-encoder sample/vit"):
        assert way in message


def test_offline_by_setting_is_named(no_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EncoderError, match="HF_HUB_OFFLINE is set"):
        encoders.build("open_clip/ViT-B-32", "text", "laion2b_s34b_b79k")


def test_an_unreachable_tokenizer_is_the_same_error(no_hub: Path) -> None:
    from multimodal_search.encoders.open_clip_towers import ClipText

    card = encoders.card("open_clip/ViT-B-16-SigLIP", "text", "webli")
    with pytest.raises(EncoderError, match="HF_ENDPOINT"):
        ClipText(card, torch.nn.Identity(), Runtime(), {})


def test_a_file_that_is_no_checkpoint_is_named(clip_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(b"this is not a checkpoint")
    with pytest.raises(EncoderError, match=r"broken\.pt"):
        encoders.build(TINY, "image", str(path))


def test_weights_of_another_model_are_refused(clip_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"visual.other": torch.zeros(3)}, path)
    with pytest.raises(EncoderError, match="do not load"):
        encoders.build(TINY, "image", str(path))


def test_loading_leaves_logging_alone(clip_weights: Path) -> None:
    import logging

    before = list(logging.getLogger().handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoders.build(TINY, "text", "random")
    assert logging.getLogger().handlers == before
