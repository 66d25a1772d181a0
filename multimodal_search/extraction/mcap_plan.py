"""Before a folder is made: all recordings are looked through, and it is decided what is taken from them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from multimodal_search.errors import DataError, SkipInput, nearest
from multimodal_search.extraction.mcap_decoding import Decoders
from multimodal_search.extraction.mcap_guess import guess
from multimodal_search.extraction.mcap_inputs import Recording
from multimodal_search.extraction.mcap_map import READY, Examples, Signal, all_ready, load_map, resolve
from multimodal_search.extraction.mcap_pictures import is_picture
from multimodal_search.extraction.mcap_recording import Plan
from multimodal_search.extraction.mcap_survey import Survey, survey
from multimodal_search.extraction.writing import Channel
from multimodal_search.settings.extraction import ExtractSettings
from multimodal_search.settings.signal_map import SignalMap
from multimodal_search.types import Failure

logger = logging.getLogger("multimodal_search")


@dataclass(slots=True)
class Opened:
    """A recording that was looked through, and the signals that are taken from it."""

    recording: Recording
    survey: Survey
    decoders: Decoders
    signals: list[Signal] = field(default_factory=list)


def open_all(
    recordings: Sequence[Recording], look: Callable[[Opened, Examples], None] = lambda opened, examples: None
) -> tuple[list[Opened], list[Failure]]:
    """Look through all recordings; those that are none are failures.

    Args:
        look: called with each while its file is open.

    Raises:
        DataError: none can be used; says why the first cannot.
    """
    opened, failures = [], []
    for recording in recordings:
        try:
            with recording.open() as (file, size_bytes):
                one = Opened(recording, survey(file, size_bytes), Decoders())
                look(one, Examples(file, one.survey, one.decoders))
        except SkipInput as skip:
            failures.append(Failure(recording.name, recording.address, skip.reason))
            logger.warning("%s: %s", recording.address, skip.reason)
            continue
        except FileNotFoundError:
            failures.append(Failure(recording.name, recording.address, "no longer there"))
            continue
        opened.append(one)
    if not opened:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise DataError(
            f"No recording can be read: {failures[0].reason}{more}.",
            where=failures[0].path,
            remedy="check the files; each is named above with its reason",
        )
    return opened, failures


def make_plan(
    settings: ExtractSettings, recordings: Sequence[Recording]
) -> tuple[Plan, list[Channel], list[Opened], list[Failure]]:
    """Which signals, pictures and texts are taken, over all recordings; told in the log.

    Raises:
        DataError: nothing can be taken, or a named topic or field is in no recording.
        SettingsError: the map is none.
    """
    maps = _Maps(settings)
    opened, failures = open_all(recordings, maps.look)
    for one in list(opened):
        if one.recording.name in maps.problems:
            problem = maps.problems[one.recording.name]
            if len(opened) == 1:
                raise problem
            failures.append(Failure(one.recording.name, one.recording.address, problem.what))
            logger.warning("%s: left out: %s", one.recording.address, problem.what)
            opened.remove(one)
    units: dict[str, str] = {}
    for one in opened:
        units |= {signal.name: signal.unit for signal in one.signals if signal.name not in units}
    channels = [Channel(name, units[name]) for name in maps.names if name in units]
    if not settings.include_timeseries:
        channels = []
        for one in opened:
            one.signals = []
    topics = {topic for one in opened for topic in one.survey.topics()}
    _check_topics(settings, topics)
    pictures = sorted(
        {
            topic
            for one in opened
            for topic, infos in one.survey.topics().items()
            if is_picture(infos[0].type) and (not settings.image_topics or topic in settings.image_topics)
        }
    )
    if not channels and not pictures:
        raise DataError(
            "No signal and no picture was found in any recording.",
            where=shown_addresses(opened),
            remedy="look with --list, then name signals with --map FILE.yaml"
            + ("" if settings.guess else ", or let --guess take what it finds"),
        )
    _tell(opened, pictures)
    plan = Plan(
        tuple(channel.name for channel in channels),
        settings.rate_hz,
        settings.window_seconds,
        settings.stride_seconds,
        settings.keyframe_seconds,
        maps.time,
        tuple(settings.image_topics),
        settings.text_topic,
        settings.describe,
    )
    return plan, channels, opened, failures


class _Maps:
    """The map that was asked for; or all ready ones together; or a guess, for each recording its own."""

    def __init__(self, settings: ExtractSettings) -> None:
        self._named = settings.signal_map
        self._strict = settings.signal_map is not None and settings.signal_map not in READY
        self._map: SignalMap | None = None
        if not settings.guess:
            self._map = load_map(settings.signal_map) if settings.signal_map else all_ready()
        self._order: dict[str, None] = {}
        self.problems: dict[str, DataError] = {}  # recording -> what a strict map does not find

    def look(self, opened: Opened, examples: Examples) -> None:
        """Find the signals of a recording, while it is open."""
        chosen = self._map or guess([examples])
        if chosen is None:
            return
        self._order.update(dict.fromkeys(chosen.signals))
        try:
            opened.signals = resolve(chosen, examples, strict=self._strict, where=opened.recording.address)
        except DataError as error:
            self.problems[opened.recording.name] = error

    @property
    def names(self) -> list[str]:
        """Of the signals that may be there, in order."""
        return list(self._order)

    @property
    def time(self) -> str:
        """Whose clock holds."""
        return self._map.time if self._map else "log"


def _check_topics(settings: ExtractSettings, known: set[str]) -> None:
    named = [("--image-topics", topic) for topic in settings.image_topics]
    named += [("--text-topic", settings.text_topic)] if settings.text_topic else []
    for flag, topic in named:
        if topic not in known:
            raise DataError(
                f"No recording has a topic {topic}.", where=flag, remedy=nearest(topic, sorted(known))
            )


def _tell(opened: Sequence[Opened], pictures: Sequence[str]) -> None:
    for one in opened:
        if not one.signals and not set(pictures) & set(one.survey.topics()):
            logger.warning("%s: no signal that is known by name, and no picture", one.recording.address)
    told: dict[str, int] = {}
    for one in opened:
        for signal in one.signals:
            told[signal.told()] = told.get(signal.told(), 0) + 1
    for line, count in told.items():
        logger.info("%s%s", line, f" (in {count} of {len(opened)})" if len(opened) > 1 else "")
    if pictures:
        logger.info("pictures from %s", ", ".join(pictures))


def shown_addresses(opened: Sequence[Opened]) -> str:
    """For a message: the first of them."""
    more = f" and {len(opened) - 1} more" if len(opened) > 1 else ""
    return f"{opened[0].recording.address}{more}"
