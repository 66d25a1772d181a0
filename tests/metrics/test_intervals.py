"""Intervals: the width a statistician expects, the unit that is honest, the same on every run."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal_search.metrics.intervals import bootstrap_interval, verdict, widest_interval, wilson_interval


def test_half_of_150_scenes_has_the_interval_of_the_notes():
    values = np.tile([0.0, 1.0], 75)
    low, high = bootstrap_interval(values, [f"s{i}" for i in range(150)])
    assert low == pytest.approx(0.42, abs=0.01)
    assert high == pytest.approx(0.58, abs=0.01)


def test_the_unit_is_the_scene_not_the_keyframe():
    values = np.repeat(np.tile([0.0, 1.0], 10), 40)
    scenes = [f"s{i // 40}" for i in range(800)]
    narrow = bootstrap_interval(values, [str(i) for i in range(800)])
    wide = bootstrap_interval(values, scenes)
    assert wide[1] - wide[0] > 4 * (narrow[1] - narrow[0])


def test_the_wider_of_scenes_and_logs_is_published():
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 25)
    scenes, logs = [f"s{i}" for i in range(100)], [f"l{i // 25}" for i in range(100)]
    both = widest_interval(values, [scenes, logs], seed=3)
    assert both == bootstrap_interval(values, logs, seed=4)
    assert both[1] - both[0] > 0.5


def test_the_same_seed_gives_the_same_interval():
    values, scenes = np.random.default_rng(0).random(40), [str(i) for i in range(40)]
    assert bootstrap_interval(values, scenes, seed=1) == bootstrap_interval(values, scenes, seed=1)
    assert bootstrap_interval(values, scenes, seed=1) != bootstrap_interval(values, scenes, seed=2)


def test_thirty_of_thirty_is_not_certainty():
    low, high = bootstrap_interval(np.ones(30), [str(i) for i in range(30)], rate=True)
    assert high == pytest.approx(1.0)
    assert low == pytest.approx(0.886, abs=0.01)
    assert wilson_interval(0.5, 100) == pytest.approx((0.404, 0.596), abs=0.001)


def test_one_scene_has_no_interval():
    assert bootstrap_interval(np.ones(5), ["a"] * 5) is None
    assert widest_interval(np.ones(5), [["a"] * 5, ["l"] * 5]) is None


@pytest.mark.parametrize(("scenes", "text"), [(49, "too few to tell"), (50, None)])
def test_under_fifty_scenes_the_text_says_so(scenes, text):
    assert verdict(scenes) == text
