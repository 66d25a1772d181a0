"""Frozen random convolution kernels over signals.

The ROCKET family (Dempster, Petitjean & Webb 2020, https://arxiv.org/abs/1910.13051; MiniRocket 2021,
https://arxiv.org/abs/2012.08791): dilated kernels with random zero-mean weights, each pooled to its maximum
and its proportion of positive values. Written here because aeon and sktime bring numba and many more packages
for what is one matrix product a dilation. Unlike ROCKET, a signal is not normalised by its own window, which
would erase the difference between fast and slow: channels whose unit is known are divided by a usual value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multimodal_search.types import FloatArray, Series

VERSION = 1  # raised with any change of the kernels below, as it is part of the fingerprint
COUNT = 300
_LENGTH = 9
_DILATIONS_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)  # a kernel sees 0.8 to 12.8 seconds
_MOST_CHANNELS = 3
_USUAL = {  # start of the channel's name -> a usual magnitude
    "speed": 10.0,
    "acceleration": 2.0,
    "yaw_rate": 0.3,
    "steering": 2.0,
    "brake": 0.5,
    "throttle": 0.5,
}


@dataclass(frozen=True, slots=True)
class Kernels:
    """Random kernels, grouped by dilation.

    Attributes:
        dilations: (groups,) in samples.
        weights: a group: (kernels, channels * 9).
        biases: a group: (kernels,).
    """

    dilations: tuple[int, ...]
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]


def make_kernels(n_channels: int, rate_hz: float, seed: int = 0) -> Kernels:
    """The same kernels for the same arguments, on every machine."""
    # RandomState's stream is frozen for good; Generator's may change with numpy, and the fingerprint with it
    random = np.random.RandomState(seed)
    each = COUNT // len(_DILATIONS_SECONDS)
    weights, biases = [], []
    for _ in _DILATIONS_SECONDS:
        group = random.normal(size=(each, n_channels, _LENGTH))
        group -= group.mean(axis=2, keepdims=True)
        group /= np.abs(group).sum(axis=2, keepdims=True)
        chosen = np.zeros((each, n_channels, 1))
        for row in chosen:
            how_many = random.randint(1, min(_MOST_CHANNELS, n_channels) + 1)
            row[random.permutation(n_channels)[:how_many]] = 1.0
        weights.append((group * chosen).reshape(each, -1))
        biases.append(random.uniform(-0.3, 0.3, size=each))
    dilations = tuple(max(1, round(seconds * rate_hz)) for seconds in _DILATIONS_SECONDS)
    return Kernels(dilations, tuple(weights), tuple(biases))


def convolve(series: Series, channels: tuple[str, ...], kernels: Kernels) -> FloatArray:
    """Proportion of positive values, then the maximum, of each kernel, (2 * COUNT,) float64, finite.

    Args:
        series: (T, C) values, T >= 1, on a regular grid; unknown values and absent channels count as zero.
    """
    columns = {channel: series.values[:, index] for index, channel in enumerate(series.channels)}
    absent = np.zeros(len(series.timestamps_seconds))
    table = np.stack([_scaled(name, columns.get(name, absent)) for name in channels], axis=1)
    shares, peaks = [], []
    for dilation, weights, biases in zip(kernels.dilations, kernels.weights, kernels.biases, strict=True):
        reach = dilation * (_LENGTH // 2)
        padded = np.pad(table, ((reach, reach), (0, 0)), mode="edge")
        taps = [padded[tap * dilation : tap * dilation + len(table)] for tap in range(_LENGTH)]
        windows = np.stack(taps, axis=2).reshape(len(table), -1)
        responses = windows @ weights.T + biases
        shares.append((responses > 0).mean(axis=0))
        peaks.append(responses.max(axis=0))
    return np.concatenate([*shares, *peaks])


def _scaled(channel: str, column: FloatArray) -> FloatArray:
    values = np.nan_to_num(column, nan=0.0, posinf=0.0, neginf=0.0)
    usual = next((size for start, size in _USUAL.items() if channel.startswith(start)), None)
    if usual is None:
        centred = values - values.mean()
        return np.asarray(centred / (centred.std() + 1e-6))
    return values / usual
