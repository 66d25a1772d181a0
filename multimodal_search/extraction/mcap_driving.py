"""What a window's signal says of the drive: speeds, the manoeuvre, and a sentence where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_search.extraction.describing import GENERATED, describe
from multimodal_search.extraction.manoeuvres import manoeuvres, primary
from multimodal_search.types import FloatArray, Series


def tell_driving(
    record: dict[str, Any],
    table: FloatArray,
    channels: tuple[str, ...],
    rate_hz: float,
    *,
    describe: bool,
) -> None:
    """Add to a scene's record what can be told from ``speed_mps`` (m/s) and ``yaw_rate_radps`` (rad/s).

    What people said stays: neither a value nor a description of theirs is replaced.

    Args:
        table: (T, channels); NaN in gaps.
    """
    metadata = record["metadata"]
    if "speed_mps" in channels:
        speed = np.abs(table[:, channels.index("speed_mps")])
        if np.isfinite(speed).any():
            metadata.setdefault("mean_speed_mps", round(float(np.nanmean(speed)), 2))
            metadata.setdefault("max_speed_mps", round(float(np.nanmax(speed)), 2))
    found = manoeuvres(Series(np.arange(len(table)) / rate_hz, table, channels))
    if (name := primary(found)) is not None:
        metadata.setdefault("manoeuvre", name)
    if describe and not record["description"] and (sentence := _sentence(found, metadata)):
        record["description"] = [sentence]
        metadata["description_source"] = GENERATED


def _sentence(found: Any, metadata: dict[str, Any]) -> str | None:
    conditions = [str(metadata[key]) for key in ("time_of_day", "weather") if metadata.get(key)]
    return describe(found, conditions=conditions)
