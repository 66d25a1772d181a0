"""Fields of decoded messages by name (``twist.twist.linear.x``, ``accel[0]``), whatever their encoding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]

_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(\d+)\]")
_MAX_DEPTH = 8
_MAX_ELEMENTS = 4  # of a list, when fields are listed
_STAMPS: tuple[Path, ...] = (
    ("header", "stamp"),
    ("header", "timestamp"),
    ("stamp",),
    ("timestamp",),
    ("header",),
)
_SECONDS = ("sec", "secs", "seconds")
_NANOSECONDS = ("nanosec", "nsecs", "nsec", "nanos", "nanoseconds")


def parse_path(text: str) -> Path:
    """``a.b[2].c`` -> ("a", "b", 2, "c").

    Raises:
        ValueError: it is empty or no such path.
    """
    steps: list[str | int] = []
    at = 0
    for match in _STEP.finditer(text):
        if match.start() != at:
            break
        steps.append(match[1] if match[1] is not None else int(match[2]))
        at = match.end()
    if at != len(text) or not steps:
        raise ValueError(f"{text!r} is no field; write for example twist.linear.x or accel[0]")
    return tuple(steps)


def path_text(path: Path) -> str:
    """The inverse of ``parse_path``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def value_at(message: Any, path: Path) -> Any:
    """What stands there.

    Raises:
        LookupError: there is no such field.
    """
    found = message
    for step in path:
        try:
            if isinstance(step, int) or isinstance(found, Mapping):
                found = found[step]
            elif step.startswith("_"):
                raise LookupError(step)
            else:
                found = getattr(found, step)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise LookupError(path_text(path)) from error
    return found


def number_at(message: Any, path: Path) -> float:
    """The number there; a switch as 0 or 1; NaN where JSON has null or a huge whole number.

    Raises:
        LookupError: there is no such field.
        TypeError: it is no number.
    """
    found = value_at(message, path)
    if found is None:
        return float("nan")
    if not isinstance(found, bool | int | float):
        raise TypeError(f"{path_text(path)} is no number but {type(found).__name__}")
    try:
        return float(found)
    except OverflowError:
        return float("nan")


def numeric_fields(message: Any) -> list[str]:
    """Paths of all numbers of a message, as a map names them; of lists the first few elements."""
    return list(_numbers(message, (), 0))


def _numbers(value: Any, path: Path, depth: int) -> Iterator[str]:
    if isinstance(value, bool | int | float):
        if path:
            yield path_text(path)
    elif depth < _MAX_DEPTH and not isinstance(value, str | bytes | bytearray | memoryview):
        for step, inner in _members(value):
            yield from _numbers(inner, (*path, step), depth + 1)


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from ((key, one) for key, one in value.items() if isinstance(key, str))
    elif hasattr(value, "DESCRIPTOR"):  # Protobuf
        yield from ((one.name, getattr(value, one.name)) for one in value.DESCRIPTOR.fields)
    elif hasattr(value, "__slots__"):  # ROS
        yield from ((name, getattr(value, name)) for name in value.__slots__ if hasattr(value, name))
    elif hasattr(value, "__len__") and hasattr(value, "__getitem__"):
        yield from ((index, value[index]) for index in range(min(len(value), _MAX_ELEMENTS)))


def stamp_ns(message: Any) -> int | None:
    """The time that the message itself says, in nanoseconds; None where it says none, or zero."""
    for path in _STAMPS:
        try:
            stamp = value_at(message, path)
        except LookupError:
            continue
        seconds, nanoseconds = (_first(stamp, names) for names in (_SECONDS, _NANOSECONDS))
        if seconds is None:
            continue
        total = int(seconds) * 1_000_000_000 + int(nanoseconds or 0)
        return total if 0 < total < 2**63 else None
    return None


def _first(stamp: Any, names: tuple[str, ...]) -> int | None:
    for name in names:
        try:
            found = value_at(stamp, (name,))
        except LookupError:
            continue
        if isinstance(found, int):
            return found
    return None
