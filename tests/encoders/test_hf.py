"""transformers models against the library itself, and their refusals."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from multimodal_search import encoders
from multimodal_search.errors import EncoderError
from multimodal_search.types import Modality


def test_vision_output_is_the_library_s_own(
    hf_folders: dict[Modality, Path], pictures: list[Image.Image]
) -> None:
    folder = hf_folders[Modality.IMAGE]
    processor, model = AutoImageProcessor.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        output = model(**processor(images=pictures, return_tensors="pt"))
    patches = output.last_hidden_state[:, 1:]
    expected = {
        "default": output.pooler_output,
        "cls": output.last_hidden_state[:, 0],
        "mean": patches.mean(dim=1),
        "grid": patches,
    }
    for pool, wanted in expected.items():
        encoder = encoders.build(f"hf/{folder}", "image", pool=pool)  # type: ignore[arg-type]
        found = encoder.encode([encoder.preprocess(one) for one in pictures])
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_text_output_is_the_mean_over_real_tokens(hf_folders: dict[Modality, Path]) -> None:
    folder = hf_folders[Modality.TEXT]
    lines = ["a red car", "雨の交差点を左折する車", "word " * 500]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    expected = []
    for line in lines:
        tokens = tokenizer(line, truncation=True, max_length=40, return_tensors="pt")
        with torch.inference_mode():
            expected.append(model(**tokens).last_hidden_state[0].mean(dim=0).numpy())
    encoder = encoders.build(f"hf/{folder}", "text")
    np.testing.assert_allclose(encoder.encode(lines), np.stack(expected), atol=1e-5)


def test_the_card_comes_from_the_configuration(hf_folders: dict[Modality, Path], tmp_path: Path) -> None:
    folder = tmp_path / "no weights"
    shutil.copytree(hf_folders[Modality.IMAGE], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    card = encoders.card(f"hf/{folder}", "image")
    assert (card.dim, card.image_size_px, card.normalise) == (24, (56, 56), True)
    with pytest.raises(EncoderError, match=r"model\.safetensors"):
        encoders.build(f"hf/{folder}", "image")
    with pytest.warns(UserWarning, match="random"):
        first = encoders.build(f"hf/{folder}", "image", "random")
    with pytest.warns(UserWarning, match="random"):
        assert encoders.build(f"hf/{folder}", "image", "random").fingerprint == first.fingerprint


def test_weights_may_be_a_folder_of_their_own(hf_folders: dict[Modality, Path]) -> None:
    folder = hf_folders[Modality.TEXT]
    by_name = encoders.build(f"hf/{folder}", "text")
    by_weights = encoders.build("hf/sentence-transformers/some-model", "text", str(folder))
    assert by_weights.fingerprint == by_name.fingerprint
    with pytest.raises(EncoderError, match="not a folder"):
        encoders.card("hf/sentence-transformers/some-model", "text", str(folder / "absent"))


def test_average_pooled_grid(hf_folders: dict[Modality, Path], pictures: list[Image.Image]) -> None:
    name = f"hf/{hf_folders[Modality.IMAGE]}"
    encoder = encoders.build(name, "image", pool="grid", grid=(2, 2))
    whole = encoders.build(name, "image", pool="grid")
    ready = [encoder.preprocess(pictures[0])]
    cells = whole.encode(ready).reshape(2, 2, 2, 2, 24).mean(axis=(1, 3)).reshape(1, 4, 24)
    np.testing.assert_allclose(encoder.encode(ready), cells, atol=1e-5)
    with pytest.raises(EncoderError, match="4x4"):
        encoders.card(name, "image", pool="grid", grid=(3, 3))


def test_a_text_model_is_not_an_image_encoder(hf_folders: dict[Modality, Path]) -> None:
    with pytest.raises(EncoderError, match="text model"):
        encoders.card(f"hf/{hf_folders[Modality.TEXT]}", "image")
    with pytest.raises(EncoderError, match="image model"):
        encoders.card(f"hf/{hf_folders[Modality.IMAGE]}", "text")


def test_models_with_two_towers_are_sent_to_open_clip(tmp_path: Path) -> None:
    from transformers import CLIPConfig

    CLIPConfig().save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="open_clip"):
        encoders.card(f"hf/{tmp_path}", "image")


def test_unreachable_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EncoderError) as caught:
        encoders.build("hf/somebody/absent-model", "text")
    assert "HF_ENDPOINT" in str(caught.value)
    assert "--text-weights" in str(caught.value)


def test_a_folder_without_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"config\.json"):
        encoders.card(f"hf/{tmp_path}", "image")
    with pytest.raises(EncoderError, match="neither a folder"):
        encoders.card(f"hf/{tmp_path / 'absent'}", "image")
