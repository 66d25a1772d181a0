"""The map that ranks: it beats plain ridge where what the signal cannot know is loud."""

from __future__ import annotations

import numpy as np

from multimodal_search.closed_form import fit_ridge, fit_two_sided, mean_reciprocal_ranks


def _classes(share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """600 scenes of 10 classes: x knows the class, y the class (a share of its variance) and much else."""
    rng = np.random.default_rng(seed)
    label = rng.integers(10, size=600)
    loud = rng.normal(size=(600, 8)) @ rng.normal(size=(8, 64)) / np.sqrt(8)
    y = np.sqrt(share) * rng.normal(size=(10, 64))[label] + np.sqrt(1 - share) * loud
    x = (rng.normal(size=(10, 20))[label] + 0.5 * rng.normal(size=(600, 20))) * np.geomspace(1e-3, 1e3, 20)
    return x, y + 0.2 * rng.normal(size=y.shape), label


def _class_map(queries: np.ndarray, gallery: np.ndarray, label: np.ndarray) -> float:
    """Mean average precision of finding the query's class."""
    order = np.argsort(-(queries @ gallery.T / np.linalg.norm(gallery, axis=1)), axis=1)
    relevant = label[order] == label[:, None]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, len(label) + 1)
    return float(np.mean((precision * relevant).sum(axis=1) / relevant.sum(axis=1)))


def test_it_finds_the_class_where_other_factors_are_loud() -> None:
    x, y, label = _classes(share=0.1)
    train, test = np.arange(450), np.arange(450, 600)
    w, b, _ = fit_two_sided(x[train], y[train], train.tolist())
    ridge, c = fit_ridge(x[train], y[train])
    centre = y[train].mean(axis=0)
    ours = _class_map(x[test] @ w + b, y[test] - centre, label[test])
    plain = _class_map(x[test] @ ridge + c - centre, y[test] - centre, label[test])
    assert ours > 0.8
    assert ours > plain + 0.1


def test_with_its_spread_the_map_is_ridges_prediction_again() -> None:
    x, y, _ = _classes(share=0.1)
    train, test = np.arange(450), np.arange(450, 600)
    w, b, spread = fit_two_sided(x[train], y[train], train.tolist())
    ridge, c = fit_ridge(x[train], y[train])
    predicted = x[test] @ ridge + c - y[train].mean(axis=0)
    # ridge chooses another penalty on x
    assert _mean_cosine((x[test] @ w + b) @ spread, predicted) > 0.9
    assert _mean_cosine(x[test] @ w + b, predicted) < 0.85
    np.testing.assert_allclose(spread, spread.T, atol=1e-9)


def _mean_cosine(one: np.ndarray, two: np.ndarray) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return float(np.mean(np.sum(one * two, axis=1) / lengths))


def test_signals_without_information_give_chance() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(300, 10)), rng.normal(size=(300, 16))
    w, b, _ = fit_two_sided(x[:200], y[:200], list(range(200)))
    found = mean_reciprocal_ranks(x[200:] @ w + b, y[200:])
    chance = np.sum(1 / np.arange(1, 101)) / 100
    assert abs(found.mean() - chance) < 3 * found.std() / 10


def test_equal_rows_share_their_expected_rank() -> None:
    np.testing.assert_allclose(mean_reciprocal_ranks(np.ones((3, 2)), np.ones((3, 2))), 0.5)
    np.testing.assert_allclose(mean_reciprocal_ranks(np.eye(3), np.eye(3)), 1.0)
    assert np.isfinite(mean_reciprocal_ranks(np.zeros((3, 2)), np.ones((3, 2)))).all()


def test_one_group_alone_still_gives_a_map() -> None:
    x, y, _ = _classes(0.3)
    w, b, spread = fit_two_sided(x[:5], y[:5], ["log"] * 5)
    assert np.isfinite(w).all()
    assert np.isfinite(b).all()
    np.testing.assert_array_equal(spread, np.eye(64))  # nothing to choose by: plain ridge
