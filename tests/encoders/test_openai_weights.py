"""OpenAI's models: their names, their ResNets, their activation, and the files that they publish."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import nn

from multimodal_search import encoders
from multimodal_search.encoders.open_clip_weights import quick_gelu

OPENAI = (
    "RN50",
    "RN101",
    "RN50x4",
    "RN50x16",
    "RN50x64",
    "ViT-B/32",
    "ViT-B/16",
    "ViT-L/14",
    "ViT-L/14@336px",
)


@pytest.mark.parametrize("name", OPENAI)
def test_every_name_of_openai_is_accepted_with_their_activation(name: str) -> None:
    card = encoders.card(f"open_clip/{name}", "image", "openai")
    assert quick_gelu(card.name.partition("/")[2], card.weights)
    assert card.licence == "MIT"


def test_usual_weights() -> None:
    usual = {name: encoders.card(f"open_clip/{name}", "image").weights for name in OPENAI}
    assert {usual[name] for name in OPENAI if name.startswith("RN")} == {"openai"}
    assert usual["ViT-L/14@336px"] == "openai"
    assert usual["ViT-B/32"] == "laion2b_s34b_b79k"
    assert encoders.card("open_clip/ViT-B-32-quickgelu", "image").weights == "openai"
    assert not quick_gelu("ViT-B-32", "laion2b_s34b_b79k")
    assert quick_gelu("ViT-B-32", "laion400m_e32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "width", "size"),
    [((3, 4, 6, 3), 64, 224), ((1, 1, 2, 1), 80, 288)],
    ids=["RN50", "RN50x4-shaped"],
)
def test_resnets_come_out_as_the_library_has_them(
    layers: tuple[int, ...], width: int, size: int, pictures: list[Image.Image], tmp_path: Path
) -> None:
    config = {
        "embed_dim": 640,
        "vision_cfg": {"image_size": size, "layers": list(layers), "width": width, "patch_size": None},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    name = f"resnet-{width}"
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(path)
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model, _, transform = open_clip.create_model_and_transforms(name)
        encoder = encoders.build(f"open_clip/{name}", "image", "random")
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(one) for one in pictures])).numpy()
    found = encoder.encode([encoder.preprocess(one) for one in pictures])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert encoder.card.image_size_px == (size, size)


class _Archive(nn.Module):
    """Weights under their names, as a module that TorchScript can hold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def _published(state: dict[str, torch.Tensor], path: Path) -> Path:
    root = _Archive()
    for name, tensor in {**state, "input_resolution": torch.tensor(32)}.items():
        place: nn.Module = root
        *folders, last = name.split(".")
        for folder in folders:
            if not hasattr(place, folder):
                place.add_module(folder, _Archive())
            place = getattr(place, folder)
        place.register_buffer(last, tensor.half() if tensor.is_floating_point() else tensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(root), str(path))
    return path


def test_a_file_as_openai_publishes_it_has_their_activation(
    clip_weights: Path, pictures: list[Image.Image], tmp_path: Path
) -> None:
    state = {
        name: tensor.half().float() for name, tensor in torch.load(clip_weights, weights_only=True).items()
    }
    path = _published(state, tmp_path / "ViT-B-32.pt")
    model, _, transform = open_clip.create_model_and_transforms("tiny-test-clip", force_quick_gelu=True)
    model.load_state_dict(state)
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(one) for one in pictures])).numpy()
    encoder = encoders.build("open_clip/tiny-test-clip", "image", str(path))
    np.testing.assert_allclose(
        encoder.encode([encoder.preprocess(one) for one in pictures]), expected, atol=1e-5
    )
    assert (
        encoder.fingerprint
        != encoders.build("open_clip/tiny-test-clip", "image", str(clip_weights)).fingerprint
    )


def test_a_file_in_openai_s_repository_has_their_activation(clip_weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = torch.load(clip_weights, weights_only=True)
    for folder, theirs in (
        ("models--timm--vit_base_patch32_clip_224.openai", True),
        ("my openai files", False),
    ):
        path = tmp_path / folder / "snapshots" / "0a1b" / "open_clip_model.safetensors"
        path.parent.mkdir(parents=True)
        save_file(state, path)
        assert quick_gelu("tiny-test-clip", str(path)) is theirs
