"""``scenes_with_umap.json``: where each scene lies on a flat map of the common space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from multimodal_search.export.moments import MomentVectors, jsonable, primary_text
from multimodal_search.storage import write_json
from multimodal_search.types import FloatArray, IntArray, Item, Modality

FILE = "scenes_with_umap.json"


def scene_vectors(
    items: Sequence[Item], vectors: Mapping[Modality, MomentVectors]
) -> tuple[FloatArray, IntArray]:
    """One vector a scene.

    Of each modality the mean over the scene's moments; then the mean over the modalities it has, centred on
    that modality's mean over all scenes (image and text vectors lie apart, which says nothing of a scene).

    Returns:
        (scenes, dim) of length one, and (scenes,) the first item of each scene, in order of first appearance.
        A scene without any vector is left out.
    """
    order: dict[str, int] = {}
    first: list[int] = []
    for index, item in enumerate(items):
        if item.scene_id not in order:
            order[item.scene_id] = len(first)
            first.append(index)
    owner = np.array([order[item.scene_id] for item in items], dtype=np.int64)
    dim = next((one.vectors.shape[1] for one in vectors.values()), 1)
    total, seen = np.zeros((len(first), dim)), np.zeros(len(first), dtype=np.int64)
    for one in vectors.values():
        has = one.rows >= 0
        sums, counts = np.zeros((len(first), dim)), np.bincount(owner[has], minlength=len(first))
        np.add.at(sums, owner[has], one.vectors[one.rows[has]])
        known = counts > 0
        if not known.any():
            continue
        means = sums[known] / counts[known, None]
        total[known] += means - means.mean(axis=0)
        seen += known
    keep = np.flatnonzero(seen > 0)
    mean = total[keep] / seen[keep, None]
    norms = np.linalg.norm(mean, axis=1, keepdims=True)
    return mean / np.where(norms > 1e-9, norms, 1.0), np.asarray(first, dtype=np.int64)[keep]


def write_scenes_map(path: Path, items: Sequence[Item], first: IntArray, coordinates: FloatArray) -> None:
    """Write the map's file: an entry a scene, described by its first moment.

    ``text`` is the primary description, ``description`` all of them (they differ in language or wording).

    Raises:
        OutputError: the file cannot be written.
    """
    entries = []
    for index, point in zip(first, coordinates, strict=True):
        item = items[index]
        entries.append(
            {
                "scene_id": item.scene_id,
                "text": primary_text(item),
                "description": " / ".join(item.text),
                "image_path": item.image_path,
                "location": item.location,
                "umap_coords": [round(float(point[0]), 5), round(float(point[1]), 5)],
                "metadata": jsonable(item.metadata),
            }
        )
    write_json(path, entries, indent=1)
