"""Layouts: near means alike, the same for a seed, and something to look at however few rows there are."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal_search.analysis import layout
from multimodal_search.analysis.layout import few_distinct, lay_out


def _together(places, kind):
    centres = np.stack([places[kind == k].mean(axis=0) for k in np.unique(kind)])
    return (np.linalg.norm(places[:, None] - centres[None], axis=2).argmin(axis=1) == kind).mean()


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_like_rows_lie_together_and_the_seed_decides_where(metric, blobs):
    vectors, kind = blobs(200, 4)
    found = lay_out(vectors, 1, metric=metric)
    np.testing.assert_array_equal(found, lay_out(vectors, 1, metric=metric))
    assert _together(found, kind) > 0.95
    assert not np.array_equal(found, lay_out(vectors, 2, metric=metric))


def test_large_sets_start_from_principal_components_and_look_as_well(monkeypatch, blobs):
    vectors, kind = blobs(300, 6)
    monkeypatch.setattr(layout, "_SPECTRAL_UP_TO", 100)
    found = lay_out(vectors, 0)
    np.testing.assert_array_equal(found, lay_out(vectors, 0))
    assert _together(found, kind) > 0.95


def test_more_dimensions_than_two(blobs):
    vectors, _ = blobs(120, 3)
    assert lay_out(vectors, 0, n_components=7).shape == (120, 7)


@pytest.mark.parametrize("n", [0, 1, 2, 4, 5, 16])
def test_few_rows_have_places_too(n, blobs):
    found = lay_out(blobs(n)[0], 0)
    assert found.shape == (n, 2)
    assert np.isfinite(found).all()


def test_constant_rows_have_places_too():
    vectors = np.tile(np.float32([[0.6, 0.8]]), (50, 1))
    assert few_distinct(vectors)
    np.testing.assert_allclose(lay_out(vectors, 0), 0, atol=1e-6)
