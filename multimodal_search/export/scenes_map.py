"""``scenes_with_umap.json``: where each scene lies on a flat map of the common space."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from multimodal_search.export.moments import MomentVectors, jsonable, primary_text
from multimodal_search.storage import write_json
from multimodal_search.types import FloatArray, IntArray, Item, Modality

FILE = "scenes_with_umap.json"
_FEWEST_FOR_UMAP = 5
_KNN_ROWS = 1024


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


def lay_out(vectors: FloatArray, seed: int) -> FloatArray:
    """(n, dim) -> (n, 2) map coordinates; near means alike.

    UMAP (McInnes, Healy and Melville, 2018) with cosine distance. Under five scenes, or five distinct
    vectors, the first two principal components: UMAP has no neighbourhood to show there.
    """
    n = len(vectors)
    centred = vectors - vectors.mean(axis=0) if n else vectors
    distinct = len(np.unique(np.round(vectors, 6), axis=0))
    if n < _FEWEST_FOR_UMAP or distinct < _FEWEST_FOR_UMAP:
        return _principal(centred)
    from umap import UMAP  # numba takes seconds to import: only here, where a map is drawn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        k = min(15, n)
        reducer = UMAP(
            n_neighbors=k,
            # exact, and without half of the functions that numba would compile first
            precomputed_knn=nearest_neighbours(vectors, k),
            min_dist=0.1,
            metric="cosine",
            # spectral initialisation needs more points than dimensions of the graph's eigenvectors
            init="spectral" if n > 30 else "random",
            random_state=seed,
            n_jobs=1,
        )
        coordinates = np.asarray(reducer.fit_transform(vectors.astype(np.float32)), dtype=np.float64)
    return coordinates if np.isfinite(coordinates).all() else _principal(centred)


def nearest_neighbours(vectors: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """(n, k) rows and cosine distances of the nearest, each row itself first; a slice of n x n at a time."""
    unit = np.asarray(vectors, dtype=np.float32)
    indices = np.empty((len(unit), k), dtype=np.int64)
    distances = np.empty((len(unit), k), dtype=np.float32)
    for start in range(0, len(unit), _KNN_ROWS):
        rows = slice(start, min(start + _KNN_ROWS, len(unit)))
        away = np.maximum(1.0 - unit[rows] @ unit.T, 0.0)
        own = np.arange(rows.start, rows.stop)
        away[own - start, own] = -1.0  # before its duplicates
        near = np.argpartition(away, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(away, near, axis=1)
        # equal distances in the order of the rows
        order = np.lexsort((near, found), axis=1)
        indices[rows] = np.take_along_axis(near, order, axis=1)
        distances[rows] = np.maximum(np.take_along_axis(found, order, axis=1), 0.0)
    return indices, distances


def _principal(centred: FloatArray) -> FloatArray:
    out = np.zeros((len(centred), 2))
    if len(centred):
        left, scale, _ = np.linalg.svd(centred, full_matrices=False)
        columns = min(2, len(scale))
        out[:, :columns] = left[:, :columns] * scale[:columns]
    return out


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
