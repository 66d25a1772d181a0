"""Signals by what topics and fields are called: a guess, which is told and can be written down as a map."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from multimodal_search.extraction import mcap_fields as fields
from multimodal_search.extraction.mcap_map import Examples
from multimodal_search.settings.signal_map import SignalMap, SignalSource

# Signal -> its unit, and what the end of "/topic.field" may look like; the earlier the better.
_PATTERNS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "speed_mps": (
        "m/s",
        (
            r"twist\.linear\.x",
            r"(vehicle_?|ego_?|wheel_?|ground_?)?speed(_?(mps|ms|kmh|kph|mph))?",
            r"longitudinal_velocity",
            r"vel(ocity)?(\.x|\[0\])?",
            r"linear_velocity(\.x)?",
            r"linear\.x",
        ),
    ),
    "acceleration_mps2": (
        "m/s2",
        (
            r"(longitudinal_?)?acceleration(_mps2)?",
            r"(linear_?)?accel(eration)?(ometer)?(\.x|\[0\]|\.forward)",
        ),
    ),
    "yaw_rate_radps": (
        "rad/s",
        (
            r"yaw_?rate(_?(radps|rad|degps|deg))?",
            r"(angular_velocity|angular|rotation_rate|gyro(scope)?)(\.z|\[2\])",
        ),
    ),
    "steering_rad": (
        "rad",
        (r"steer(ing)?(_?wheel)?(_?(tire|angle))*(_?(rad|deg))?(\.angle(_?(rad|deg))?)?",),
    ),
    "brake": ("", (r"brake(_?(pedal|pressure|percent|position))*",)),
    "throttle": ("", (r"(throttle|accelerator|gas)(_?(pedal|percent|position))*",)),
}
_UNITS = (
    (r"km_?p?h|kph", "km/h"),
    (r"mph$", "mph"),
    (r"degps|deg_?p?s$", "deg/s"),
    (r"deg", "deg"),
    (r"percent", "%"),
)


def guess(each: Sequence[Examples]) -> SignalMap | None:
    """A map over the fields of all recordings that look like a known signal; None where none does."""
    known = list(dict.fromkeys((topic, field) for one in each for topic, field in _numbers(one)))
    signals = {}
    for name, (unit, patterns) in _PATTERNS.items():
        ranked = sorted(
            (rank, index)
            for index, (topic, field) in enumerate(known)
            if (rank := _rank(f"{topic}.{field}", patterns)) is not None
        )
        if ranked:
            signals[name] = tuple(_source(*known[index], unit) for _, index in ranked)
    return SignalMap(signals=signals) if signals else None


def _numbers(examples: Examples) -> Iterator[tuple[str, str]]:
    for topic in examples.topics:
        message = examples[topic]
        if message is not None:
            yield from ((topic, field) for field in fields.numeric_fields(message))


def _rank(address: str, patterns: Sequence[str]) -> int | None:
    text = address.lower()
    for rank, pattern in enumerate(patterns):
        if re.search(rf"(^|[./]){pattern}(\.(data|value))?$", text):
            return rank
    return None


def _source(topic: str, field: str, unit: str) -> SignalSource:
    end = f"{topic}.{field}".lower().rsplit("/", 1)[-1]
    said = next((one for pattern, one in _UNITS if re.search(pattern, end)), unit)
    if unit == "rad/s" and said == "deg":
        said = "deg/s"
    return SignalSource(field=f"{topic}.{field}", unit=said)
