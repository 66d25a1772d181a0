"""Ranks against a slow loop over every order of the ties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.metrics import ranks
from multimodal_search.metrics.ranks import chance, rank_queries


def _slow(scores, relevant):
    """Expected best rank and average precision, position by position."""
    order = sorted(set(scores), reverse=True)
    better = seen = 0
    best_rank, precisions = None, 0.0
    for value in order:
        tied = sum(s == value for s in scores)
        hits = sum(s == value and r for s, r in zip(scores, relevant, strict=True))
        if hits and best_rank is None:
            best_rank = 1 + better + (tied - hits) / (hits + 1)
        for i in range(1, tied + 1):
            others = (hits - 1) / (tied - 1) * (i - 1) if tied > 1 else 0
            precisions += hits / tied * (seen + 1 + others) / (better + i)
        better += tied
        seen += hits
    return best_rank, precisions / sum(relevant)


def _brute(scores, relevant, draws=4000):
    """The same by shuffling the rows under a stable sort."""
    generator = np.random.default_rng(0)
    best, precision = [], []
    for _ in range(draws):
        order = generator.permutation(len(scores))
        order = order[np.argsort(-np.asarray(scores)[order], kind="stable")]
        places = np.flatnonzero(np.asarray(relevant)[order]) + 1
        best.append(places[0])
        precision.append(np.mean(np.arange(1, len(places) + 1) / places))
    return np.mean(best), np.mean(precision)


def _angles(values):
    """Vectors whose cosine with (1, 0) falls with the value: equal values tie."""
    return np.stack([np.cos(np.asarray(values) * 0.3), np.sin(np.asarray(values) * 0.3)], axis=1)


@st.composite
def _tasks(draw):
    n = draw(st.integers(1, 9))
    values = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    groups = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return values, groups


@settings(max_examples=200)
@given(_tasks(), st.randoms(use_true_random=False))
def test_ranks_equal_the_slow_loop_and_no_order_of_rows_changes_them(task, random):
    values, groups = task
    queries = np.array([[1.0, 0.0]])
    found = rank_queries(queries, _angles(values), np.array([1]), np.array(groups))
    relevant = [group == 1 for group in groups]
    if not any(relevant):
        assert len(found.rank) == 0
        assert found.summary() == {}
        return
    rank, precision = _slow([-v for v in values], relevant)
    assert found.rank[0] == pytest.approx(rank)
    assert found.average_precision[0] == pytest.approx(precision)
    assert (found.relevant[0], found.candidates[0]) == (sum(relevant), len(values))
    order = list(range(len(values)))
    random.shuffle(order)
    again = rank_queries(queries, _angles(values)[order], np.array([1]), np.array(groups)[order])
    assert again.rank[0] == found.rank[0]
    assert again.average_precision[0] == pytest.approx(found.average_precision[0], abs=1e-12)


@pytest.mark.parametrize("values", [[0, 0, 0, 1], [2, 1, 1, 0], [1, 1, 1, 1]])
def test_ties_are_the_mean_over_their_orders(values):
    relevant = [True, False, True, False]
    rank, precision = _brute([-v for v in values], relevant)
    found = rank_queries(np.array([[1.0, 0.0]]), _angles(values), np.array([1]), np.array([1, 0, 1, 0]))
    assert found.rank[0] == pytest.approx(rank, abs=0.05)
    assert found.average_precision[0] == pytest.approx(precision, abs=0.02)


def test_one_relevant_row_has_the_rank_of_the_notes():
    # one strictly better, the relevant one tied with two others: 1 + 1 + 2 / 2
    found = rank_queries(
        np.array([[1.0, 0.0]]), _angles([0, 1, 1, 1, 2]), np.array([7]), np.array([0, 7, 0, 0, 0])
    )
    assert found.rank.tolist() == [3.0]


def test_repeated_rows_tie_exactly_in_float32():
    generator = np.random.default_rng(0)
    row = generator.normal(size=(1, 257)).astype(np.float32)
    gallery = np.repeat(row, 97, axis=0)
    queries = generator.normal(size=(3, 257)).astype(np.float32)
    found = rank_queries(queries, gallery, np.array([0, 50, 96]), np.arange(97))
    assert found.rank.tolist() == [49.0, 49.0, 49.0]


@pytest.mark.parametrize("rows", [12, 100])
def test_a_constant_model_is_exactly_at_chance(rows):
    same = np.ones((rows, 8), dtype=np.float32)
    found = rank_queries(same, same, np.arange(rows), np.arange(rows))
    expected = chance(found.relevant, found.candidates)
    for name, value in found.summary().items():
        if name != "median_rank":
            assert value == pytest.approx(expected[name])
    assert found.summary()["median_rank"] == (rows + 1) / 2


def test_a_tie_at_the_edge_counts_by_its_probability():
    # four strictly better, then the relevant row tied with three others: places 5 to 8
    gallery = _angles([0, 0, 0, 0, 1, 1, 1, 1, 2])
    found = rank_queries(
        np.array([[1.0, 0.0]]), gallery, np.array([7]), np.array([0, 0, 0, 0, 0, 7, 0, 0, 0])
    )
    assert found.found[0].tolist() == [0.0, 0.25, 1.0]
    assert found.reciprocal[0] == pytest.approx(np.mean([1 / 5, 1 / 6, 1 / 7, 1 / 8]))


def test_chunks_change_nothing(monkeypatch):
    generator = np.random.default_rng(1)
    queries, gallery = generator.normal(size=(31, 5)), generator.normal(size=(40, 5))
    groups = generator.integers(0, 6, 31), generator.integers(0, 6, 40)
    whole = rank_queries(queries, gallery, *groups)
    monkeypatch.setattr(ranks, "_CHUNK_BYTES", 8 * 40 * 3)
    cut = rank_queries(queries, gallery, *groups)
    assert np.array_equal(whole.query, cut.query)
    np.testing.assert_allclose(whole.rank, cut.rank)
    np.testing.assert_allclose(whole.average_precision, cut.average_precision)


def test_blocked_rows_leave_the_gallery():
    vectors = _angles([0, 1, 2, 3])
    groups = np.array([0, 0, 1, 1])
    own = np.arange(4)
    found = rank_queries(vectors, vectors, groups, groups, query_block=own, gallery_block=own)
    assert found.candidates.tolist() == [3, 3, 3, 3]
    assert found.relevant.tolist() == [1, 1, 1, 1]
    # row 1's only other relevant row, 0, is as far as row 2: the two tie
    assert found.rank.tolist() == [1.0, 1.5, 1.5, 1.0]


def test_queries_without_a_group_are_left_out():
    vectors = _angles([0, 1])
    found = rank_queries(vectors, vectors, np.array([-1, 5]), np.array([-1, 5]))
    assert found.query.tolist() == [1]


@pytest.mark.parametrize(("n", "r"), [(10, 1), (10, 3), (7, 7), (150, 1), (60, 12)])
def test_chance_is_exact(n, r):
    got = chance(np.array([r]), np.array([n]))
    for k in (1, 5, 10):
        expected = 1 - math.comb(n - r, k) / math.comb(n, k) if k <= n else 1.0
        assert got[f"R@{k}"] == pytest.approx(expected)


def test_chance_is_what_random_vectors_give():
    generator = np.random.default_rng(0)
    queries, gallery = generator.normal(size=(4000, 16)), generator.normal(size=(60, 16))
    found = rank_queries(queries, gallery, generator.integers(0, 12, 4000), np.arange(60) % 12)
    expected = chance(found.relevant, found.candidates)
    for name, value in found.summary().items():
        assert value == pytest.approx(expected[name], abs=1.01 if name == "median_rank" else 0.03)


def test_chance_of_150_scenes_is_what_the_bar_says():
    assert chance(np.ones(150, dtype=np.int64), np.full(150, 150))["R@10"] == pytest.approx(10 / 150)
