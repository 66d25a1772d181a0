"""Splits never cut a scene, nor a log where there is more than one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.splits import make_splits
from multimodal_search.types import Item


def items_of(groups: list[int | None], per_scene: int = 2) -> list[Item]:
    return [
        Item(id=f"{scene}/{k}", scene_id=f"s{scene}", group=None if group is None else f"log{group}")
        for scene, group in enumerate(groups)
        for k in range(per_scene)
    ]


@given(st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=80), st.integers(0, 5))
def test_every_scene_stands_in_exactly_one_split(groups: list[int | None], seed: int) -> None:
    splits = make_splits(items_of(groups), seed=seed)
    everything = [*splits.train, *splits.val, *splits.test]
    assert sorted(everything) == sorted(f"s{k}" for k in range(len(groups)))
    if len(groups) >= 3:
        assert splits.train
        assert splits.test


@given(st.lists(st.integers(0, 12), min_size=3, max_size=80), st.integers(0, 5))
def test_a_log_is_cut_only_where_nothing_else_can_be_held_out(groups: list[int], seed: int) -> None:
    splits = make_splits(items_of(list(groups)), seed=seed)
    logs = [{groups[int(scene[1:])] for scene in part} for part in (splits.train, splits.val, splits.test)]
    if len(set(groups)) >= 2:
        assert not logs[0] & logs[2]
        assert not logs[1] & logs[2]


def test_the_inner_val_does_not_eat_the_training_scenes() -> None:
    """Two drives of five and three scenes: the one scene that chooses comes out of either."""
    official = {f"s{k}": "val" if k >= 8 else "train" for k in range(10)}
    splits = make_splits(items_of([0, 0, 0, 0, 0, 1, 1, 1, 2, 2]), official=official)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (7, 1, 2)


def test_shares_are_as_asked_where_logs_are_small() -> None:
    splits = make_splits(items_of([scene // 5 for scene in range(1000)]))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (700, 150, 150)
    assert splits.kind == "by log"


def test_the_official_split_is_kept_and_its_train_gives_the_inner_val() -> None:
    items = items_of([scene // 2 for scene in range(20)])
    official = {f"s{k}": "val" if k >= 16 else "train" for k in range(20)}
    splits = make_splits(items, official=official)
    assert set(splits.test) == {"s16", "s17", "s18", "s19"}
    assert splits.val
    assert not set(splits.val) & set(splits.test)
    assert splits.kind == "official"


def test_the_split_depends_on_the_scenes_and_the_seed_alone() -> None:
    items = items_of([scene // 3 for scene in range(60)])
    assert make_splits(items) == make_splits(items)
    assert set(make_splits(items[::-1]).test) == set(make_splits(items).test)
    assert make_splits(items, seed=1).test != make_splits(items, seed=0).test


def test_two_scenes_hold_nothing_out() -> None:
    splits = make_splits(items_of([None, None]))
    assert splits.test == ()
    assert "too few" in splits.kind


def test_uneven_logs_leave_most_scenes_to_training() -> None:
    splits = make_splits(items_of([0] * 50 + [1] * 50 + [2] * 2))
    assert len(splits.train) > 70
    assert len(splits.test) == 2


def test_an_official_split_that_leaves_nothing_to_train_is_not_used() -> None:
    """nuScenes v1.0-test: every scene is officially a test scene."""
    items = items_of([scene // 2 for scene in range(20)])
    splits = make_splits(items, official={f"s{k}": "test" for k in range(20)})
    assert splits.train
    assert splits.kind == "by log"
