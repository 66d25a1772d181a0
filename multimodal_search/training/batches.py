"""Which rows make a batch: a pure function of (seed, epoch, step), so that a resumed run sees the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from multimodal_search.types import FeatureSet, FloatArray, IntArray, Modality, MomentFeatures

SAME_TEXT_COSINE = 0.95
MOMENTS_A_SCENE = 2
MOST_ITEMS = 4096
FEWEST_STEPS = 10


@dataclass(slots=True)  # not frozen: Lightning refuses to move such to a device
class Entries:
    """One modality's part of a batch: n entries, of which this process holds the vectors of ``rows``.

    Attributes:
        vectors: (rows, dim) float32; zero rows pad the last process's share.
        scene, item: (n,) numbers; item is -1 for a text, which describes the whole scene.
        seconds: (n,) float64, NaN where no time is known.
        caption: (n,) number of the normalised caption that goes with the entry, -1 without.
        text: (n,) index into ``Batch.same_text``, -1 without.
    """

    vectors: Tensor
    scene: Tensor
    item: Tensor
    seconds: Tensor
    caption: Tensor
    text: Tensor


@dataclass(slots=True)  # not frozen: Lightning refuses to move such to a device
class Batch:
    """Entries of each modality, and (texts, texts) bool: whose frozen embeddings are nearly equal."""

    entries: dict[Modality, Entries]
    same_text: Tensor


class _Texts:
    """Which captions are the same, and which are nearly so to the frozen encoder."""

    def __init__(self, texts: FeatureSet | None) -> None:
        self.vectors = np.zeros((0, 1), dtype=np.float32) if texts is None else texts.vectors
        numbers = _caption_numbers(texts.ids) if texts else []
        self.caption_of_row = np.array([*numbers, -1], dtype=np.int64)  # the last is row -1: no text
        self._near = self._compare(np.arange(len(self.vectors))) if len(self.vectors) <= MOST_ITEMS else None

    def near(self, rows: IntArray) -> Tensor:
        """(rows, rows) bool, or (0, 0) where no two different rows are near."""
        near = self._compare(rows) if self._near is None else self._near
        if self._near is not None and len(near):
            index = torch.from_numpy(rows)
            near = near[index][:, index]
        return near if int(near.sum()) > len(rows) else near[:0, :0]

    def _compare(self, rows: IntArray) -> Tensor:
        vectors = torch.nn.functional.normalize(torch.from_numpy(gather_rows(self.vectors, rows)), dim=1)
        near = vectors @ vectors.T >= SAME_TEXT_COSINE
        return near if int(near.sum()) > len(rows) else near[:0, :0]


class BatchPlan:
    """Makes batches out of the feature sets by index; nothing but the batch itself is copied.

    Every scene is in a step once, with ``MOMENTS_A_SCENE`` of its items drawn at random, while
    ``batch_items`` allows; otherwise a step takes the next scenes of the epoch's shuffled order. An item's
    text and picture are drawn among all that it has (captions, cameras).

    Args:
        features: the training items only.
        batch_items: items a step, at most; None: all scenes, up to ``MOST_ITEMS`` items.
        seed: of every draw.
    """

    def __init__(self, features: MomentFeatures, *, batch_items: int | None, seed: int) -> None:
        self.features = features
        self.seed = seed
        self.texts = _Texts(features.sets.get(Modality.TEXT))
        scene_number = {scene: number for number, scene in enumerate(features.scenes())}
        self.scene_of = np.array([scene_number[item.scene_id] for item in features.items], dtype=np.int64)
        self.by_scene = np.argsort(self.scene_of, kind="stable")
        self.scene_ends = np.searchsorted(self.scene_of[self.by_scene], np.arange(len(scene_number) + 1))
        self.seconds_of = np.array(
            [np.nan if item.timestamp_us is None else item.timestamp_us / 1e6 for item in features.items]
        )
        self.first_link = {
            modality: np.searchsorted(one.item_index, np.arange(len(features.items) + 1))
            for modality, one in features.sets.items()
        }
        most_items = batch_items or MOST_ITEMS
        largest = int(np.diff(self.scene_ends).max(initial=1))
        # at least two scenes a step, since one alone has no negatives
        self.moments = max(1, min(MOMENTS_A_SCENE, largest, most_items // 2))
        self.scenes_a_step = max(1, min(len(scene_number), most_items // self.moments))
        # an epoch passes over the scenes, as --epochs says: keyframes of a scene are near duplicates
        self.steps = max(FEWEST_STEPS, -(-len(scene_number) // self.scenes_a_step))

    def batch(self, epoch: int, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The batch of one step; ``rank`` of ``world`` processes gets the vectors of its own share."""
        generator = np.random.default_rng([self.seed, epoch, step])
        items = self._draw_items(generator, self._scenes(epoch, step))
        rows = {modality: self._draw_rows(generator, modality, items) for modality in self.features.sets}
        text_rows = rows.get(Modality.TEXT, np.full(len(items), -1, dtype=np.int64))
        unique, text_index = np.unique(text_rows, return_inverse=True)
        if len(unique) and unique[0] < 0:
            unique, text_index = unique[1:], text_index - 1
        caption = self.texts.caption_of_row[text_rows]
        entries = {}
        for modality, one in self.features.sets.items():
            kept = np.flatnonzero(rows[modality] >= 0)
            item = items[kept]
            if modality is Modality.TEXT:
                # a scene's caption stands once, however many of its moments drew it
                pairs = np.stack([self.scene_of[item], rows[modality][kept]], axis=1)
                kept = kept[np.sort(np.unique(pairs, axis=0, return_index=True)[1])]
                item = np.full(len(kept), -1, dtype=np.int64)
            entries[modality] = Entries(
                vectors=_share(one.vectors, rows[modality][kept], rank, world),
                scene=torch.from_numpy(self.scene_of[items[kept]]),
                item=torch.from_numpy(item),
                seconds=torch.from_numpy(self.seconds_of[items[kept]]),
                caption=torch.from_numpy(caption[kept]),
                text=torch.from_numpy(text_index[kept].astype(np.int64)),
            )
        return Batch(entries, self.texts.near(unique))

    def _scenes(self, epoch: int, step: int) -> IntArray:
        """Scenes of a step: consecutive ones of an order that is shuffled anew each time it is used up."""
        n = len(self.scene_ends) - 1
        if self.scenes_a_step >= n:
            return np.arange(n)
        first = step * self.scenes_a_step
        numbers: IntArray = np.arange(first, first + self.scenes_a_step)
        orders = {
            turn: np.random.default_rng([self.seed, epoch, self.steps, turn]).permutation(n)
            for turn in np.unique(numbers // n).tolist()
        }
        scenes: IntArray = np.unique([orders[number // n][number % n] for number in numbers.tolist()])
        return scenes

    def _draw_items(self, generator: np.random.Generator, scenes: IntArray) -> IntArray:
        """(items,) ``moments`` different items of each scene, or all where it has no more."""
        start = self.scene_ends[scenes]
        count = self.scene_ends[scenes + 1] - start
        one, two = generator.random((2, len(scenes)))
        first = np.floor(one * count).astype(np.int64)
        if self.moments == 1:
            first_items: IntArray = self.by_scene[start + first]
            return first_items
        # the second is drawn among the others
        second = np.floor(two * (count - 1)).astype(np.int64)
        second += second >= first
        both = np.stack([start + first, start + second], axis=1)
        items: IntArray = self.by_scene[both[np.stack([count > 0, count > 1], axis=1)]]
        return items

    def _draw_rows(self, generator: np.random.Generator, modality: Modality, items: IntArray) -> IntArray:
        """(items,) one row each, at random among those the item has; -1 without any."""
        first = self.first_link[modality][items]
        count = self.first_link[modality][items + 1] - first
        pick = first + np.floor(generator.random(len(items)) * np.maximum(count, 1)).astype(np.int64)
        links = np.append(self.features.sets[modality].row_index, -1)
        return np.where(count > 0, links[np.minimum(pick, len(links) - 1)], -1)


def pair_masks(batch: Batch, one: Modality, two: Modality, near_seconds: float) -> tuple[Tensor, Tensor]:
    """Which pairs are positives and which count as neither, both (n, m) bool and disjoint.

    Where one side is text: positives are of the same scene or have the same normalised caption; texts whose
    frozen embeddings are nearly equal are ignored. Between image and signal only the same moment is positive;
    moments of its scene are ignored within ``near_seconds``, and wherever their time is unknown.
    """
    a, b = batch.entries[one], batch.entries[two]
    same_scene = a.scene[:, None] == b.scene[None, :]
    if Modality.TEXT not in (one, two):
        positives = a.item[:, None] == b.item[None, :]
        apart = (a.seconds[:, None] - b.seconds[None, :]).abs()
        return positives, same_scene & ~(apart > near_seconds) & ~positives
    positives = same_scene | ((a.caption[:, None] == b.caption[None, :]) & (a.caption[:, None] >= 0))
    known = (a.text[:, None] >= 0) & (b.text[None, :] >= 0)
    if not len(batch.same_text):
        return positives, torch.zeros_like(positives)
    near = batch.same_text[a.text.clamp(min=0)][:, b.text.clamp(min=0)]
    return positives, near & known & ~positives


def gather_rows(vectors: FloatArray, rows: IntArray) -> FloatArray:
    """(rows, dim) float32 copy of some rows of an array or memory map."""
    return np.ascontiguousarray(vectors[rows], dtype=np.float32)


def pairs_of(modalities: Mapping[Modality, object]) -> list[tuple[Modality, Modality]]:
    """Pairs of modalities in a fixed order: image-text, image-timeseries, text-timeseries."""
    order = [modality for modality in Modality if modality in modalities]
    return [(one, two) for index, one in enumerate(order) for two in order[index + 1 :]]


def _caption_numbers(texts: tuple[str, ...]) -> list[int]:
    numbers: dict[str, int] = {}
    normalised = (" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in texts)
    return [numbers.setdefault(text, len(numbers)) for text in normalised]


def _share(vectors: FloatArray, rows: IntArray, rank: int, world: int) -> Tensor:
    """This process's consecutive share of the rows, padded so that all shares have one size."""
    if world == 1:
        return torch.from_numpy(gather_rows(vectors, rows))
    size = -(-len(rows) // world)
    mine = rows[rank * size : (rank + 1) * size]
    out = torch.zeros((size, vectors.shape[1]))
    out[: len(mine)] = torch.from_numpy(gather_rows(vectors, mine))
    return out
