"""A vision transformer so small that it costs nothing: for measuring everything around an encoder."""

from __future__ import annotations

import json
import warnings
from pathlib import Path


def write_tiny_encoder(folder: Path, side_px: int = 16, dim: int = 32) -> str:
    """A folder as ``save_pretrained`` writes it, weights from a seed; returns the encoder's name.

    It goes the way of every DINOv2 or ViT, so nothing of the job is replaced for the measurement.
    """
    if not (folder / "model.safetensors").exists():
        import torch
        from transformers import ViTConfig, ViTModel

        torch.manual_seed(0)
        config = ViTConfig(
            hidden_size=dim,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=dim,
            image_size=side_px,
            patch_size=side_px,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ViTModel(config).save_pretrained(folder)
        processor = {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": side_px, "width": side_px},
            "resample": 2,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        }
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return f"hf/{folder}"
