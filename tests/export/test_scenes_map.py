"""A bundle's map: a place a scene, described by its first moment."""

from __future__ import annotations

import json

import numpy as np

from multimodal_search.export.moments import MomentVectors
from multimodal_search.export.scenes_map import scene_vectors, write_scenes_map
from multimodal_search.types import Item, Modality


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
