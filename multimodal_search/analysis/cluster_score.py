"""How good clusters are: by themselves, and against labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from multimodal_search.types import FloatArray, IntArray

SCORE = "simplified silhouette, noise counted as 0"
_BLOCK_ROWS = 4096


def score(points: FloatArray, labels: IntArray) -> float:
    """The simplified silhouette of all rows, those of noise counted as 0; from -1 to 1, 0 below two clusters.

    A row's silhouette (Rousseeuw, 1987) with distances to the clusters' means, not to all members (Hruschka,
    de Castro and Campello, 2004): (b - a) / max(a, b), a to its own mean, b to the nearest other.
    Linear in the rows, where the full one is quadratic; over grids of HDBSCAN it ranks settings as labels
    would more often than the full one and DBCV's relative validity do (benchmarks/cluster.py).

    Args:
        points: (n, dim): the same space for all settings that are compared.
        labels: (n,) clusters from 0, -1 for noise.
    """
    count = int(labels.max()) + 1 if len(labels) else 0
    if count < 2:
        return 0.0
    means = cluster_means(points, labels)
    squares = np.square(means).sum(axis=1)
    rows = np.flatnonzero(labels >= 0)
    total = 0.0
    for start in range(0, len(rows), _BLOCK_ROWS):
        some = rows[start : start + _BLOCK_ROWS]
        block, own = points[some].astype(np.float64), labels[some, None]
        away = np.square(block).sum(axis=1, keepdims=True) + squares - 2 * block @ means.T
        away = np.sqrt(np.maximum(away, 0))
        within = np.take_along_axis(away, own, axis=1)[:, 0]
        np.put_along_axis(away, own, np.inf, axis=1)
        beyond = away.min(axis=1)
        larger = np.maximum(within, beyond)
        total += float(((beyond - within) / np.where(larger > 0, larger, 1.0)).sum())
    return total / len(labels)


def cluster_means(points: FloatArray, labels: IntArray) -> FloatArray:
    """(clusters, dim) float64 mean of each cluster's members."""
    count = int(labels.max()) + 1
    found = np.zeros((count, points.shape[1]))
    for start in range(0, len(points), _BLOCK_ROWS):
        some = labels[start : start + _BLOCK_ROWS]
        np.add.at(found, some[some >= 0], points[start : start + _BLOCK_ROWS][some >= 0])
    sizes = np.bincount(labels[labels >= 0], minlength=count)
    return np.asarray(found / np.maximum(sizes, 1)[:, None], dtype=np.float64)


def against_labels(labels: IntArray, truth: Sequence[str | None]) -> dict[str, float | int]:
    """``ari``, ``nmi``, ``purity`` over the rows that have a label; noise is a cluster of its own.

    Purity is the share of rows whose cluster's most frequent label is theirs.
    """
    known = np.array([one is not None for one in truth])
    names, kinds = np.unique([one for one in truth if one is not None], return_inverse=True)
    found = labels[known] + 1
    table = np.zeros((int(found.max()) + 1, len(names)), dtype=np.int64)
    np.add.at(table, (found, kinds), 1)
    return {
        "n_labelled": int(known.sum()),
        "ari": round(float(adjusted_rand_score(kinds, found)), 4),
        "nmi": round(float(normalized_mutual_info_score(kinds, found)), 4),
        "purity": round(float(table.max(axis=1).sum() / len(found)), 4),
    }
