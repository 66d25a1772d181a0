"""The figure that chooses: reciprocal ranks a scene, and the gain between two sets of heads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.training.choice import choose
from multimodal_search.training.retrieval import gain, reciprocal_ranks, retrieval_set, summary
from multimodal_search.training.warm_start import Start
from multimodal_search.types import FeatureSet, Item, Modality, MomentFeatures

IMAGE, TEXT = Modality.IMAGE, Modality.TEXT


def _identity(dim: int) -> dict[Modality, Projector]:
    return {modality: Projector(HeadSpec("residual", dim, dim)) for modality in (IMAGE, TEXT)}


def _features(
    feature_set: Callable[..., FeatureSet], image: np.ndarray, text: np.ndarray, text_links: list[list[int]]
) -> MomentFeatures:
    items = tuple(Item(f"{i}", f"scene-{i}") for i in range(len(image)))
    links = [[i] for i in range(len(image))]
    sets = {
        IMAGE: feature_set(IMAGE, image, links, "one"),
        TEXT: feature_set(TEXT, text, text_links, "one"),
    }
    return MomentFeatures(items, sets)


def test_ranks_by_hand_with_ties_and_a_scene_without_text(feature_set: Callable[..., FeatureSet]) -> None:
    image = np.array([[1, 0, 0], [1, 0.001, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    text = np.array([[1, 0, 0], [1, 0, 0], [0.6, 0.8, 0]], dtype=float)
    data = retrieval_set(_features(feature_set, image, text, [[0], [1], [2], []]))
    ranks = reciprocal_ranks(_identity(3), data)
    # two equal texts share ranks 1 and 2; the last scene is not in the gallery
    np.testing.assert_allclose(ranks[IMAGE, TEXT], [1 / 1.5, 1 / 1.5, 1, np.nan])
    np.testing.assert_allclose(ranks[TEXT, IMAGE], [1 / 1.5, 1 / 1.5, 1, np.nan], rtol=1e-3)
    figures = summary(ranks)
    assert figures["val/mrr"] == pytest.approx((figures["val/image->text"] + figures["val/text->image"]) / 2)


def test_views_take_turns_among_moments_and_captions(make_features: Callable[..., MomentFeatures]) -> None:
    data = retrieval_set(make_features(5, moments=9))
    assert data.vectors[IMAGE].shape[:2] == (4, 5)
    assert data.vectors[TEXT].shape[:2] == (1, 5)
    assert not np.allclose(data.vectors[IMAGE][0], data.vectors[IMAGE][1])


def test_no_scenes_give_no_figures(make_features: Callable[..., MomentFeatures]) -> None:
    data = retrieval_set(make_features(3, pre_aligned=True).select(()))
    assert summary(reciprocal_ranks(_identity(24), data)) == {}


def test_gain_is_measured_scene_by_scene() -> None:
    before = {(IMAGE, TEXT): np.array([0.1, 0.9, np.nan]), (TEXT, IMAGE): np.array([0.3, 0.5, np.nan])}
    after = {(IMAGE, TEXT): np.array([0.3, 1.0, np.nan]), (TEXT, IMAGE): np.array([0.3, 0.6, np.nan])}
    mean, error, scenes = gain(before, after)
    assert (mean, scenes) == (pytest.approx(0.1), 2)
    assert error == pytest.approx(0.0)


@pytest.mark.parametrize(("scenes", "expected"), [(6, "start"), (40, "trained (epoch 3)")])
def test_a_better_head_is_taken_only_where_enough_scenes_say_so(
    feature_set: Callable[..., FeatureSet], scenes: int, expected: str
) -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(scenes, 8))
    noise = rng.normal(size=(2, scenes, 8)) * [0, 0, 0, 0, 4, 4, 4, 4]
    links = [[i] for i in range(scenes)]
    data = retrieval_set(_features(feature_set, hidden + noise[0], hidden + noise[1], links))
    better = {modality: Projector(HeadSpec("linear", 8, 8)) for modality in (IMAGE, TEXT)}
    for head in better.values():
        head.set_linear(np.diag([1.0, 1, 1, 1, 0, 0, 0, 0]), np.zeros(8))
    choice = choose(Start(_identity(8), True, ()), better, data, epoch=3)
    assert choice.chosen == {"image": expected, "text": expected}
    worse = choose(Start(better, True, ()), _identity(8), data, epoch=3)
    assert worse.chosen == {"image": "start", "text": "start"}
