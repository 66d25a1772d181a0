"""The map: near means alike, the same on every run, and something to look at however few scenes there are."""

from __future__ import annotations

import json

import numpy as np
import pytest

from multimodal_search.export.moments import MomentVectors
from multimodal_search.export.scenes_map import (
    lay_out,
    nearest_neighbours,
    scene_vectors,
    write_scenes_map,
)
from multimodal_search.types import Item, Modality


def _clusters(n=40, seed=0):
    generator = np.random.default_rng(seed)
    centres = np.eye(6)[np.arange(n) % 2 * 3]
    vectors = centres + 0.15 * generator.normal(size=(n, 6))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_like_scenes_lie_together_and_the_seed_decides_where():
    vectors = _clusters()
    found = lay_out(vectors, seed=1)
    np.testing.assert_array_equal(found, lay_out(vectors, seed=1))
    kind = np.arange(40) % 2
    centres = np.stack([found[kind == k].mean(axis=0) for k in (0, 1)])
    nearest = np.linalg.norm(found[:, None] - centres[None], axis=2).argmin(axis=1)
    assert (nearest == kind).mean() > 0.95


@pytest.mark.parametrize("n", [0, 1, 2, 4, 5, 16])
def test_few_scenes_have_places_too(n):
    found = lay_out(_clusters(n), seed=0)
    assert found.shape == (n, 2)
    assert np.isfinite(found).all()


def test_scenes_that_are_all_the_same_have_places_too():
    found = lay_out(np.tile([[0.6, 0.8]], (50, 1)), seed=0)
    assert found.shape == (50, 2)
    assert np.isfinite(found).all()


def test_neighbours_are_the_nearest_by_cosine_itself_first():
    vectors = np.concatenate([_clusters(20), _clusters(20)[:3]])
    indices, distances = nearest_neighbours(vectors, 5)
    assert indices[:, 0].tolist() == list(range(23))
    assert (distances[:, 0] == 0).all()
    away = 1 - vectors @ vectors.T
    np.testing.assert_allclose(distances, np.sort(away, axis=1)[:, :5], atol=1e-6)


def test_a_scene_is_the_mean_of_its_moments_and_modalities():
    items = [Item(str(i), f"s{i // 2}") for i in range(6)]
    image = MomentVectors(np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1, -1, -1]))
    text = MomentVectors(np.eye(4, dtype=np.float32), np.array([2, -1, 3, -1, -1, -1]))
    vectors, first = scene_vectors(items, {Modality.IMAGE: image, Modality.TEXT: text})
    # the third scene has no vector at all and no place
    assert first.tolist() == [0, 2]
    np.testing.assert_allclose(vectors, [[0.5, -0.5, 0.5, -0.5], [-0.5, 0.5, -0.5, 0.5]])


def test_the_file_describes_each_scene_by_its_first_moment(tmp_path):
    items = [Item("a/0", "a", text=("words", "more"), location="boston", metadata={"n": float("nan")})]
    write_scenes_map(tmp_path / "map.json", items, np.array([0]), np.array([[1.0, -2.123456789]]))
    assert json.loads((tmp_path / "map.json").read_text()) == [
        {
            "scene_id": "a",
            "text": "words",
            "description": "words / more",
            "image_path": None,
            "location": "boston",
            "umap_coords": [1.0, -2.12346],
            "metadata": {"n": None},
        }
    ]
