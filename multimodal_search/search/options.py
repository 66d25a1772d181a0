"""What a search may be told besides the query: how many, which rows, how moments are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from multimodal_search.errors import SettingsError
from multimodal_search.filters import Compare, Filter, all_of, parse
from multimodal_search.index.metric import Metric
from multimodal_search.sources import fields

SPREAD = 0.5
Time = int | str | datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Checked options.

    Attributes:
        k: at most this many moments.
        metric: None is the vectors' own.
        spread: 0 to 1: how far hits shall differ from each other; None ranks by likeness alone.
        gap_us: frames of one scene this near in time are one moment; None follows the data.
    """

    k: int = 10
    where: Filter | None = None
    metric: Metric | None = None
    per_scene: int | None = None
    spread: float | None = None
    gap_us: int | None = None


def wanted(
    k: int = 10,
    *,
    where: str | Filter | None = None,
    after: Time | None = None,
    before: Time | None = None,
    metric: Metric | None = None,
    per_scene: int | None = None,
    diverse: bool | float = False,
    merge_seconds: float | None = None,
) -> Wanted:
    """Check what was asked for.

    Args:
        after, before: ISO 8601 (UTC where no zone is given) or microseconds since the epoch; ``after`` is the
            first moment that counts, ``before`` the first that does not.
        diverse: True, or how far hits shall differ from each other, 0 to 1.

    Raises:
        SettingsError: a value out of range, a time or a filter that cannot be read.
    """
    if metric not in (None, "cosine", "l2", "ip"):
        raise SettingsError(f"Unknown metric {metric!r}.", remedy="use cosine, l2 or ip")
    spread = (SPREAD if diverse else None) if isinstance(diverse, bool) else float(diverse)
    if spread is not None and not 0 <= spread <= 1:
        raise SettingsError(f"diverse must be 0 to 1, not {diverse!r}.")
    if merge_seconds is not None and not (math.isfinite(merge_seconds) and merge_seconds >= 0):
        raise SettingsError(f"merge_seconds must be a number of at least 0, not {merge_seconds!r}.")
    condition = parse(where) if isinstance(where, str) else where
    first = None if after is None else Compare("timestamp_us", ">=", time_us(after, "after"))
    end = None if before is None else Compare("timestamp_us", "<", time_us(before, "before"))
    return Wanted(
        k=_count("k", k),
        where=all_of(condition, first, end),
        metric=metric,
        per_scene=None if per_scene is None else _count("per_scene", per_scene),
        spread=spread,
        gap_us=None if merge_seconds is None else round(merge_seconds * 1e6),
    )


def time_us(value: Time, name: str) -> int:
    """Microseconds since the epoch; a number is taken as such, whatever its size.

    Raises:
        SettingsError: neither a whole number nor ISO 8601.
    """
    if isinstance(value, str) and value.strip().lstrip("+-").isdigit():
        value = int(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    try:
        found = None if isinstance(value, float) else fields.timestamp_us(value)
    except ValueError:
        found = None
    if found is None:
        raise SettingsError(
            f"{name} {value!r} is no time.",
            remedy="give ISO 8601, such as 2018-07-24T03:28, or microseconds since the epoch",
        )
    return found


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise SettingsError(f"{name} must be a whole number of at least 1, not {value!r}.")
    return int(value)
