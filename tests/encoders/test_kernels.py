"""Frozen random kernels."""

from __future__ import annotations

import numpy as np

from multimodal_search.encoders.kernels import COUNT, convolve, make_kernels
from multimodal_search.types import Series

CHANNELS = ("speed_mps", "brake")


def series(values: np.ndarray) -> Series:
    return Series(np.arange(len(values)) / 10, values, CHANNELS)


def test_the_convolution_equals_a_slow_loop() -> None:
    kernels = make_kernels(2, 10.0)
    values = np.random.default_rng(0).normal(size=(70, 2))
    found = convolve(series(values), CHANNELS, kernels)
    scaled = values / np.array([10.0, 0.5])
    group, row = 3, 7
    dilation = kernels.dilations[group]
    weights = kernels.weights[group][row].reshape(2, 9)
    responses = []
    for centre in range(70):
        total = kernels.biases[group][row]
        for tap in range(9):
            at = min(max(centre + (tap - 4) * dilation, 0), 69)
            total += scaled[at] @ weights[:, tap]
        responses.append(total)
    index = group * (COUNT // 5) + row
    assert np.isclose(found[index], np.mean(np.array(responses) > 0))
    assert np.isclose(found[COUNT + index], max(responses))


def test_every_kernel_has_zero_mean_and_some_channels() -> None:
    for group in make_kernels(2, 10.0).weights:
        shaped = group.reshape(len(group), 2, 9)
        assert np.abs(shaped.sum(axis=2)).max() < 1e-12
        assert (np.abs(shaped).sum(axis=(1, 2)) > 0.5).all()


def test_kernels_are_the_same_each_time_and_differ_by_seed() -> None:
    first, again, other = make_kernels(2, 10.0), make_kernels(2, 10.0), make_kernels(2, 10.0, seed=1)
    np.testing.assert_array_equal(first.weights[0], again.weights[0])
    assert not np.array_equal(first.weights[0], other.weights[0])


def test_scale_is_kept() -> None:
    kernels = make_kernels(2, 10.0)
    values = np.abs(np.random.default_rng(0).normal(size=(100, 2)))
    slow, fast = convolve(series(values), CHANNELS, kernels), convolve(series(10 * values), CHANNELS, kernels)
    assert np.abs(slow - fast).max() > 0.5


def test_one_sample_is_enough() -> None:
    assert np.isfinite(convolve(series(np.ones((1, 2))), CHANNELS, make_kernels(2, 10.0))).all()
