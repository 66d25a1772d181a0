"""The fields that people's records share: ids, texts, timestamps and metadata, made uniform."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

# A number is taken for seconds, milliseconds, microseconds or nanoseconds by its size: the ranges below
# meet in 1973, before anything recorded here, and in the year 5138.
_UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (1e20, 0.001))
_INT64 = 2**63


def clean_text(text: str) -> str:
    """Without outer white space; inner newlines stay; half of a surrogate pair becomes ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def texts(value: Any) -> tuple[str, ...]:
    """Descriptions from a string, a list of strings or nothing; empty and repeated ones are left out.

    Raises:
        ValueError: the value is something else.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, str):
        found = [value]
    elif isinstance(value, Sequence) and all(isinstance(one, str) for one in value):
        found = list(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = [str(value)]
    else:
        raise ValueError(f"must be text or a list of texts, not {shown(value)}")
    return tuple(dict.fromkeys(text for one in found if (text := clean_text(one))))


def name(value: Any) -> str | None:
    """An id, a location or a log's name: text, or a whole number written as text; None where empty.

    Raises:
        ValueError: the value is something else.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of ids with a gap is read as floats
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be text or a whole number, not {shown(value)}")
    return clean_text(str(value)) or None


def timestamp_us(value: Any) -> int | None:
    """Microseconds since the epoch from ISO 8601 (UTC where no zone is given) or a number.

    Raises:
        ValueError: it cannot be understood.
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, datetime):
        return _datetime_us(value)
    if isinstance(value, str):
        try:
            value = float(value) if not value.strip().lstrip("+-").isdigit() else int(value)
        except ValueError:
            return _iso_us(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"must be ISO 8601 or a number of seconds or microseconds, not {shown(value)}")
    for below, factor in _UNITS:
        if abs(value) < below:
            return value if factor == 1.0 and isinstance(value, int) else round(value * factor)
    raise ValueError(f"{shown(value)} is too large for a time")


def _iso_us(text: str) -> int:
    try:
        return _datetime_us(datetime.fromisoformat(text.strip()))
    except ValueError as error:
        raise ValueError(f"{shown(text)} is neither ISO 8601 nor a number") from error


def _datetime_us(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def flat(metadata: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """A flat mapping of JSON scalars: nested keys joined by dots, lists by commas, empty values left out."""
    result: dict[str, Any] = {}
    for key, value in metadata.items():
        label = prefix + clean_text(str(key))
        if isinstance(value, Mapping):
            result.update(flat(value, f"{label}."))
            continue
        scalar = _scalar(value)
        if scalar is not None and scalar != "":
            result[label] = scalar
    return result


def _scalar(value: Any) -> str | int | float | bool | None:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        if any(isinstance(one, Mapping | list | tuple) for one in value):
            return json.dumps(value, ensure_ascii=False, default=str)
        return ", ".join(str(_scalar(one)) for one in value if one is not None)
    return clean_text(str(value))


def shown(value: Any) -> str:
    """A value for a message, cut short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
