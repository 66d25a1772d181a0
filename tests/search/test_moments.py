"""Rows -> moments, on hand-made timelines and against a slow search."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.search.moments import Timeline, diverse, find_moments, frames
from multimodal_search.search.ranking import Scanner


class Ranked:
    """Rows in a given order."""

    def __init__(self, rows):
        self.rows = np.array(rows, dtype=np.int64)
        self.asked = []

    def top(self, count):
        self.asked.append(count)
        rows = self.rows[:count]
        return rows, -np.arange(len(rows), dtype=np.float64)


def timeline(seconds, scenes=None, items=None):
    count = len(seconds)
    return Timeline(
        items or [f"i{row}" for row in range(count)],
        scenes or ["s"] * count,
        [None if one is None else round(one * 1e6) for one in seconds],
    )


def spans(found):
    return [None if one.span_us is None else tuple(us / 1e6 for us in one.span_us) for one in found]


def test_a_row_between_two_moments_joins_them():
    found = find_moments(Ranked([0, 2, 1]), timeline([0, 2, 4]), 2, gap_us=2_000_000)
    assert spans(found) == [(0, 4)]
    assert found[0].rows == [0, 1, 2]


def test_one_moment_of_a_scene_leaves_room_for_other_scenes():
    seconds, scenes = [0, 1, 2, 100, 0], ["a", "a", "a", "a", "b"]
    found = find_moments(Ranked([0, 3, 1, 4]), timeline(seconds, scenes), 2, gap_us=10**6, per_scene=1)
    assert [one.best for one in found] == [0, 4]


def test_cameras_of_one_time_are_one_frame_and_rows_without_time_merge_by_item():
    same = timeline([5, 5, 5], items=["front", "back", "front"])
    assert len(find_moments(Ranked([2, 1, 0]), same, 3, gap_us=0)) == 1
    timeless = timeline([None, None, None], items=["x", "y", "x"])
    found = find_moments(Ranked([0, 1, 2]), timeless, 3)
    assert [one.rows for one in found] == [[0, 2], [1]]
    assert frames(found[0], timeless) == ("x",)
    homeless = Timeline(["x", "y"], [None, None], [1, 2])
    assert len(find_moments(Ranked([0, 1]), homeless, 3, gap_us=10**9)) == 2


def test_the_usual_gap_follows_the_keyframes_not_the_cameras():
    assert timeline([0, 0.5, 1.0, 1.5]).gap_us == 1_250_000
    cameras = [frame * 0.5 + camera * 0.015 for frame in range(20) for camera in range(6)]
    assert 1_000_000 <= timeline(cameras).gap_us <= 1_250_000
    assert timeline([0, 0, 0]).gap_us == 0
    assert timeline([0, 3600, 7200]).gap_us == 10_000_000
    assert timeline([]).gap_us == 0


def test_enough_rows_are_fetched_until_there_are_enough_moments():
    seconds = [row * 0.5 for row in range(1000)] + [0.0]
    ranked = Ranked(range(1001))
    found = find_moments(ranked, timeline(seconds, ["a"] * 1000 + ["b"]), 2)
    assert [one.best for one in found] == [0, 1000]
    assert len(found[0].rows) == 1000
    assert ranked.asked == [64, 256, 1024]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 30))), min_size=1, max_size=30
    ),
    st.integers(0, 4),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_moments_of_a_scene_lie_further_apart_than_the_gap(rows, gap, count, random):
    scenes = [scene for scene, _ in rows]
    order = list(range(len(rows)))
    random.shuffle(order)
    found = find_moments(
        Ranked(order), timeline([time for _, time in rows], scenes), count, gap_us=gap * 1_000_000
    )
    assert 1 <= len(found) <= count
    members = [row for one in found for row in one.rows]
    assert len(members) == len(set(members))
    assert [one.likeness for one in found] == sorted((one.likeness for one in found), reverse=True)
    for one in found:
        assert {scenes[row] for row in one.rows} == {scenes[one.best]}
        assert order.index(one.best) == min(map(order.index, one.rows))
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            if scenes[one.best] == scenes[other.best] and one.span_us and other.span_us:
                apart = max(one.span_us[0], other.span_us[0]) - min(one.span_us[1], other.span_us[1])
                assert apart > gap * 1_000_000


def test_diverse_takes_the_unlike_before_the_alike():
    moments = find_moments(Ranked([0, 1, 2]), timeline([0, 100, 200]), 3, gap_us=0)
    vectors = np.array([[1.0, 0], [1.0, 0], [0, 1.0]])
    assert [one.best for one in diverse(moments, vectors, 2, 0.8)] == [0, 2]
    assert [one.best for one in diverse(moments, vectors, 3, 0.0)] == [0, 1, 2]
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
