"""Ridge and CCA against textbook formulas on all rows at once."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal_search.closed_form import fit_cca, fit_ridge, fit_two_sided


def _pairs(n: int = 300, dx: int = 12, dy: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dx)) * np.geomspace(0.01, 100, dx) + 1000
    y = (x - 1000) / np.geomspace(0.01, 100, dx) @ rng.normal(size=(dx, dy)) + rng.normal(size=(n, dy)) + 5
    return x, y


def test_ridge_is_the_textbook_solution_on_standardised_inputs() -> None:
    x, y = _pairs()
    w, b = fit_ridge(x, y, penalties=(0.5,))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    inner = np.linalg.solve(z.T @ z + 0.5 * len(z) * np.eye(z.shape[1]), z.T @ (y - y.mean(axis=0)))
    np.testing.assert_allclose(x @ w + b, z @ inner + y.mean(axis=0), rtol=1e-6, atol=1e-6)


def test_ridge_finds_a_noiseless_map_and_chooses_the_small_penalty() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 5))
    y = x @ rng.normal(size=(5, 3)) + 2
    w, b = fit_ridge(x, y, groups=[i // 10 for i in range(200)])
    np.testing.assert_allclose(x @ w + b, y, atol=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_folds_that_hold_one_value_only_end_in_no_map_not_in_an_error(seed: int) -> None:
    """Fifty frames of one clip share their caption: without the other folds nothing varies."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.tile(rng.normal(size=(1, 24)), (50, 1)), rng.normal(size=(2, 24))])
    y = np.concatenate([rng.normal(size=(50, 16)), rng.normal(size=(2, 16))])
    groups = ["clip"] * 50 + ["a", "b"]
    for one, two in ((x, y), (y, x), (x, x)):
        for w in (*fit_ridge(one, two, groups), *fit_cca(one, two, 8, groups=groups)):
            assert np.isfinite(w).all()
        assert all(np.isfinite(w).all() for w in fit_two_sided(one, two, groups))
    w, b = fit_ridge(x[:50], y[:50])
    np.testing.assert_array_equal(w, 0)
    np.testing.assert_allclose(b, y[:50].mean(axis=0))


def test_ridge_of_pure_noise_is_shrunk() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(60, 40)), rng.normal(size=(60, 4))
    chosen, _ = fit_ridge(x, y)
    free, _ = fit_ridge(x, y, penalties=(1e-3,))
    assert np.linalg.norm(chosen) < 0.5 * np.linalg.norm(free)


def test_pairs_are_taken_by_row_numbers_from_any_float_type() -> None:
    x, y = _pairs(50)
    rows_x, rows_y = np.array([3, 3, 8, 20, 41, 7, 9, 30]), np.array([1, 2, 5, 8, 40, 3, 3, 9])
    one = fit_ridge(x, y, x_rows=rows_x, y_rows=rows_y, penalties=(0.1,))
    two = fit_ridge(x[rows_x], y[rows_y], penalties=(0.1,))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b)
    half, _ = fit_ridge(x.astype(np.float16), y.astype(np.float16), penalties=(0.1,))
    assert half.dtype == np.float64


def test_a_constant_column_gets_no_weight() -> None:
    x, y = _pairs()
    x[:, 3] = 7.0
    w, _ = fit_ridge(x, y)
    assert np.isfinite(w).all()
    np.testing.assert_array_equal(w[3], 0)


def test_cca_gives_the_canonical_correlations() -> None:
    rng = np.random.default_rng(3)
    hidden = rng.normal(size=(5000, 2))
    x = np.hstack([hidden, rng.normal(size=(5000, 2))]) @ rng.normal(size=(4, 4)) + 3
    y = np.hstack([hidden + [0.5, 1.0] * rng.normal(size=(5000, 2)), rng.normal(size=(5000, 1))])
    a, mx, b, my = fit_cca(x, y, 3, reg=1e-6)
    u, v = (x - mx) @ a, (y - my) @ b
    found = [np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(2)]
    np.testing.assert_allclose(found, [1 / np.sqrt(1.25), 1 / np.sqrt(2)], atol=0.02)
    # a column's size is its correlation, so that inner products weigh directions by agreement
    np.testing.assert_allclose((u**2).mean(axis=0)[:2], found, atol=0.02)


@pytest.mark.parametrize(("n", "dim"), [(4, 50), (300, 50), (300, 3)])
def test_cca_never_gives_more_columns_than_the_rank(n: int, dim: int) -> None:
    x, y = _pairs(n)
    a, _, b, _ = fit_cca(x, y, dim)
    assert a.shape[1] == b.shape[1] == min(dim, 7, n - 1)
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()


def test_cca_of_constant_features_is_finite() -> None:
    a, _, b, _ = fit_cca(np.ones((5, 3)), np.ones((5, 2)), 2)
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()


def test_the_order_of_rows_does_not_matter() -> None:
    x, y = _pairs(80)
    groups = [f"log-{i // 9}" for i in range(80)]
    order = np.random.default_rng(0).permutation(80)
    w, b = fit_ridge(x, y, groups)
    shuffled = fit_ridge(x[order], y[order], [groups[i] for i in order])
    np.testing.assert_allclose(x @ w + b, x @ shuffled[0] + shuffled[1], rtol=1e-6, atol=1e-6)


def test_pairs_that_do_not_match_are_refused() -> None:
    x, y = _pairs(10)
    with pytest.raises(ValueError, match="10 and 9"):
        fit_ridge(x, y[:9])
    with pytest.raises(ValueError, match="one group a pair"):
        fit_ridge(x, y, groups=["a"])
    with pytest.raises(ValueError, match="at least one"):
        fit_cca(x[:0], y[:0], 2)
