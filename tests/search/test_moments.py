"""Rows -> moments, on hand-made timelines and against a slow search."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.search.moments import Timeline, diverse, find_moments, frames
from multimodal_search.search.ranking import Scanner


class Ranked:
    """Rows with likenesses that are given; -inf may not be found."""

    def __init__(self, values):
        self.values = np.array(values, dtype=np.float64)
        order = np.argsort(-self.values, kind="stable")
        self.rows = order[np.isfinite(self.values[order])]
        self.asked = []

    def top(self, count):
        self.asked.append(count)
        rows = self.rows[:count]
        return rows, self.values[rows]

    def measure(self, rows):
        return self.values[rows]


def timeline(seconds, scenes=None, items=None):
    count = len(seconds)
    return Timeline(
        items or [f"i{row}" for row in range(count)],
        scenes or ["s"] * count,
        [None if one is None else round(one * 1e6) for one in seconds],
    )


def moments(values, where, count, gap=1.0, usual=0.0, per_scene=None):
    ranked = Ranked(values)
    return find_moments(
        ranked, ranked.measure, usual, where, count, gap_us=round(gap * 1e6), per_scene=per_scene
    )


def test_a_moment_reaches_as_far_as_half_of_its_lead():
    found = moments([0.2, 0.6, 0.9, 1.0, 0.55, 0.3, 0.1], timeline(range(7)), 1)
    assert (found[0].best, found[0].rows.tolist()) == (3, [1, 2, 3, 4])
    assert found[0].span_us == (1_000_000, 4_000_000)
    led = moments([0.2, 0.6, 0.9, 1.0, 0.55, 0.3, 0.1], timeline(range(7)), 1, usual=0.5)
    assert led[0].rows.tolist() == [2, 3]


def test_two_peaks_are_two_moments_and_what_lies_at_one_opens_none():
    values = [1.0, 0.9, 0.45, 0.2, 0.39, 0.8, 0.7]
    found = moments(values, timeline(range(7)), 9)
    assert [one.rows.tolist() for one in found] == [[0, 1], [5, 6], [3]]
    assert [one.best for one in found] == [0, 5, 3]
    assert [one.best for one in moments(values, timeline(range(7)), 2)] == [0, 5]
    assert [one.best for one in moments(values, timeline(range(7)), 9, per_scene=1)] == [0]


def test_frames_across_a_gap_do_not_belong_together():
    found = moments([1.0, 0.9, 0.95], timeline([0, 1, 9]), 9)
    assert [one.rows.tolist() for one in found] == [[0, 1], [2]]
    assert len(moments([1.0, 0.9, 0.95], timeline([0, 1, 9]), 9, gap=8)) == 1
    assert len(moments([1.0, 0.9, 0.95], timeline([0, 1, 9]), 9, gap=0)) == 3


def test_rows_that_may_not_be_found_are_in_no_moment():
    nothing = -np.inf
    found = moments([1.0, nothing, 0.9, nothing], timeline([0, 0.5, 1, 1.5]), 9)
    assert [one.rows.tolist() for one in found] == [[0, 2]]


def test_where_the_query_leads_away_from_all_a_moment_is_its_best_row():
    found = moments([-1.0, -0.9, -0.8], timeline(range(3)), 1, usual=0.0)
    assert found[0].rows.tolist() == [2]


def test_one_moment_of_a_scene_leaves_room_for_other_scenes():
    where = timeline([0, 1, 2, 100, 0], ["a", "a", "a", "a", "b"])
    found = moments([1.0, 0.9, 0.8, 0.95, 0.3], where, 2, per_scene=1)
    assert [one.best for one in found] == [0, 4]


def test_cameras_of_one_time_are_one_frame_and_rows_without_time_merge_by_item():
    same = timeline([5, 5, 5], items=["front", "back", "front"])
    found = moments([0.8, 0.9, 1.0], same, 3, gap=0)
    assert len(found) == 1
    assert frames(found[0], same) == ("front", "back")
    timeless = timeline([None, None, None], items=["x", "y", "x"])
    found = moments([1.0, 0.9, 0.8], timeless, 3)
    assert [one.best for one in found] == [0, 1]
    assert frames(found[0], timeless) == ("x",)
    homeless = Timeline(["x", "y"], [None, None], [1, 2])
    assert len(moments([1.0, 0.9], homeless, 3, gap=9)) == 2


def test_the_usual_gap_follows_the_keyframes_not_the_cameras():
    assert timeline([0, 0.5, 1.0, 1.5]).gap_us == 1_250_000
    cameras = [frame * 0.5 + camera * 0.015 for frame in range(20) for camera in range(6)]
    assert 1_000_000 <= timeline(cameras).gap_us <= 1_250_000
    assert timeline([0, 0, 0]).gap_us == 0
    assert timeline([0, 3600, 7200]).gap_us == 10_000_000
    assert timeline([]).gap_us == 0


def test_enough_rows_are_fetched_until_there_are_enough_moments():
    seconds = [row * 0.5 for row in range(1000)] + [0.0]
    ranked = Ranked([*np.linspace(2, 1.5, 1000), 1.0])
    where = timeline(seconds, ["a"] * 1000 + ["b"])
    found = find_moments(ranked, ranked.measure, 0.0, where, 2)
    assert [one.best for one in found] == [0, 1000]
    assert len(found[0].rows) == 1000
    assert ranked.asked == [64, 256, 1024]


ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 30)), st.integers(-3, 9)),
    min_size=1,
    max_size=30,
)


@given(ROWS, st.integers(0, 4), st.integers(1, 8))
def test_moments_are_apart_and_do_not_depend_on_their_number(rows, gap, count):
    scenes = [scene for scene, _, _ in rows]
    values = [value for _, _, value in rows]
    where = timeline([time for _, time, _ in rows], scenes)
    found = moments(values, where, count, gap=gap)
    every = moments(values, where, 99, gap=gap)
    assert [one.rows.tolist() for one in found] == [one.rows.tolist() for one in every[:count]]
    assert [one.likeness for one in every] == sorted((one.likeness for one in every), reverse=True)
    members = [row for one in every for row in one.rows.tolist()]
    assert len(members) == len(set(members))
    assert every[0].best == int(np.argmax(values))
    for i, one in enumerate(every):
        assert {scenes[row] for row in one.rows} == {scenes[one.best]}
        assert max(values[row] for row in one.rows) == values[one.best] == one.likeness
        for other in every[i + 1 :]:
            if scenes[one.best] == scenes[other.best] and one.span_us and other.span_us:
                apart = max(one.span_us[0], other.span_us[0]) - min(one.span_us[1], other.span_us[1])
                assert apart > gap * 1_000_000


def test_diverse_takes_the_unlike_before_the_alike():
    ranked = moments([3.0, 2.0, 1.0], timeline([0, 100, 200]), 3, gap=0)
    vectors = np.array([[1.0, 0], [1.0, 0], [0, 1.0]])
    assert [one.best for one in diverse(ranked, vectors, 2, 0.8)] == [0, 2]
    assert [one.best for one in diverse(ranked, vectors, 3, 0.0)] == [0, 1, 2]
    assert diverse([], vectors[:0], 2, 0.5) == []


@given(st.integers(1, 60), st.integers(1, 5), st.sampled_from(["cosine", "l2", "ip"]), st.integers(0, 10_000))
def test_the_scan_is_a_sort_with_ties_by_row_and_no_row_that_cannot_be_compared(count, dim, metric, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (count, dim)).astype(np.float32)
    vectors[rng.random(count) < 0.2] = np.nan
    query = rng.integers(-2, 3, dim).astype(np.float64) + 0.5
    if metric == "cosine":
        query /= np.linalg.norm(query)
    chosen = np.flatnonzero(rng.random(count) < 0.7)
    expected = []
    for row in chosen:
        vector = vectors[row].astype(np.float64)
        if not np.isfinite(vector).all() or (metric == "cosine" and not vector.any()):
            continue
        if metric == "l2":
            value = -float(((vector - query) ** 2).sum())
        else:
            value = float(vector @ query) / (np.linalg.norm(vector) if metric == "cosine" else 1)
        expected.append((value, int(row)))
    wanted = int(rng.integers(1, count + 1))
    rows, likenesses = Scanner(lambda some: vectors[some], count, dim).rank(query, metric, chosen).top(wanted)
    assert len(rows) == min(wanted, len(expected))
    best = {row: value for value, row in expected}
    assert np.allclose(likenesses, [best[row] for row in rows.tolist()], atol=1e-5)
    assert np.allclose(likenesses, sorted(best.values(), reverse=True)[: len(rows)], atol=1e-5)
    for (one, row), (other, next_row) in zip(
        zip(likenesses, rows, strict=True), list(zip(likenesses, rows, strict=True))[1:], strict=False
    ):
        assert one > other or row < next_row
