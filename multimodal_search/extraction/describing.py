"""A sentence about a moment from its signal and annotations, for scenes that nobody described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multimodal_search.extraction.manoeuvres import Manoeuvre

GENERATED = "generated from signal and annotations"  # of metadata["description_source"]
_MOST = 4  # manoeuvres, and kinds of objects
_PHRASES = {
    "u_turn": "U-turn at {kmh} km/h",
    "hard_braking": "brakes hard",
    "stop_and_go": "stop and go at {kmh} km/h",
    "turn_left": "turns left at {kmh} km/h",
    "turn_right": "turns right at {kmh} km/h",
    "lane_change_left": "changes lanes to the left at {kmh} km/h",
    "lane_change_right": "changes lanes to the right at {kmh} km/h",
    "stop": "stop",
    "start": "drives off",
    "standing": "standing still",
    "straight": "drives straight on at {kmh} km/h",
}
_NAMES = {
    "trafficcone": "traffic cone", "construction": "construction vehicle", "bicycle_rack": "bicycle rack",
    "emergency": "emergency vehicle", "pushable_pullable": "pushcart", "debris": "piece of debris",
}  # fmt: skip
_PLURALS = {"bus": "buses", "piece of debris": "pieces of debris"}


def describe(
    found: Sequence[Manoeuvre],
    *,
    conditions: Sequence[str] = (),
    objects: Mapping[str, int] | None = None,
    ahead: Sequence[tuple[float, str]] = (),
) -> str | None:
    """Such as ``night; stop behind a bus; turns left at 12 km/h; 5 pedestrians, 2 cars``.

    Args:
        found: what the car did.
        conditions: time of day and weather, in words.
        objects: category -> how many.
        ahead: (seconds, category) of what was in front of the car, at some times.

    Returns:
        None where nothing is known.
    """
    parts = [" ".join(dict.fromkeys(conditions))] if conditions else []
    for one in found[:_MOST]:
        phrase = _PHRASES[one.name].format(kmh=round(abs(one.speed_mps) * 3.6))
        if one.name in ("stop", "hard_braking", "standing"):
            phrase += _behind(one, ahead)
        if phrase not in parts:
            parts.append(phrase)
    most = sorted((objects or {}).items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST]
    if most:
        parts.append(", ".join(_counted(name, count) for name, count in most))
    return "; ".join(parts) or None


def _behind(one: Manoeuvre, ahead: Sequence[tuple[float, str]]) -> str:
    names = [name for seconds, name in ahead if one.start_seconds - 0.6 <= seconds <= one.end_seconds + 0.6]
    if not names:
        return ""
    most = max(sorted(set(names)), key=names.count)
    name = _NAMES.get(most, most.replace("_", " "))
    article = "an" if name[0] in "aeiou" else "a"
    return f" for {article} {name}" if name == "pedestrian" else f" behind {article} {name}"


def _counted(name: str, count: int) -> str:
    name = _NAMES.get(name, name.replace("_", " "))
    return f"{count} {name if count == 1 else _PLURALS.get(name, name + 's')}"
