"""Small models of each library, made on the spot, and inputs of each modality."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from multimodal_search.types import Modality, Series

TINY = "tiny-test-clip"
CHANNELS = ("speed_mps", "yaw_rate_radps", "brake", "channel_03")
SENTENCES = (
    "A car turns left at a wet junction.",
    "雨の交差点を左折する車",
    "pedestrians crossing",
    "x",
    "a parked truck, night, rain " * 3,
)


def _save_text_folder(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<unk>", "<cls>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<cls>",
        model_max_length=40,
    )
    fast.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(fast),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    torch.manual_seed(3)
    BertModel(config).save_pretrained(folder)


def _save_vision_folder(folder: Path) -> None:
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(4)
    config = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=4, image_size=28, patch_size=14, mlp_ratio=2
    )
    Dinov2Model(config).save_pretrained(folder)
    processor = BitImageProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 56, "width": 56}, do_center_crop=True
    )
    processor.save_pretrained(folder)


@pytest.fixture(scope="session")
def hf_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Modality, Path]:
    """A tiny DINOv2 and a tiny BERT, as ``save_pretrained`` writes them."""
    root = tmp_path_factory.mktemp("transformers models")
    folders = {Modality.IMAGE: root / "dinov2", Modality.TEXT: root / "bert"}
    _save_vision_folder(folders[Modality.IMAGE])
    _save_text_folder(folders[Modality.TEXT])
    return folders


@pytest.fixture(scope="session")
def clip_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP registered with open_clip, and its random weights in a file."""
    import open_clip

    folder = tmp_path_factory.mktemp("open_clip model")
    config = {
        "embed_dim": 20,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    path = folder / f"{TINY}.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(path)
    torch.manual_seed(5)
    weights = folder / "weights.pt"
    torch.save(open_clip.create_model(TINY).state_dict(), weights)
    return weights


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """RGB pictures of several sizes: noise, a gradient, one colour."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    gradient = np.linspace(0, 255, 120 * 80 * 3).reshape(120, 80, 3).astype(np.uint8)
    flat = np.full((20, 300, 3), 90, dtype=np.uint8)
    wide = random.integers(0, 256, (225, 400, 3), dtype=np.uint8)
    return [Image.fromarray(one) for one in (noise, gradient, flat, wide, noise[::-1].copy())]


def _series(random: np.random.Generator, rate_hz: float, seconds: float, channels: tuple[str, ...]) -> Series:
    times = 1000.0 + np.arange(0, seconds, 1 / rate_hz)
    return Series(times, random.normal(size=(len(times), len(channels))), channels)


@pytest.fixture(scope="session")
def signals() -> list[Series]:
    """Signals of several lengths, rates and sets of channels."""
    random = np.random.default_rng(1)
    return [
        _series(random, 10, 20, CHANNELS),
        _series(random, 100, 8, CHANNELS[:2]),
        _series(random, 2, 20, ("brake", "unknown")),
        _series(random, 10, 0.05, CHANNELS),
        _series(random, 50, 31.7, CHANNELS[::-1]),
    ]


@pytest.fixture(scope="session")
def inputs(pictures: list[Image.Image], signals: list[Series]) -> dict[Modality, list[Any]]:
    """Five raw inputs a modality."""
    return {Modality.IMAGE: pictures, Modality.TEXT: list(SENTENCES), Modality.TIMESERIES: signals}


@pytest.fixture(scope="session")
def arguments(hf_folders: dict[Modality, Path], clip_weights: Path) -> Callable[[str], dict[str, Any]]:
    """What ``encoders.build`` needs for each family's test model, by a short name."""
    clip = {"name": f"open_clip/{TINY}", "weights": str(clip_weights)}
    known: dict[str, dict[str, Any]] = {
        "sample image": {"name": "sample/vit", "modality": "image"},
        "sample text": {"name": "sample/text", "modality": "text"},
        "open_clip image": {**clip, "modality": "image"},
        "open_clip text": {**clip, "modality": "text"},
        "hf image": {"name": f"hf/{hf_folders[Modality.IMAGE]}", "modality": "image"},
        "hf text": {"name": f"hf/{hf_folders[Modality.TEXT]}", "modality": "text"},
        "statistics": {"name": "timeseries/statistics", "modality": "timeseries", "channels": CHANNELS},
        "kernels": {"name": "timeseries/kernels", "modality": "timeseries", "channels": CHANNELS},
    }
    return known.__getitem__
