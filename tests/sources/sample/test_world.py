"""Scenes are a function of (seed, index), cover every attribute, and make sense."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from multimodal_search.sources.sample import world


def test_a_smaller_world_is_the_beginning_of_a_larger_one() -> None:
    assert world.make_scenes(7, 3) == world.make_scenes(40, 3)[:7]
    assert world.make_scene(33, 3) == world.make_scenes(40, 3)[33]


def test_another_seed_is_another_world() -> None:
    one, other = world.make_scenes(50, 1), world.make_scenes(50, 2)
    same = sum(a.metadata() == b.metadata() for a, b in zip(one, other, strict=True))
    assert same == 0


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="not be negative"):
        world.make_scenes(-1, 0)
    with pytest.raises(ValueError, match="not be negative"):
        world.make_scenes(1, -1)


def test_each_ten_scenes_hold_every_manoeuvre_once() -> None:
    scenes = world.make_scenes(60, 5)
    for start in range(0, 60, 10):
        assert sorted(scene.manoeuvre for scene in scenes[start : start + 10]) == sorted(world.MANOEUVRES)


@pytest.mark.parametrize("attribute", ["weather", "time_of_day", "place", "manoeuvre"])
def test_every_value_of_an_attribute_occurs(attribute: str) -> None:
    counts = Counter(getattr(scene, attribute) for scene in world.make_scenes(400, 0))
    assert set(counts) == set(world.ATTRIBUTES[attribute])
    assert min(counts.values()) >= 15


def test_every_road_user_occurs_and_nobody_walks_on_a_highway() -> None:
    scenes = world.make_scenes(400, 0)
    counts = Counter(user for scene in scenes for user in scene.road_users)
    assert set(counts) == set(world.ROAD_USERS)
    for scene in scenes:
        assert 1 <= len(scene.road_users) <= 3
        if scene.place == "highway":
            assert not {"pedestrians", "cyclist", "parked_cars"} & set(scene.road_users)
        assert scene.place in world.PLACES_OF[scene.manoeuvre]


def test_five_scenes_share_a_drive_and_mostly_its_weather() -> None:
    scenes = world.make_scenes(500, 0)
    logs = Counter(scene.log for scene in scenes)
    assert set(logs.values()) == {5}
    same = sum(a.weather == b.weather for a, b in pairwise(scenes) if a.log == b.log)
    assert 0.4 < same / 400 < 0.9
    assert all(scene.log.startswith(scene.location) for scene in scenes)


def test_it_does_not_snow_in_singapore() -> None:
    for scene in world.make_scenes(500, 1):
        assert not (scene.weather == "snow" and scene.location.startswith("singapore"))


def test_a_hundred_and_fifty_scenes_can_be_told_apart() -> None:
    scenes = world.make_scenes(150, 0)
    kinds = {tuple(sorted((k, v) for k, v in scene.metadata().items() if k != "log")) for scene in scenes}
    assert len(kinds) >= 147
