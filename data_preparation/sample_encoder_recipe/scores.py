"""How good the sample encoders are on scenes they have not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer

from multimodal_search.encoders.sample import padded_ids
from multimodal_search.encoders.sample_model import TextTower, VisionTower
from sample_encoder_recipe.corpus import Corpus
from sample_encoder_recipe.objective import Objective


@torch.inference_mode()
def embed_pictures(vision: VisionTower, pictures: np.ndarray) -> torch.Tensor:
    """(n, dim) unit vectors, pictures as they are."""
    batches = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(127.5).sub(1.0).split(256)
    return torch.nn.functional.normalize(torch.cat([vision(batch) for batch in batches]), dim=1)


@torch.inference_mode()
def embed_texts(text: TextTower, tokenizer: Tokenizer, lines: Sequence[str]) -> torch.Tensor:
    """(n, dim) unit vectors."""
    return torch.nn.functional.normalize(text(torch.from_numpy(padded_ids(tokenizer, lines))), dim=1)


def recall_at(queries: torch.Tensor, gallery: torch.Tensor, k: int) -> float:
    """Share of queries whose own row of the gallery is among the best k."""
    scores = queries @ gallery.T
    better = (scores > scores.diagonal()[:, None]).sum(dim=1)
    return float((better < k).float().mean())


def scores(
    vision: VisionTower, text: TextTower, heads: Objective, tokenizer: Tokenizer, corpus: Corpus, gallery: int
) -> dict[str, float]:
    """Recall over galleries of ``gallery`` scenes (averaged), and accuracy of each attribute."""
    vision.eval()
    text.eval()
    images = embed_pictures(vision, corpus.pictures)
    found: dict[str, float] = {}
    sides = {
        "en": embed_texts(text, tokenizer, [one[0] for one in corpus.english]),
        "ja": embed_texts(text, tokenizer, [one[0] for one in corpus.japanese]),
    }
    starts = range(0, len(corpus) - gallery + 1, gallery)
    for language, vectors in sides.items():
        for k in (1, 5, 10):
            rows = [recall_at(vectors[s : s + gallery], images[s : s + gallery], k) for s in starts]
            found[f"text[{language}]->image R@{k}"] = float(np.mean(rows))
    pairs = [recall_at(sides["ja"][s : s + gallery], sides["en"][s : s + gallery], 1) for s in starts]
    found["text[ja]->text[en] R@1"] = float(np.mean(pairs))
    with torch.inference_mode():
        for name, head in heads.single.items():
            labels = torch.from_numpy(corpus.labels[name])
            found[f"{name} from the picture"] = float((head(images).argmax(1) == labels).float().mean())
            found[f"{name} from English"] = float((head(sides["en"]).argmax(1) == labels).float().mean())
        users = torch.from_numpy(corpus.users) > 0.5
        found["road users from the picture"] = float(((heads.users(images * 12) > 0) == users).float().mean())
    vision.train()
    text.train()
    return found
