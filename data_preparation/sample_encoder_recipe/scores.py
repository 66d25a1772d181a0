"""How good the sample encoders are on scenes they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from multimodal_search.encoders.sample import padded_ids
from multimodal_search.encoders.sample_model import TextTower, VisionTower
from multimodal_search.sources.sample import texts, world
from sample_encoder_recipe.captions import SINGLE, Meaning
from sample_encoder_recipe.objective import Objective
from sample_encoder_recipe.pictures import scaled


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Scenes for measuring: pictures (n, height, width, 3), what is true, and the primary texts."""

    pictures: np.ndarray
    truth: Meaning
    english: list[str]
    japanese: list[str]


@torch.inference_mode()
def embed_pictures(vision: VisionTower, pictures: np.ndarray) -> Tensor:
    """(n, dim) unit vectors."""
    return F.normalize(torch.cat([vision(batch) for batch in scaled(pictures).split(200)]), dim=1)


@torch.inference_mode()
def embed_texts(text: TextTower, tokenizer: Tokenizer, lines: Sequence[str]) -> Tensor:
    """(n, dim) unit vectors."""
    return F.normalize(text(torch.from_numpy(padded_ids(tokenizer, lines))), dim=1)


def recall_at(queries: Tensor, gallery: Tensor, k: int, size: int) -> float:
    """Share of queries whose own row is among the best ``k``, over galleries of ``size`` rows in turn."""
    found = []
    for start in range(0, len(gallery) - size + 1, size):
        similar = queries[start : start + size] @ gallery[start : start + size].T
        found.append((similar > similar.diagonal()[:, None]).sum(dim=1) < k)
    return float(torch.cat(found).float().mean())


def scores(
    vision: VisionTower, text: TextTower, heads: Objective, tokenizer: Tokenizer, held: HeldOut, size: int
) -> dict[str, float]:
    """Recall over galleries of ``size`` scenes, attributes read off, precision of short queries."""
    images = embed_pictures(vision, held.pictures)
    sides = {
        "en": embed_texts(text, tokenizer, held.english),
        "ja": embed_texts(text, tokenizer, held.japanese),
    }
    found: dict[str, float] = {}
    for language, vectors in sides.items():
        for k in (1, 10):
            found[f"text[{language}]->image R@{k}"] = recall_at(vectors, images, k, size)
    found["text[ja]->text[en] R@1"] = recall_at(sides["ja"], sides["en"], 1, size)
    with torch.inference_mode():
        for source, vectors in (("picture", images), ("en", sides["en"])):
            codes, users = heads.predicted(vectors)
            right = (codes == held.truth.codes).float().mean(dim=0).tolist()
            found |= {f"{name} from {source}": one for name, one in zip(SINGLE, right, strict=True)}
            found[f"road users from {source}"] = float((users == (held.truth.users > 0.5)).float().mean())
    for language in ("en", "ja"):
        found[f"short query[{language}] P@10"] = _short_queries(text, tokenizer, images, held.truth, language)
    return found


def _short_queries(
    text: TextTower, tokenizer: Tokenizer, images: Tensor, truth: Meaning, language: texts.Language
) -> float:
    """Mean precision among the ten best pictures, over the commonest phrase of every attribute's values."""
    found = []
    for name, values in world.ATTRIBUTES.items():
        lines = [texts.phrases(name, value, language)[0] for value in values]
        best = (embed_texts(text, tokenizer, lines) @ images.T).topk(10, dim=1).indices
        for index, rows in enumerate(best):
            if name == "road_user":
                right = truth.users[rows, index] > 0.5
            else:
                right = truth.codes[rows, list(SINGLE).index(name)] == index
            found.append(float(right.float().mean()))
    return float(np.mean(found))
