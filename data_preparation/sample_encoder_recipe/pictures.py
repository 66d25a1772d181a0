"""Small pictures of sample scenes: drawn once, kept between runs, varied at every step."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from multimodal_search.encoders.sample import IMAGE_SIZE_PX
from multimodal_search.sources.sample import render, world

_CHUNK = 50


def draw(scenes: list[world.SampleScene], cache: Path, processes: int) -> np.ndarray:
    """(scenes, height, width, 3) uint8, in the encoder's size.

    The file in ``cache`` is named after the sample world's code, so any change of it draws them anew.
    """
    path = cache / f"pictures_{_code_digest()}_{scenes[0].seed}_{len(scenes)}.npy"
    if path.is_file():
        return np.asarray(np.load(path))
    chunks = [scenes[start : start + _CHUNK] for start in range(0, len(scenes), _CHUNK)]
    with ProcessPoolExecutor(processes) as pool:
        drawn = np.concatenate(list(pool.map(_draw_chunk, chunks)))
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, drawn)
    return drawn


def _code_digest() -> str:
    folder = Path(render.__file__).parent
    code = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(code).hexdigest()[:12]


def _draw_chunk(scenes: list[world.SampleScene]) -> np.ndarray:
    return np.stack([_draw_one(scene) for scene in scenes])


def _draw_one(scene: world.SampleScene) -> np.ndarray:
    """The scene's picture as a source would hand it over, through JPEG, squashed to the encoder's size."""
    random = np.random.default_rng([scene.seed, scene.index])
    buffer = io.BytesIO()
    render.render(scene).save(buffer, "JPEG", quality=int(random.integers(75, 96)))
    height, width = IMAGE_SIZE_PX
    small = Image.open(buffer).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small)


def scaled(pictures: np.ndarray) -> Tensor:
    """(n, height, width, 3) uint8 -> (n, 3, height, width) float32 in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def vary(pictures: np.ndarray, generator: torch.Generator) -> Tensor:
    """As ``scaled``, with each picture zoomed, shifted, re-lit and made noisy.

    Never mirrored: left and right are what a manoeuvre is about.
    """
    batch = scaled(pictures)
    count = len(batch)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    zoom, shift = uniform(0.9, 1.06, 2), uniform(-0.07, 0.07, 2)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom[:, 0], zoom[:, 1]
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, list(batch.shape), align_corners=False)
    batch = F.grid_sample(batch, grid, padding_mode="border", align_corners=False)
    contrast, brightness = uniform(0.85, 1.15, 1, 1, 1), uniform(-0.12, 0.12, 1, 1, 1)
    tint = uniform(-0.05, 0.05, 3, 1, 1)
    noise = torch.randn(batch.shape, generator=generator) * uniform(0.0, 0.06, 1, 1, 1)
    return (batch * contrast + brightness + tint + noise).clamp_(-1, 1)
