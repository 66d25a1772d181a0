"""Patch grids and other image sizes, over the families that have them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from multimodal_search import encoders
from multimodal_search.errors import EncoderError
from multimodal_search.types import EncoderCard, Modality

Arguments = Callable[[str], dict[str, Any]]
TINY = "open_clip/tiny-test-clip"


def embedded(encoder: encoders.FrozenEncoder, pictures: list[Image.Image]) -> np.ndarray:
    return encoder.embed([encoder.preprocess(one) for one in pictures])


@pytest.mark.parametrize(
    ("kind", "whole", "small"),
    [("sample image", (6, 10), (3, 5)), ("open_clip image", (4, 4), (2, 2)), ("hf image", (4, 4), (2, 2))],
)
def test_a_small_grid_is_the_average_of_the_whole_one(
    kind: str,
    whole: tuple[int, int],
    small: tuple[int, int],
    arguments: Arguments,
    pictures: list[Image.Image],
) -> None:
    given = arguments(kind)
    patches = embedded(encoders.build(**given, pool="grid"), pictures)
    encoder = encoders.build(**given, pool="grid", grid=small)
    dim = encoder.card.dim
    assert patches.shape == (5, whole[0] * whole[1], dim)
    step = whole[0] // small[0], whole[1] // small[1]
    cells = patches.reshape(5, small[0], step[0], small[1], step[1], dim).mean(axis=(2, 4))
    np.testing.assert_allclose(embedded(encoder, pictures), cells.reshape(5, -1, dim), atol=1e-5)
    assert encoder.card.normalise is False
    card = EncoderCard.from_json(json.loads(json.dumps(encoder.card.to_json())))
    again = encoders.build_from_card(card)
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(embedded(again, pictures), embedded(encoder, pictures))


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("open_clip/ViT-L-14", ("16x16", "196")),
        ("open_clip/ViT-B-16", ("14x14",)),
        ("open_clip/ViT-B-32", ("7x7",)),
        ("sample/vit", ("6x10",)),
    ],
)
def test_a_grid_that_does_not_divide_names_the_model_s_own(name: str, named: tuple[str, ...]) -> None:
    refused = (14, 14) if name != "open_clip/ViT-B-16" else (4, 4)
    with pytest.raises(EncoderError) as caught:
        encoders.card(name, "image", pool="grid", grid=refused)
    for one in named:
        assert one in str(caught.value)


def test_the_grids_of_the_command_line() -> None:
    for name, size, side in (
        ("ViT-B-16", None, 14),
        ("ViT-B-16", None, 7),
        ("ViT-B-32", None, 7),
        ("ViT-L-14", 196, 14),
    ):
        card = encoders.card(f"open_clip/{name}", "image", pool="grid", grid=(side, side), image_size=size)
        assert card.options["grid"] == [side, side]
        assert card.image_size_px == ((size or 224),) * 2


def test_models_without_patch_tokens_say_which_have_them() -> None:
    for name in ("open_clip/RN50", "open_clip/RN50x4", "open_clip/coca_ViT-B-32"):
        with pytest.raises(EncoderError) as caught:
            encoders.card(name, "image", "random", pool="grid")
        for one in ("ViT-B-16", "hf/", "sample/vit"):
            assert one in str(caught.value)


def test_open_clip_at_another_size_is_the_library_s_own(
    clip_weights: Path, pictures: list[Image.Image]
) -> None:
    model, _, transform = open_clip.create_model_and_transforms(
        "tiny-test-clip", pretrained=str(clip_weights), force_image_size=48
    )
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(one) for one in pictures])).numpy()
    encoder = encoders.build(TINY, "image", str(clip_weights), image_size=48)
    own = encoders.build(TINY, "image", str(clip_weights))
    np.testing.assert_allclose(
        encoder.encode([encoder.preprocess(one) for one in pictures]), expected, atol=1e-5
    )
    assert encoder.card.image_size_px == (48, 48)
    assert encoder.fingerprint != own.fingerprint
    assert encoders.build_from_card(encoder.card).fingerprint == encoder.fingerprint
    assert encoders.build(TINY, "image", str(clip_weights), image_size=32).fingerprint == own.fingerprint
    with pytest.raises(EncoderError, match="48 or 56"):
        encoders.card(TINY, "image", str(clip_weights), image_size=50)
    with pytest.raises(EncoderError, match="224 x 224"):
        encoders.card("open_clip/RN50", "image", image_size=336)


@pytest.mark.parametrize(("resize", "mode"), [("crop", "shortest"), ("pad", "longest"), ("squash", "squash")])
def test_open_clip_resized_otherwise_is_the_library_s_own(
    resize: str, mode: str, clip_weights: Path, pictures: list[Image.Image]
) -> None:
    model, _, transform = open_clip.create_model_and_transforms(
        "tiny-test-clip", pretrained=str(clip_weights), image_resize_mode=mode
    )
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(one) for one in pictures])).numpy()
    encoder = encoders.build(TINY, "image", str(clip_weights), resize=resize)
    np.testing.assert_allclose(
        encoder.encode([encoder.preprocess(one) for one in pictures]), expected, atol=1e-5
    )
    own = encoders.build(TINY, "image", str(clip_weights))
    assert (encoder.fingerprint == own.fingerprint) == (resize == "crop")


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    folder = tmp_path_factory.mktemp("a squashing ViT")
    torch.manual_seed(8)
    config = ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
    )
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_transformers_at_another_size_is_the_library_s_own(
    vit_folder: Path, hf_folders: dict[Modality, Path], pictures: list[Image.Image]
) -> None:
    from transformers import AutoImageProcessor, AutoModel

    cases = [
        (vit_folder, 48, {"size": {"height": 48, "width": 48}}, {"interpolate_pos_encoding": True}),
        (
            hf_folders[Modality.IMAGE],
            84,
            {"size": {"shortest_edge": 96}, "crop_size": {"height": 84, "width": 84}},
            {},
        ),
    ]
    for folder, side, sizes, arguments in cases:
        model = AutoModel.from_pretrained(folder).eval()
        processor = AutoImageProcessor.from_pretrained(folder)
        with torch.inference_mode():
            output = model(**processor(images=pictures, return_tensors="pt", **sizes), **arguments)
        encoder = encoders.build(f"hf/{folder}", "image", image_size=side)
        found = encoder.encode([encoder.preprocess(one) for one in pictures])
        np.testing.assert_allclose(found, output.pooler_output.numpy(), atol=1e-5)
        assert encoder.fingerprint != encoders.build(f"hf/{folder}", "image").fingerprint
        again = encoders.build_from_card(
            EncoderCard.from_json(json.loads(json.dumps(encoder.card.to_json())))
        )
        assert again.fingerprint == encoder.fingerprint


def test_transformers_resized_otherwise(vit_folder: Path, pictures: list[Image.Image]) -> None:
    own = encoders.build(f"hf/{vit_folder}", "image")
    prints = {own.fingerprint}
    for resize in ("crop", "pad"):
        encoder = encoders.build(f"hf/{vit_folder}", "image", resize=resize)
        prints.add(encoder.fingerprint)
        assert encoder.preprocess(pictures[3]).shape == (32, 32, 3)
    assert len(prints) == 3
    assert encoders.build(f"hf/{vit_folder}", "image", resize="squash").fingerprint == own.fingerprint
    padded = encoders.build(f"hf/{vit_folder}", "image", resize="pad").preprocess(pictures[3])
    assert (padded[0] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(EncoderError, match="multiple"):
            encoders.card(f"hf/{vit_folder}", "image", image_size=50)
