"""What the sample encoders learn from: small pictures of scenes, their descriptions, their attributes."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from multimodal_search.encoders.sample import IMAGE_SIZE_PX
from multimodal_search.sources.sample import render, texts, world

SINGLE = {name: values for name, values in world.ATTRIBUTES.items() if name != "road_user"}
"""Attributes of which a scene has exactly one value; of road users it has several."""
_JAPANESE = re.compile(r"[぀-ヿ一-鿿]")
_BREAKS = re.compile(r"(?<=[,.;、。])\s*")
_TRAILING = ",.;、。 "
_TEXT_SEEDS = (0, 1, 2)  # as many wordings of each scene


@dataclass(frozen=True, slots=True)
class Corpus:
    """Scenes as arrays.

    Attributes:
        pictures: (scenes, height, width, 3) uint8.
        english: a scene: its English descriptions, the primary one first.
        japanese: a scene: its Japanese descriptions, the primary one first.
        labels: attribute -> (scenes,) int64 class, for the attributes of one value.
        users: (scenes, kinds) float32, 1 where that kind of road user is there.
    """

    pictures: np.ndarray
    english: list[list[str]]
    japanese: list[list[str]]
    labels: dict[str, np.ndarray]
    users: np.ndarray

    def __len__(self) -> int:
        return len(self.pictures)


def build(scenes: Sequence[world.SampleScene], cache: Path, processes: int) -> Corpus:
    """Render, describe and label; pictures are kept in ``cache`` between runs.

    Their file's name holds the world's version, so a change of the renderer draws them anew.
    """
    path = cache / f"pictures_v{world.VERSION}_{scenes[0].seed}_{len(scenes)}.npy"
    if path.is_file():
        pictures = np.load(path)
    else:
        chunks = [scenes[start : start + 64] for start in range(0, len(scenes), 64)]
        with ProcessPoolExecutor(processes) as pool:
            pictures = np.concatenate(list(pool.map(_pictures, chunks)))
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, pictures)
    english, japanese = [], []
    for scene in scenes:
        found = list(dict.fromkeys(text for seed in _TEXT_SEEDS for text in texts.descriptions(scene, seed)))
        english.append([text for text in found if not _JAPANESE.search(text)])
        japanese.append([text for text in found if _JAPANESE.search(text)])
    labels = {
        name: np.array([values.index(getattr(scene, name)) for scene in scenes])
        for name, values in SINGLE.items()
    }
    users = np.array(
        [[kind in scene.road_users for kind in world.ROAD_USERS] for scene in scenes], np.float32
    )
    return Corpus(pictures, english, japanese, labels, users)


def phrases(text: str, random: np.random.Generator) -> str:
    """A random non-empty subset of a description's phrases, in order: short queries look like this."""
    parts = [part.strip() for part in _BREAKS.split(text) if part.strip()]
    if len(parts) < 2:
        return text
    keep = random.random(len(parts)) < random.uniform(0.2, 0.9)
    if not keep.any():
        keep[random.integers(len(parts))] = True
    return " ".join(part for part, kept in zip(parts, keep, strict=True) if kept).rstrip(_TRAILING)


def _pictures(scenes: Sequence[world.SampleScene]) -> np.ndarray:
    return np.stack([_picture(scene) for scene in scenes])


def _picture(scene: world.SampleScene) -> np.ndarray:
    """The scene's picture as a source would hand it over: through JPEG, squashed to the encoder's size."""
    random = np.random.default_rng([scene.seed, scene.index])
    drawn = render.render(scene)
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=int(random.integers(75, 96)))
    height, width = IMAGE_SIZE_PX
    decoded = Image.open(buffer).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(decoded)
