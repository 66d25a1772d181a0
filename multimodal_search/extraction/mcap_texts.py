"""What is said about a recording: metadata records, a side CSV, messages of an events topic."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from multimodal_search.errors import DataError, nearest
from multimodal_search.extraction import mcap_fields as fields
from multimodal_search.extraction.mcap_windows import Window

_TEXT_KEYS = ("text", "description", "caption")
_TIME_KEYS = ("start_seconds", "end_seconds")
_LONGEST_VALUE = 200  # of metadata: rosbag2 keeps a whole YAML file in a record
_EPOCH_SECONDS = 1e8  # larger times count from 1970, smaller ones from the recording's start
_EVENT_FIELDS = ("data", "text", "description", "message", "msg", "event", "label", "name")


@dataclass(frozen=True, slots=True)
class Note:
    """Something said about a stretch of a recording.

    Attributes:
        start_seconds, end_seconds: since the recording's start, or since 1970; None is open.
        metadata: values that windows of the stretch get.
    """

    texts: tuple[str, ...]
    start_seconds: float | None = None
    end_seconds: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def applies(self, window: Window, start_ns: int) -> bool:
        """Whether at least half of the window, or half of the stretch, is in both."""
        low, high = (self._ns(at, start_ns) for at in (self.start_seconds, self.end_seconds))
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        if low == high or (self.start_seconds is not None and self.end_seconds is None and low != -math.inf):
            return window.start_ns <= low < window.end_ns  # an instant
        both = min(window.end_ns, high) - max(window.start_ns, low)
        return both > 0 and both >= min(window.end_ns - window.start_ns, high - low) / 2

    @staticmethod
    def _ns(at: float | None, start_ns: int) -> float | None:
        return None if at is None else at * 1e9 + (0 if at >= _EPOCH_SECONDS else start_ns)


def notes_of_metadata(records: Sequence[tuple[str, Mapping[str, str]]]) -> list[Note]:
    """Notes from MCAP's metadata records: ``text`` and ``description`` are texts, the rest is metadata.

    ``start_seconds`` and ``end_seconds`` bound a record to a stretch.
    """
    notes = []
    for name, content in records:
        texts = tuple(content[key] for key in _TEXT_KEYS if content.get(key, "").strip())
        try:
            start, end = (_seconds(content.get(key, "")) for key in _TIME_KEYS)
        except ValueError:
            start, end = None, None
        taken = {*_TEXT_KEYS, *_TIME_KEYS}
        values = {
            key: value for key, value in content.items() if key not in taken and len(value) <= _LONGEST_VALUE
        }
        if start is not None and end is None:
            end = math.inf
        if name != "rosbag2":  # what its own tools need
            notes.append(Note(texts, start, end, values))
    return notes


class SideTexts:
    """A CSV of ``file,start_seconds,end_seconds,text``; further columns become metadata.

    Args:
        path: ``file`` may be left out where there is one recording; empty times mean all of it.

    Raises:
        DataError: it cannot be read, has no column ``text``, or a time is no number; says the line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[str, Note]] = list(self._read())
        self._used: set[str] = set()

    def of(self, address: str, name: str) -> list[Note]:
        """The notes about a recording, which ``file`` names by its path, its name, or without the ending."""
        own = PurePosixPath(address)
        known = {"", address, own.name, own.stem, name, f"{name}.mcap"}
        found = [
            (file, note)
            for file, note in self._rows
            if file in known or (file and address.endswith(f"/{file}"))
        ]
        self._used.update(file for file, _ in found)
        return [note for _, note in found]

    def unused(self) -> list[str]:
        """Files that the CSV names and no recording was."""
        return sorted({file for file, _ in self._rows} - self._used)

    def _read(self) -> Iterator[tuple[str, Note]]:
        remedy = "columns: file, start_seconds, end_seconds, text (and any others, which become metadata)"
        try:
            content = self._path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"The CSV cannot be read ({reason}).", where=self._path, remedy=remedy) from error
        rows = csv.DictReader(content.splitlines(keepends=True))
        columns = rows.fieldnames or []
        if "text" not in columns:
            raise DataError(
                "The CSV has no column 'text'.",
                where=self._path,
                remedy=f"{remedy}; {nearest('text', list(columns))}",
            )
        for row in rows:
            values = {
                key: (value or "").strip()
                for key, value in row.items()
                if key and not isinstance(value, list)
            }
            try:
                start, end = (_seconds(values.get(key, "")) for key in _TIME_KEYS)
            except ValueError as error:
                where = f"{self._path}, line {rows.line_num}"
                raise DataError(f"A time is no number: {error}.", where=where, remedy=remedy) from error
            texts = (values["text"],) if values["text"] else ()
            taken = {"file", "text", *_TIME_KEYS}
            metadata = {key: value for key, value in values.items() if key not in taken and value}
            yield values.get("file", ""), Note(texts, start, end, metadata)


def event_text(message: Any) -> str | None:
    """The text of an event's message: a string, or a field that is called like one."""
    if isinstance(message, str):
        return message.strip() or None
    for name in _EVENT_FIELDS:
        try:
            found = fields.value_at(message, (name,))
        except LookupError:
            continue
        if isinstance(found, str) and found.strip():
            return found.strip()
    return None


def _seconds(text: str) -> float | None:
    if not text.strip():
        return None
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r}")
    return value
