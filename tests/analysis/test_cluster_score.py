"""The score against a slow loop, and figures against labels."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal_search.analysis.cluster_score import against_labels, score


def _slow(points, labels):
    means = {one: points[labels == one].mean(axis=0) for one in set(labels.tolist()) - {-1}}
    total = 0.0
    for point, label in zip(points, labels.tolist(), strict=True):
        if label >= 0:
            own = np.linalg.norm(point - means[label])
            other = min(np.linalg.norm(point - mean) for one, mean in means.items() if one != label)
            total += (other - own) / max(own, other)
    return total / len(points)


def test_against_a_slow_loop(blobs):
    points, _ = blobs(80, 4, spread=0.3)
    labels = np.random.default_rng(0).integers(-1, 4, 80)
    assert score(points.astype(np.float64), labels) == pytest.approx(_slow(points, labels), abs=1e-6)


def test_the_right_clusters_score_best(blobs):
    points, kind = blobs(120, 4, spread=0.1)
    halved = np.where(kind == 3, 2, kind)
    split = np.where((kind == 0) & (np.arange(120) % 8 < 4), 4, kind)
    noisy = np.where(np.arange(120) % 3 == 0, -1, kind)
    best = score(points, kind)
    assert all(best > score(points, other) for other in (halved, split, noisy))


@pytest.mark.parametrize("labels", [np.full(9, -1), np.zeros(9, np.int64), np.zeros(0, np.int64)])
def test_fewer_than_two_clusters_score_nothing(labels):
    assert score(np.ones((len(labels), 3)), labels) == 0.0


def test_labels():
    found = against_labels(np.array([0, 0, 1, 1, -1]), ["a", "a", "b", "a", None])
    assert found["n_labelled"] == 4
    assert found["purity"] == 0.75
    assert found["ari"] < 1
