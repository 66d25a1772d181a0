"""``timeseries/statistics`` and ``timeseries/kernels``: frozen encoders of vehicle signals. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from multimodal_search.encoders import kernels, statistics
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.encoders.fingerprint import fingerprint
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.errors import EncoderError, SkipInput, nearest
from multimodal_search.signals import resample
from multimodal_search.types import EncoderCard, FloatArray, Modality, Pool, Series

MODELS = ("statistics", "kernels")
DEFAULT_RATE_HZ = 10.0
_OPTIONS = ("channels", "rate_hz")
_LIMIT = 1e9  # beyond any signal in SI units, and far enough from float32's end to be standardised


def models() -> list[str]:
    """Known model names."""
    return list(MODELS)


def card(
    model: str, modality: Modality, weights: str | None, pool: Pool, options: dict[str, Any]
) -> EncoderCard:
    """See ``encoders.card``; needs the option ``channels``, takes ``rate_hz``."""
    name = f"timeseries/{model}"
    if model not in MODELS:
        raise EncoderError(f"Unknown timeseries encoder {model!r}: {nearest(model, MODELS)}")
    if modality is not Modality.TIMESERIES:
        raise EncoderError(
            f"{name} encodes timeseries, not {modality.value}",
            remedy="choose an encoder of another family, such as open_clip/ViT-L-14",
        )
    if weights not in (None, "none"):
        raise EncoderError(f"{name} has no weights to choose, and {weights!r} was given")
    if pool != "default":
        raise EncoderError(f"{name} has no pooling {pool!r}", remedy="leave it out")
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise EncoderError(f"{name} has no option {unknown[0]!r}: {nearest(unknown[0], _OPTIONS)}")
    channels = tuple(str(channel) for channel in options.get("channels") or ())
    rate_hz = float(options.get("rate_hz") or DEFAULT_RATE_HZ)
    if not channels or len(set(channels)) < len(channels):
        raise EncoderError(f"{name} needs the names of its channels, each once, not {list(channels)}")
    if not 0 < rate_hz <= 1000:
        raise EncoderError(f"{name} needs a rate between 0 and 1000 Hz, not {rate_hz}")
    dim = len(statistics.feature_names(channels)) + (2 * kernels.COUNT if model == "kernels" else 0)
    return EncoderCard(
        name=name,
        weights="none",
        modality=modality,
        dim=dim,
        licence="Apache-2.0",
        normalise=False,
        options={"channels": list(channels), "rate_hz": rate_hz},
    )


def load(card: EncoderCard, runtime: Runtime) -> FrozenEncoder:
    """See ``encoders.build_from_card``; runs on the CPU in float64 whatever the runtime."""
    return TimeseriesEncoder(card)


class TimeseriesEncoder(FrozenEncoder):
    """Named channels resampled by timestamp -> statistics, and kernels where the model has them."""

    def __init__(self, card: EncoderCard) -> None:
        self.card = card
        self.channels: tuple[str, ...] = tuple(card.options["channels"])
        self.rate_hz = float(card.options["rate_hz"])
        self._kernels: kernels.Kernels | None = None
        if card.name == "timeseries/kernels":
            self._kernels = kernels.make_kernels(len(self.channels), self.rate_hz)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of channels, rate, the version of the features and the kernels."""
        settings = {
            "name": self.card.name,
            "channels": list(self.channels),
            "rate_hz": self.rate_hz,
            "features": list(statistics.feature_names(self.channels)),
            "version": statistics.VERSION,
            "kernels": None if self._kernels is None else [kernels.VERSION, kernels.COUNT],
        }
        return fingerprint(settings)

    def preprocess(self, raw: Any) -> Series:
        """A signal of any length and rate -> the wanted channels that it has, on the encoder's grid.

        Raises:
            SkipInput: it is not a signal, is empty, or has no value in any wanted channel.
        """
        if not isinstance(raw, Series):
            raise SkipInput(f"not a signal but {type(raw).__name__}")
        if raw.values.ndim != 2 or raw.values.shape != (len(raw.timestamps_seconds), len(raw.channels)):
            raise SkipInput(f"values of shape {raw.values.shape} do not fit times and channels")
        if len(raw.timestamps_seconds) == 0:
            raise SkipInput("the signal is empty")
        wanted = [index for index, channel in enumerate(raw.channels) if channel in self.channels]
        values = np.asarray(raw.values, dtype=np.float64)[:, wanted]
        if not np.isfinite(values).any():
            raise SkipInput(f"no value in any of the channels {', '.join(self.channels[:8])}")
        kept = Series(raw.timestamps_seconds, values, tuple(raw.channels[index] for index in wanted))
        return resample(kept, self.rate_hz)

    def encode(self, ready: Sequence[Series]) -> FloatArray:
        """(batch, dim) float32, finite; (0, dim) for an empty sequence."""
        rows = np.empty((len(ready), self.card.dim), dtype=np.float32)
        for row, series in zip(rows, ready, strict=True):
            features = statistics.features(series, self.channels, self.rate_hz)
            if self._kernels is not None:
                features = np.concatenate([features, kernels.convolve(series, self.channels, self._kernels)])
            row[:] = np.clip(features, -_LIMIT, _LIMIT)
        return rows
