"""Sums in chunks equal sums at once; folds keep groups whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.closed_form.moments import grouped_folds, moments


def test_chunks_and_large_offsets_do_not_change_the_covariance() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2500, 4)) + 1e6, rng.normal(size=(2500, 3))
    rows = np.arange(2500)
    cxx, cxy, cyy = moments(x, y, rows, rows).covariances()
    full = np.cov(np.hstack([x, y]).T, bias=True)
    np.testing.assert_allclose(np.block([[cxx, cxy], [cxy.T, cyy]]), full, atol=1e-6)


def test_the_total_minus_a_part_is_the_rest() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    rows = np.arange(30)
    total = moments(x, y, rows, rows)
    shift = total.shift_x, total.shift_y
    rest = total - moments(x, y, rows[:10], rows[:10], shift)
    for one, two in zip(
        rest.covariances(), moments(x, y, rows[10:], rows[10:], shift).covariances(), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-12)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(1, 7))
def test_a_group_is_never_cut_and_no_fold_is_empty(groups: list[int], folds: int) -> None:
    fold = grouped_folds(groups, folds)
    for group in set(groups):
        assert len({int(f) for f, g in zip(fold, groups, strict=True) if g == group}) == 1
    assert set(fold.tolist()) == set(range(min(folds, len(set(groups)))))
