"""What is asked and what is found: the queries and the gallery of each modality, over the unseen scenes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_search.metrics.ranks import unit_rows
from multimodal_search.types import FeatureSet, FloatArray, IntArray, Item, Modality, MomentFeatures

Project = Callable[[Modality, FloatArray], FloatArray]

_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a direction: queries or gallery entries.

    Attributes:
        name: ``image``, ``text``, ``text[ja]``, ``timeseries``, or ``scene`` (a scene's mean image vector).
        rows: (n,) rows of the modality's feature set.
        items: (n,) the item each entry stands for.
        owner: (n,) for pooled sides, the entry that each row is averaged into.
    """

    name: str
    modality: Modality
    rows: IntArray
    items: IntArray
    owner: IntArray | None = None

    def __len__(self) -> int:
        return len(self.items)

    def raw(self, one: FeatureSet) -> FloatArray:
        """(n, dim) the encoder's vectors of the entries."""
        return self._pooled(np.asarray(one.vectors[self.rows], dtype=np.float32))

    def project(self, one: FeatureSet, project: Project) -> FloatArray:
        """(n, dim) the heads' vectors; each feature row goes through the head once, so equal inputs tie."""
        unique, back = np.unique(self.rows, return_inverse=True)
        vectors = np.asarray(one.vectors[unique], dtype=np.float32)
        return self._pooled(np.asarray(project(self.modality, vectors))[back.reshape(-1)])

    def _pooled(self, vectors: FloatArray) -> FloatArray:
        if self.owner is None:
            return vectors
        total = np.zeros((len(self), vectors.shape[1]), dtype=np.float64)
        np.add.at(total, self.owner, unit_rows(vectors))
        return total

    def take(self, keep: IntArray) -> Side:
        """Some of the entries of a side that is not pooled."""
        assert self.owner is None
        return Side(self.name, self.modality, self.rows[keep], self.items[keep])


def make_sides(features: MomentFeatures) -> dict[str, Side]:
    """The sides of the modalities present, by name.

    Images and signals: one entry an item, by its primary row. Texts exist once a scene: one entry for each
    distinct primary text of a scene; ``text[ja]`` likewise, by a scene's first Japanese text, where that is
    not the primary one. ``scene``: one entry a scene, where scenes have several pictures.
    """
    sides: dict[str, Side] = {}
    for modality in Modality:
        one = features.sets.get(modality)
        if one is None or not len(one.item_index):
            continue
        primary = one.primary_rows(len(features.items))
        name = str(modality)
        if modality is Modality.TEXT:
            sides[name] = _once_a_scene(name, primary, features.items)
            japanese = _japanese_rows(one, len(features.items))
            if np.any((japanese >= 0) & (japanese != primary)):
                sides["text[ja]"] = _once_a_scene("text[ja]", japanese, features.items)
        else:
            items = np.flatnonzero(primary >= 0)
            sides[name] = Side(name, modality, primary[items], items)
    if "image" in sides:
        pooled = _pooled_scenes(sides["image"], features.items)
        if len(pooled) < len(sides["image"]):
            sides["scene"] = pooled
    return sides


def _once_a_scene(name: str, rows: IntArray, items: Sequence[Item]) -> Side:
    first: dict[tuple[str, int], int] = {}
    for index, row in enumerate(rows):
        if row >= 0:
            first.setdefault((items[index].scene_id, int(row)), index)
    chosen = np.fromiter(first.values(), dtype=np.int64, count=len(first))
    return Side(name, Modality.TEXT, rows[chosen], chosen)


def _japanese_rows(one: FeatureSet, n_items: int) -> IntArray:
    """(n_items,) the first row of each item whose text has kana or kanji, -1 where there is none."""
    is_japanese = np.array([bool(_JAPANESE.search(text)) for text in one.ids], dtype=bool)
    keep = is_japanese[one.row_index]
    out = np.full(n_items, -1, dtype=np.int64)
    out[one.item_index[keep][::-1]] = one.row_index[keep][::-1]
    return out


def _pooled_scenes(images: Side, items: Sequence[Item]) -> Side:
    owner_of: dict[str, int] = {}
    first: list[int] = []
    owner = np.empty(len(images), dtype=np.int64)
    for position, item in enumerate(images.items):
        scene = items[item].scene_id
        if scene not in owner_of:
            owner_of[scene] = len(first)
            first.append(int(item))
        owner[position] = owner_of[scene]
    return Side("scene", Modality.IMAGE, images.rows, np.asarray(first, dtype=np.int64), owner)


def relevance_groups(features: MomentFeatures) -> IntArray:
    """(items,) equal where two items are relevant to each other: same scene, or same primary caption."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for item in features.items:
        scene = root(f"scene {item.scene_id}")
        caption = normalised_caption(item.text[0]) if item.text else ""
        if caption:
            parent[scene] = root(f"caption {caption}")
    return codes([root(f"scene {item.scene_id}") for item in features.items])


def normalised_caption(text: str) -> str:
    """Case, width, spacing and closing punctuation do not make two captions different."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.split()).rstrip(".。!！ ")


def codes(values: Sequence[object]) -> IntArray:
    """(n,) an integer a distinct value, in order of first appearance; None gives -1."""
    known: dict[object, int] = {}
    return np.array([-1 if v is None else known.setdefault(v, len(known)) for v in values], dtype=np.int64)


def label_values(
    items: Sequence[Item], keys: Sequence[str] | None = None, *, most: int = 30
) -> Mapping[str, list[str | None]]:
    """Metadata that can serve as labels: key -> (items,) values.

    Without ``keys``: every key with 2 to ``most`` distinct plain values that is not the log in other words
    (``recording`` is a file's address).
    With ``keys``: those of them with at least two values.
    """
    candidates = keys if keys is not None else tuple(dict.fromkeys(key for i in items for key in i.metadata))
    out: dict[str, list[str | None]] = {}
    for key in candidates:
        raw = [item.metadata.get(key) for item in items]
        plain = [None if v is None or v == "" else v for v in raw]
        known = {v for v in plain if isinstance(v, str | int | bool)}
        whole = all(v is None or isinstance(v, str | int | bool) for v in plain)
        if not whole or not 2 <= len(known) <= most:
            continue
        if keys is None and key == "recording":
            continue
        if keys is None and all(v is None or v == item.group for v, item in zip(plain, items, strict=True)):
            continue
        out[key] = [None if v is None else str(v) for v in plain]
    return out
