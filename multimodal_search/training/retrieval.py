"""How well scenes find themselves across modalities: the figure that chooses checkpoints and starts.

Small on purpose: one moment a scene is the gallery, a few different moments are averaged, and the figure is
kept for each scene, so that two sets of heads can be compared scene by scene. The report's figures come from
``metrics``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from multimodal_search.projectors.heads import Projector
from multimodal_search.training.batches import gather_rows, pairs_of
from multimodal_search.types import FloatArray, IntArray, Modality, MomentFeatures

MOST_VIEWS = 4


@dataclass(slots=True)  # not frozen: Lightning refuses to move such to a device
class RetrievalSet:
    """Features of a few moments of each scene.

    Attributes:
        vectors: (views, scenes, dim) a modality; zeros where a scene lacks it.
        present: (scenes,) bool a modality.
    """

    vectors: dict[Modality, Tensor]
    present: dict[Modality, Tensor]

    @property
    def scenes(self) -> int:
        """How many scenes."""
        return len(next(iter(self.present.values()))) if self.present else 0


def retrieval_set(features: MomentFeatures) -> RetrievalSet:
    """Evenly spaced moments of each scene, at most ``MOST_VIEWS``; texts take turns among all captions."""
    scenes = {scene: number for number, scene in enumerate(features.scenes())}
    scene_of = np.array([scenes[item.scene_id] for item in features.items], dtype=np.int64)
    vectors, present = {}, {}
    for modality, one in features.sets.items():
        every = modality is Modality.TEXT
        link_scene = scene_of[one.item_index]
        rows_of = []
        primary = set(one.primary_rows(len(features.items)).tolist())
        for scene in range(len(scenes)):
            rows = one.row_index[link_scene == scene]
            if not every:
                rows = np.array([row for row in rows.tolist() if row in primary], dtype=np.int64)
            rows_of.append(rows[np.sort(np.unique(rows, return_index=True)[1])])
        views = max(1, min(MOST_VIEWS, max((len(rows) for rows in rows_of), default=1)))
        vectors[modality] = torch.from_numpy(_views(one.vectors, rows_of, views))
        present[modality] = torch.from_numpy(np.array([len(rows) > 0 for rows in rows_of], dtype=bool))
    return RetrievalSet(vectors, present)


def _views(vectors: FloatArray, rows_of: list[IntArray], views: int) -> FloatArray:
    out = np.zeros((views, len(rows_of), vectors.shape[1]), dtype=np.float32)
    for scene, rows in enumerate(rows_of):
        if len(rows):
            # the middles of equal stretches: one view is the middle moment, several spread over the scene
            picks = rows[((np.arange(views) + 0.5) / views * len(rows)).astype(np.int64)]
            out[:, scene] = gather_rows(vectors, picks)
    return out


@torch.no_grad()
def reciprocal_ranks(
    heads: Mapping[Modality, Projector], data: RetrievalSet
) -> dict[tuple[Modality, Modality], FloatArray]:
    """(scenes,) mean reciprocal rank of each scene, each direction; NaN where the scene lacks a side."""
    shared = [modality for modality in data.vectors if modality in heads]
    projected = {modality: heads[modality](data.vectors[modality]) for modality in shared}
    out = {}
    for one, two in pairs_of(dict.fromkeys(shared)):
        both = data.present[one] & data.present[two]
        if int(both.sum()) < 2:
            continue
        a, b = projected[one][:, both], projected[two][:, both]
        for query, gallery, direction in ((a, b, (one, two)), (b, a, (two, one))):
            views = max(len(query), len(gallery))
            ranks = [_ranks(query[v % len(query)], gallery[v % len(gallery)]) for v in range(views)]
            values = np.full(data.scenes, np.nan)
            values[both.cpu().numpy()] = (1 / torch.stack(ranks)).mean(dim=0).cpu().numpy()
            out[direction] = values
    return out


def _ranks(queries: Tensor, gallery: Tensor) -> Tensor:
    """(n,) expected rank of entry i for query i: 1 + strictly better + ties / 2."""
    scores = queries @ gallery.T
    own = scores.diagonal().unsqueeze(1)
    better, equal = scores > own + 1e-6, (scores - own).abs() <= 1e-6
    return 1 + better.sum(dim=1).double() + (equal.sum(dim=1).double() - 1) / 2


def summary(ranks: Mapping[tuple[Modality, Modality], FloatArray]) -> dict[str, float]:
    """``val/mrr`` over all directions, and each direction's own, for logs and history."""
    out = {f"val/{one.value}->{two.value}": float(np.nanmean(values)) for (one, two), values in ranks.items()}
    if out:
        out["val/mrr"] = float(np.mean(list(out.values())))
    return out


def gain(
    before: Mapping[tuple[Modality, Modality], FloatArray],
    after: Mapping[tuple[Modality, Modality], FloatArray],
) -> tuple[float, float, int]:
    """Mean gain a scene over the directions both have, its standard error, and the number of scenes."""
    differences = np.stack([after[key] - before[key] for key in before if key in after])
    known = ~np.isnan(differences).all(axis=0)
    each = np.nanmean(differences[:, known], axis=0)
    error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("inf")
    return float(each.mean()), error, len(each)
