"""Each row's nearest others are the right ones: any metric, ties, rows that cannot be compared."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal_search.analysis.graph import Graph, neighbour_graph, shared_graph
from multimodal_search.settings.search import Metric
from multimodal_search.tables import VectorSet
from multimodal_search.types import FloatArray

METRICS: tuple[Metric, ...] = ("cosine", "l2", "ip")


def vector_set(array: FloatArray) -> VectorSet:
    return VectorSet(
        "memory", [str(row) for row in range(len(array))], array.shape[1], lambda rows: array[rows]
    )


def all_distances(array: FloatArray, metric: Metric) -> FloatArray:
    """(n, n), by the definition, in float64; each row infinitely far from itself."""
    x = array.astype(np.float64)
    if metric == "l2":
        found = np.linalg.norm(x[:, None] - x[None], axis=2)
    else:
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        found = 1 - unit @ unit.T if metric == "cosine" else -(x @ x.T)
    np.fill_diagonal(found, np.inf)
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "k"), [(1, 3), (2, 1), (5, 9), (700, 10), (2600, 3), (2600, 40)])
def test_neighbours_are_those_of_the_definition(metric: Metric, n: int, k: int) -> None:
    array = np.random.default_rng(n).normal(0.5, 1, (n, 12)).astype(np.float32)
    graph = neighbour_graph(vector_set(array), k, metric)
    assert graph.rows.shape == graph.distances.shape == (n, k)
    assert (graph.exact, graph.recall) == (True, 1.0)
    there = min(k, n - 1)
    expected = all_distances(array, metric)
    assert np.allclose(graph.distances[:, :there], np.sort(expected, axis=1)[:, :there], atol=1e-4)
    if there:
        own = np.take_along_axis(expected, graph.rows[:, :there].astype(np.int64), axis=1)
        assert np.allclose(graph.distances[:, :there], own, atol=1e-4)
    assert (graph.rows[:, there:] == -1).all()
    assert np.isinf(graph.distances[:, there:]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_of_equal_vectors_the_lower_rows_are_nearer(metric: Metric) -> None:
    array = np.repeat(np.random.default_rng(1).normal(size=(30, 33)), 100, axis=0).astype(np.float32)
    graph = neighbour_graph(vector_set(array), 4, metric)
    own = np.arange(len(array)) // 100 * 100
    if metric != "ip":  # where a longer vector may be nearer than an equal one
        for place in range(4):
            expected = own + place + (np.arange(len(array)) <= own + place)
            assert (graph.rows[:, place] == expected).all()
        assert (graph.distances == 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_cannot_be_compared_have_no_neighbours_and_are_nobodys(metric: Metric) -> None:
    array = np.random.default_rng(2).normal(size=(600, 8)).astype(np.float32)
    array[[0, 77, 599]] = np.array([[0.0], [np.nan], [np.inf]])
    graph = neighbour_graph(vector_set(array), 5, metric)
    bad = np.array([0, 77, 599])
    assert (graph.rows[bad] == -1).all()
    assert not np.isin(graph.rows, bad).any()
    good = np.setdiff1d(np.arange(600), bad)
    expected = np.sort(all_distances(array[good], metric), axis=1)[:, :5]
    assert np.allclose(graph.distances[good], expected, atol=1e-4)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nothing_to_compare(rows: int) -> None:
    graph = neighbour_graph(vector_set(np.zeros((rows, 4), np.float32)), 2)
    assert graph.rows.shape == (rows, 2)
    assert (graph.rows == -1).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_tiny_and_huge_vectors_are_compared(scale: float) -> None:
    array = np.random.default_rng(3).normal(size=(200, 8))
    plain = neighbour_graph(vector_set(array.astype(np.float32)), 3)
    scaled = neighbour_graph(vector_set((array * scale).astype(np.float32)), 3)
    assert (plain.rows == scaled.rows).all()


def test_fewer_neighbours_are_the_first_of_more() -> None:
    array = np.random.default_rng(4).normal(size=(900, 8)).astype(np.float32)
    more, fewer = neighbour_graph(vector_set(array), 9), neighbour_graph(vector_set(array), 4)
    assert isinstance(more, Graph)
    assert (more.first(4).rows == fewer.rows).all()


def test_many_rows_get_nearly_all_their_neighbours_and_the_share_is_told() -> None:
    generator = np.random.default_rng(5)
    centres = generator.normal(size=(60, 24))
    array = (centres[generator.integers(0, 60, 6000)] + 0.6 * generator.normal(size=(6000, 24))).astype(
        np.float32
    )
    array[generator.integers(0, 6000, 30)] = 0
    for metric in METRICS:
        true = neighbour_graph(vector_set(array), 10, metric, exact=True)
        found = neighbour_graph(vector_set(array), 10, metric, exact=False)
        same = (found.rows[:, :, None] == true.rows[:, None, :]).any(axis=1)[true.rows >= 0].mean()
        assert same >= 0.95
        assert abs(found.recall - same) < 0.03
        assert not found.exact
        assert ((found.rows >= 0) == (true.rows >= 0)).all()
        assert (found.rows != np.arange(6000)[:, None]).all()


def test_repeated_vectors_among_many_rows() -> None:
    array = np.random.default_rng(6).normal(size=(4000, 8)).astype(np.float32)
    array[1000:] = array[0]
    found = neighbour_graph(vector_set(array), 5, exact=False)
    assert (found.distances[1000:] == 0).all()


def test_one_graph_serves_all_commands_and_a_broken_one_is_made_again(tmp_path: Path) -> None:
    array = np.random.default_rng(7).normal(size=(300, 8)).astype(np.float32)
    made = shared_graph(vector_set(array), 3, beside=tmp_path / "a")
    (file,) = (tmp_path / ".neighbours").iterdir()
    before = file.stat().st_mtime_ns
    again = shared_graph(vector_set(array), 10, beside=tmp_path / "b.csv")
    assert file.stat().st_mtime_ns == before
    assert (again.rows[:, :3] == made.rows).all()
    shared_graph(vector_set(array + 1), 3, beside=tmp_path / "a")
    shared_graph(vector_set(array), 3, "l2", beside=tmp_path / "a")
    assert len(list((tmp_path / ".neighbours").iterdir())) == 3
    file.write_bytes(file.read_bytes()[:500])
    assert (shared_graph(vector_set(array), 3, beside=tmp_path / "a").rows == made.rows).all()


@pytest.mark.parametrize(
    ("exact", "step"), [(True, "neighbors_exact._compare"), (False, "neighbors_cells._compare_wanted")]
)
def test_a_search_that_was_cut_short_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, exact: bool, step: str
) -> None:
    array = np.random.default_rng(8).normal(size=(3000, 16)).astype(np.float32)
    whole = neighbour_graph(vector_set(array), 16, exact=exact)
    monkeypatch.setattr("multimodal_search.analysis.neighbors_checkpoint.EVERY_SECONDS", 0.0)
    place, name = step.split(".")
    module = importlib.import_module(f"multimodal_search.analysis.{place}")
    real = getattr(module, name)
    turns = 0

    def interrupted(*given: Any) -> None:
        nonlocal turns
        turns += 1
        if turns == 3:
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(module, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        shared_graph(vector_set(array), 5, beside=tmp_path / "o", exact=exact)
    turns = 10
    with caplog.at_level("INFO"):
        found = shared_graph(vector_set(array), 5, beside=tmp_path / "o", exact=exact)
    assert "cut short" in caplog.text
    assert (found.rows == whole.rows[:, :5]).mean() > (0.9999 if exact else 0.99)
    assert [one.suffix for one in (tmp_path / ".neighbours").iterdir()] == [".npz"]
