"""From a map of signals to the topics and fields of one recording: what is not there is named."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

from multimodal_search.errors import DataError, SettingsError, SkipInput, nearest
from multimodal_search.extraction import mcap_fields as fields
from multimodal_search.extraction.mcap_decoding import Decoders
from multimodal_search.extraction.mcap_reading import first_messages
from multimodal_search.extraction.mcap_survey import Survey
from multimodal_search.settings.signal_map import SignalMap, SignalSource, read_signal_map

logger = logging.getLogger("multimodal_search")

_FOLDER = Path(__file__).parent / "maps"
READY = ("nuscenes", "ros", "can")

# A unit -> factor and SI unit. Others stay as they are.
_SI: Mapping[str, tuple[float, str]] = {
    "km/h": (1 / 3.6, "m/s"),
    "kph": (1 / 3.6, "m/s"),
    "mph": (0.44704, "m/s"),
    "kn": (0.514444, "m/s"),
    "g": (9.80665, "m/s2"),
    "deg": (0.017453292519943295, "rad"),
    "deg/s": (0.017453292519943295, "rad/s"),
    "%": (0.01, "1"),
}


@dataclass(frozen=True, slots=True)
class Signal:
    """A column of the signals, found in a recording.

    Attributes:
        name: of the channel.
        unit: SI where the map's unit is known.
        topic: where it comes from.
        paths: the fields; several for ``compute``.
        scale, offset: value = field * scale + offset, in the unit.
        derivative: per second of it.
    """

    name: str
    unit: str
    topic: str
    paths: tuple[fields.Path, ...]
    compute: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    derivative: bool = False

    def told(self) -> str:
        """``speed_mps <- /odom.twist.twist.linear.x [m/s]``."""
        where = ", ".join(fields.path_text(path) for path in self.paths)
        how = f"{self.compute} of {self.topic}: {where}" if self.compute else f"{self.topic}.{where}"
        return (
            f"{self.name} <- {how}"
            + (", derived" if self.derivative else "")
            + f" [{self.unit or 'unit unknown'}]"
        )


class Examples:
    """One decoded message of each topic of a recording, to find fields in."""

    def __init__(self, file: BinaryIO, survey: Survey, decoders: Decoders) -> None:
        self._file, self._survey, self._decoders = file, survey, decoders
        self._found: dict[str, Any] | None = None
        self.reasons: dict[str, str] = {}  # topic -> why its first message does not decode

    def __getitem__(self, topic: str) -> Any:
        """None where the topic does not decode."""
        if self._found is None:
            readable = [one for one in self._survey.channels.values() if self._decoders.why_not(one) is None]
            raw = first_messages(self._file, self._survey, [one.id for one in readable])
            self._found = {}
            for info in readable:
                for message in raw.get(info.id, ()):
                    try:
                        self._found.setdefault(info.topic, self._decoders.decode(info, message.data))
                        break
                    except SkipInput as skip:
                        self.reasons.setdefault(info.topic, skip.reason)
        return self._found.get(topic)

    @property
    def topics(self) -> list[str]:
        """Those with messages, the most frequent first."""
        return sorted(self._survey.topics(), key=lambda topic: (-self._survey.count(topic), topic))

    def why_not(self, topic: str) -> str:
        """Why there is no message of a topic that has some."""
        known = self._decoders.why_not(self._survey.topics()[topic][0])
        return known or self.reasons.get(topic, "its chunks are broken")

    def type_of(self, topic: str) -> str:
        """The message type of a topic."""
        return self._survey.topics()[topic][0].type


def load_map(named: str) -> SignalMap:
    """A ready map by name, or a file.

    Raises:
        SettingsError: neither; or the file is no map.
    """
    if named in READY:
        return read_signal_map(_FOLDER / f"{named}.yaml")
    path = Path(named).expanduser()
    if not path.exists():
        raise SettingsError(
            f"There is no map {named!r}.",
            where="--map",
            remedy=f"give a YAML file, or a ready map: {', '.join(READY)} ({nearest(named, READY, 1)})",
        )
    return read_signal_map(path)


def all_ready() -> SignalMap:
    """The ready maps as one: of each signal the sources of all, in the order of ``READY``."""
    signals: dict[str, tuple[SignalSource, ...]] = {}
    for name in READY:
        for signal, sources in load_map(name).signals.items():
            signals[signal] = signals.get(signal, ()) + sources
    return SignalMap(signals=signals)


def resolve(chosen: SignalMap, examples: Examples, *, strict: bool, where: str) -> list[Signal]:
    """The map's signals that this recording has, in the map's order.

    Args:
        strict: a signal that is not there is a mistake (a user's map), not a fact (a ready one).
        where: the recording, for messages.

    Raises:
        DataError: strict, and a topic or a field is not there; names the nearest.
    """
    found: list[Signal] = []
    for name, sources in chosen.signals.items():
        missing: DataError | None = None
        for source in sources:
            try:
                found.append(_resolve_one(name, source, examples, where))
                missing = None
                break
            except DataError as error:
                missing = missing or error
        if missing is not None and strict and not any(source.optional for source in sources):
            raise missing
    return found


def _resolve_one(name: str, source: SignalSource, examples: Examples, where: str) -> Signal:
    topics, texts = _candidates(source, examples, f"{where}, signal {name}")
    try:
        paths = tuple(fields.parse_path(text) for text in texts)
    except ValueError as error:
        raise DataError(f"Signal {name}: {error}.", where=where, remedy="correct the map") from error
    problem: DataError | None = None
    for topic in topics:
        try:
            _check(examples, topic, paths, f"{where}, signal {name}")
        except DataError as error:
            problem = problem or error
            continue
        factor, unit = _SI.get(source.unit, (1.0, source.unit))
        unit = f"{unit}/s" if source.derivative and unit else unit
        scale, offset = source.scale * factor, source.offset * factor
        return Signal(name, _tidy(unit), topic, paths, source.compute, scale, offset, source.derivative)
    raise problem or DataError(f"No topic for signal {name}.", where=where)


def _candidates(source: SignalSource, examples: Examples, where: str) -> tuple[list[str], Sequence[str]]:
    """Topics to try and the fields' texts."""
    texts: Sequence[str] = source.fields or (source.field,)
    known = examples.topics
    if source.type:
        wanted = source.type.replace("/msg/", "/")
        topics = [topic for topic in known if examples.type_of(topic) == wanted]
        what = f"no topic of type {source.type}"
        near = nearest(wanted, sorted({examples.type_of(topic) for topic in known}))
    elif source.topic:
        topics = [topic for topic in known if fnmatchcase(topic, source.topic)]
        what, near = f"no topic {source.topic}", nearest(source.topic, known)
    else:
        within = [topic for topic in known if source.field.startswith((f"{topic}.", f"{topic}["))]
        topics = [max(within, key=len)] if within else []
        at = source.field.find(".", source.field.rfind("/") + 1)
        written = source.field[: at if at > 0 else None]
        what, near = f"no topic {written}", nearest(written, known)
        texts = [source.field[len(topic) :].removeprefix(".") for topic in topics]
    if not topics:
        raise DataError(f"There is {what} here.", where=where, remedy=f"{near} (--list shows all)")
    return topics, texts


def _check(examples: Examples, topic: str, paths: Sequence[fields.Path], where: str) -> None:
    message = examples[topic]
    if message is None:
        raise DataError(
            f"{topic} cannot be used: {examples.why_not(topic)}.",
            where=where,
            remedy="take another topic; --list shows which can be read",
        )
    for path in paths:
        try:
            fields.number_at(message, path)
        except (LookupError, TypeError) as error:
            is_there = isinstance(error, TypeError)
            text = fields.path_text(path)
            raise DataError(
                f"{text} of {topic} is no number." if is_there else f"{topic} has no field {text}.",
                where=where,
                remedy=nearest(text, fields.numeric_fields(message)),
            ) from error


def _tidy(unit: str) -> str:
    return {"m/s/s": "m/s2", "m/s2/s": "m/s3", "rad/s/s": "rad/s2", "m/s^2": "m/s2"}.get(unit, unit)
