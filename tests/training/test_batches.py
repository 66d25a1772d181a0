"""Batches: every scene once, rows drawn among what an item has, masks as described, and no state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from multimodal_search.training.batches import BatchPlan, pair_masks
from multimodal_search.types import FeatureSet, Item, Modality, MomentFeatures

IMAGE, TEXT, SERIES = Modality.IMAGE, Modality.TEXT, Modality.TIMESERIES


def test_every_scene_is_in_a_full_batch_with_two_different_moments(
    make_features: Callable[..., MomentFeatures],
) -> None:
    plan = BatchPlan(make_features(9, moments=5), batch_items=None, seed=0)
    batch = plan.batch(0, 0)
    scenes, counts = np.unique(batch.entries[IMAGE].scene.numpy(), return_counts=True)
    assert scenes.tolist() == list(range(9))
    assert set(counts.tolist()) == {2}
    assert len(set(batch.entries[IMAGE].item.tolist())) == 18
    assert batch.entries[TEXT].scene.tolist() == list(range(9)), "a scene's only caption stands once"


def test_a_batch_is_a_function_of_seed_epoch_and_step(make_features: Callable[..., MomentFeatures]) -> None:
    features = make_features(9, moments=5)
    one, two = (BatchPlan(features, batch_items=None, seed=3) for _ in range(2))
    two.batch(5, 5)  # what was asked before does not matter
    assert torch.equal(one.batch(2, 1).entries[IMAGE].vectors, two.batch(2, 1).entries[IMAGE].vectors)
    drawn = [one.batch(epoch, step).entries[IMAGE].item.tolist() for epoch in range(2) for step in range(3)]
    assert len({tuple(items) for items in drawn}) == 6
    other = BatchPlan(features, batch_items=None, seed=4).batch(2, 1)
    assert other.entries[IMAGE].item.tolist() != one.batch(2, 1).entries[IMAGE].item.tolist()


@pytest.mark.parametrize("batch_items", [2, 3, 8, 500])
def test_a_limited_batch_keeps_its_limit_and_an_epoch_passes_every_scene(
    make_features: Callable[..., MomentFeatures], batch_items: int
) -> None:
    plan = BatchPlan(make_features(23, moments=3), batch_items=batch_items, seed=0)
    seen: set[int] = set()
    for step in range(plan.steps):
        scene = plan.batch(1, step).entries[IMAGE].scene
        assert 2 <= len(scene) <= batch_items
        assert len(scene.unique()) >= 2
        seen |= set(scene.tolist())
    assert seen == set(range(23))
    assert plan.steps >= 10


def test_shares_of_processes_make_up_the_whole_batch(make_features: Callable[..., MomentFeatures]) -> None:
    plan = BatchPlan(make_features(7, moments=3), batch_items=None, seed=0)
    whole = plan.batch(0, 0).entries[TEXT]
    shares = [plan.batch(0, 0, rank, 2).entries[TEXT] for rank in range(2)]
    assert len({len(share.vectors) for share in shares}) == 1
    assert torch.equal(torch.cat([share.vectors for share in shares])[: len(whole.scene)], whole.vectors)
    assert torch.equal(shares[0].scene, whole.scene)


@pytest.fixture
def world(feature_set: Callable[..., FeatureSet]) -> MomentFeatures:
    """Four scenes: a at 0, 1 and 60 s; b has a's caption in capitals; c nearly a's text; d none."""
    times = {"a0": 0, "a1": 1, "a2": 60, "b0": 0, "c0": 0, "d0": None}
    items = tuple(
        Item(name, name[0], timestamp_us=None if second is None else second * 10**6)
        for name, second in times.items()
    )
    texts = np.array([[1, 0, 0], [0, 1, 0], [1, 0.1, 0], [0, 0, 1]], dtype=float)
    text = feature_set(TEXT, texts, [[0, 3], [0, 3], [0, 3], [1], [2], []], None)
    text = FeatureSet(
        text.vectors, ("Rain,  night", "rain, NIGHT", "wet night", "雨の夜"), text.item_index, text.row_index,
        text.card, text.fingerprint,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    image = feature_set(IMAGE, rng.normal(size=(8, 3)), [[0, 6, 7], [1], [2], [3], [4], [5]], None)
    series = feature_set(SERIES, rng.normal(size=(6, 2)), [[0], [1], [2], [3], [], [5]], None)
    return MomentFeatures(items, {IMAGE: image, TEXT: text, SERIES: series})


def test_captions_and_cameras_are_drawn_among_all_that_an_item_has(world: MomentFeatures) -> None:
    plan = BatchPlan(world, batch_items=None, seed=0)
    texts, images = set(), set()
    for step in range(60):
        entries = plan.batch(0, step).entries
        texts |= {
            tuple(row) for row in entries[TEXT].vectors[entries[TEXT].scene == 0].numpy().round(3).tolist()
        }
        images |= {tuple(row) for row in entries[IMAGE].vectors[entries[IMAGE].item == 0].numpy().tolist()}
    assert len(texts) == 2
    assert len(images) == 3


def test_masks(world: MomentFeatures) -> None:
    plan = BatchPlan(world, batch_items=None, seed=0)
    for step in range(40):
        batch = plan.batch(0, step)
        image, text, series = (batch.entries[one] for one in (IMAGE, TEXT, SERIES))
        positives, ignored = pair_masks(batch, IMAGE, TEXT, 2.0)
        assert not (positives & ignored).any()
        for i in range(len(image.scene)):
            for j in range(len(text.scene)):
                one, two = "abcd"[image.scene[i]], "abcd"[text.scene[j]]
                same_words = {one, two} == {"a", "b"} and 0 == image.caption[i] == text.caption[j]
                assert bool(positives[i, j]) == (one == two or same_words)
                if {one, two} == {"a", "c"}:
                    english = (image.caption[i] if one == "a" else text.caption[j]) == 0
                    assert bool(ignored[i, j]) == bool(english), "cosine 0.995: neither"
                if "d" in (one, two):
                    assert not ignored[i, j]
        positives, ignored = pair_masks(batch, IMAGE, SERIES, 2.0)
        names = ["a0", "a1", "a2", "b0", "c0", "d0"]
        for i in range(len(image.scene)):
            for j in range(len(series.scene)):
                one, two = names[image.item[i]], names[series.item[j]]
                assert bool(positives[i, j]) == (one == two)
                assert bool(ignored[i, j]) == ({one, two} == {"a0", "a1"})


def test_moments_without_a_time_are_ignored_within_their_scene(
    feature_set: Callable[..., FeatureSet],
) -> None:
    items = tuple(Item(f"{i}", f"{i // 2}") for i in range(4))
    links = [[i] for i in range(4)]
    sets = {one: feature_set(one, np.eye(4), links, None) for one in (IMAGE, SERIES)}
    batch = BatchPlan(MomentFeatures(items, sets), batch_items=None, seed=0).batch(0, 0)
    positives, ignored = pair_masks(batch, IMAGE, SERIES, 2.0)
    assert torch.equal(positives, torch.eye(4, dtype=torch.bool))
    assert torch.equal(positives | ignored, torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool())
