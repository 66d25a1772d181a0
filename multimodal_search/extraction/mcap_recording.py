"""One recording, once through: its windows as scenes with pictures, signals and texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import numpy as np

from multimodal_search.errors import SkipInput
from multimodal_search.extraction import mcap_fields as fields
from multimodal_search.extraction.mcap_decoding import Decoders
from multimodal_search.extraction.mcap_driving import tell_driving
from multimodal_search.extraction.mcap_inputs import Recording
from multimodal_search.extraction.mcap_map import Signal
from multimodal_search.extraction.mcap_pictures import is_picture, to_jpeg
from multimodal_search.extraction.mcap_reading import read_messages
from multimodal_search.extraction.mcap_records import RawMessage
from multimodal_search.extraction.mcap_signals import SampleBuffer
from multimodal_search.extraction.mcap_survey import ChannelInfo, Survey
from multimodal_search.extraction.mcap_texts import Note, event_text
from multimodal_search.extraction.mcap_windows import Window, WindowCutter
from multimodal_search.types import FloatArray

_SLACK_SECONDS = 5.0  # how far a stamp may lie behind the recorder's order
_FAR_NS = 60_000_000_000  # a stamp further than this from where the clock's offset puts it is broken
_DAY_NS = 86_400 * 10**9
_GENERIC = re.compile(r"^(image(_\w+)?|compressed\w*|raw|rect)$")  # parts of a topic that name no camera


@dataclass(frozen=True, slots=True)
class Plan:
    """What is taken from every recording of a run.

    Attributes:
        channels: names of the signals' columns; a recording without one has NaN there.
        time: ``log``, ``publish`` or ``header``.
        image_topics: the primary one first; empty for all that are pictures.
        text_topic: messages of which are texts.
        describe: write a sentence where there is none.
    """

    channels: tuple[str, ...]
    rate_hz: float
    window_seconds: float
    stride_seconds: float
    keyframe_seconds: float
    time: str = "log"
    image_topics: tuple[str, ...] = ()
    text_topic: str | None = None
    describe: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """A window: a record of ``scenes_metadata.json`` and its (T, C) signals, None where there is none."""

    record: dict[str, Any]
    series: FloatArray | None


@dataclass(slots=True)
class RecordingReader:
    """Cuts one recording into scenes.

    Attributes:
        signals: as ``mcap_map.resolve`` found them here.
        notes: what is said about it.
        keep_picture: stores a JPEG under a name; gives the path for the record.
        finished: scenes of earlier runs; what lies before the last of them is not decoded again.
        problems: what was left out, by reason -> how often.
    """

    recording: Recording
    survey: Survey
    decoders: Decoders
    signals: Sequence[Signal]
    notes: list[Note]
    plan: Plan
    keep_picture: Callable[[str, bytes], str]
    finished: set[str] = field(default_factory=set)
    problems: Counter[str] = field(default_factory=Counter)
    _start_ns: int | None = None
    _clock_ns: int | None = None  # of header stamps, ahead of the recorder's
    _pictures: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    _events: list[tuple[int, str]] = field(default_factory=list)

    def scenes(
        self, file: BinaryIO, on_block: Callable[[int], None] = lambda length: None
    ) -> Iterator[Scene]:
        """The windows that are not finished yet, by time."""
        plan = self.plan
        buffer = SampleBuffer(self.signals, self.problems)
        cameras = {topic: camera_name(topic) for topic in self.picture_topics()}
        self._pictures = {camera: [] for camera in cameras.values()}
        timing = buffer.topics | set(cameras)
        wanted = timing | ({plan.text_topic} if plan.text_topic else set())
        infos = {one.id: one for one in self.survey.channels.values() if one.topic in wanted}
        slack = 0.0 if plan.time == "log" else _SLACK_SECONDS
        resume_seconds = self._last_finished()
        cutter = WindowCutter(plan.window_seconds, plan.stride_seconds, slack_seconds=slack)
        for raw in read_messages(file, self.survey, list(infos), self.problems, on_block=on_block):
            info = infos[raw.channel_id]
            message: Any = None
            try:
                time_ns, message = self._time(info, raw)
                if info.topic in timing:
                    for window in cutter.pass_time(time_ns):
                        yield from self._close(window, buffer)
                    if time_ns < cutter.open_since_ns:
                        self.problems[f"{info.topic}: came too late for its window"] += 1
                        continue
                    buffer.forget_before(cutter.open_since_ns)
                self._keep(info, raw, time_ns, message, buffer, cameras, resume_seconds)
            except SkipInput as skip:
                self.problems[f"{info.topic}: {skip.reason}"] += 1
        for window in cutter.end():
            yield from self._close(window, buffer)

    def picture_topics(self) -> list[str]:
        """The topics of pictures that are taken here, the primary one first."""
        here = {topic: infos for topic, infos in self.survey.topics().items() if is_picture(infos[0].type)}
        if self.plan.image_topics:
            return [topic for topic in self.plan.image_topics if topic in here]
        front_first = sorted(here, key=lambda topic: ("front" not in topic.lower(), len(topic), topic))
        return [topic for topic in front_first if self.decoders.why_not(here[topic][0]) is None]

    def _keep(
        self,
        info: ChannelInfo,
        raw: RawMessage,
        time_ns: int,
        message: Any,
        buffer: SampleBuffer,
        cameras: dict[str, str],
        resume_seconds: float,
    ) -> None:
        needed = self._offset(time_ns) >= resume_seconds
        if info.topic in cameras:
            taken = self._pictures[cameras[info.topic]]
            # a twentieth less, so that a camera's jitter does not make it every second picture but one
            if taken and 0 <= time_ns - taken[-1][0] < self.plan.keyframe_seconds * 0.95e9:
                return
            if not needed:
                taken.append((time_ns, ""))  # so that later keyframes are those of a run that was not cut
        if not needed:
            return
        if message is None:
            message = self.decoders.decode(info, raw.data)
        if info.topic in buffer.topics:
            buffer.add(info.topic, time_ns, message)
        if info.topic in cameras:
            camera = cameras[info.topic]
            content = to_jpeg(message, info.type)
            name = f"{self.recording.name}/{camera}/{self._offset(time_ns):09.3f}.jpg"
            self._pictures[camera].append((time_ns, self.keep_picture(name, content)))
        if info.topic == self.plan.text_topic and (text := event_text(message)):
            self._events.append((time_ns, text))

    def _time(self, info: ChannelInfo, raw: RawMessage) -> tuple[int, Any]:
        """When it was, and the message where it had to be decoded to know."""
        if self.plan.time == "log":
            return self._started(raw.log_ns), None
        if self.plan.time == "publish":
            time_ns, message = raw.publish_ns, None
        else:
            message = self.decoders.decode(info, raw.data)
            stamp = fields.stamp_ns(message)
            if stamp is None:
                raise SkipInput("a message without a stamp")
            time_ns = stamp
        if self._clock_ns is None:
            self._clock_ns = time_ns - raw.log_ns
        if abs(time_ns - raw.log_ns - self._clock_ns) > _FAR_NS:
            raise SkipInput("a stamp more than a minute off the others")
        return self._started(time_ns), message

    def _started(self, time_ns: int) -> int:
        if self._start_ns is None:
            # as players count: from the first message, unless that has no clock (latched, at time 0)
            first = self.survey.start_ns
            near = self.plan.time == "log" and 0 <= time_ns - first < _DAY_NS
            self._start_ns = first if near else time_ns
        return time_ns

    def _offset(self, time_ns: int) -> float:
        return (time_ns - (self._start_ns or 0)) / 1e9

    def _last_finished(self) -> float:
        """Seconds to the start of the last window that is finished; nothing before is needed."""
        own = f"{self.recording.name}_"
        return max(
            (
                float(one.removeprefix(own))
                for one in self.finished
                if re.fullmatch(rf"{re.escape(own)}-?[\d.]+", one)
            ),
            default=-np.inf,
        )

    def _close(self, window: Window, buffer: SampleBuffer) -> Iterator[Scene]:
        plan = self.plan
        offset = self._offset(window.start_ns)
        scene_id = f"{self.recording.name}_{offset:09.3f}"
        pictures = {
            camera: [path for at, path in taken if window.start_ns <= at < window.end_ns]
            for camera, taken in self._pictures.items()
        }
        if scene_id not in self.finished:
            length = (window.end_ns - window.start_ns) / 1e9
            at_most = max(round(plan.window_seconds * plan.rate_hz), 1)
            rows = min(int(np.floor(length * plan.rate_hz + 1e-6)) + 1, at_most)
            table = buffer.table(plan.channels, window.start_ns, rows, plan.rate_hz)
            series = table if rows > 1 and np.isfinite(table).any() else None
            if series is None and not any(pictures.values()):
                self.problems["windows without a signal and a picture"] += 1
            else:
                record = self._record(scene_id, window, offset, pictures)
                if series is not None:
                    tell_driving(record, series, plan.channels, plan.rate_hz, describe=plan.describe)
                yield Scene(record, series)
        for camera, taken in self._pictures.items():
            self._pictures[camera] = [one for one in taken if one[0] >= window.start_ns] or taken[-1:]
        self._events = [one for one in self._events if one[0] >= window.start_ns]

    def _record(
        self, scene_id: str, window: Window, offset: float, pictures: dict[str, list[str]]
    ) -> dict[str, Any]:
        texts: list[str] = []
        metadata: dict[str, Any] = {}
        for note in self.notes:
            if note.applies(window, self._start_ns or 0):
                texts += note.texts
                metadata.update(note.metadata)
        texts += [text for at, text in self._events if window.start_ns <= at < window.end_ns]
        location = metadata.pop("location", None)
        metadata |= {"recording": self.recording.address, "start_seconds": round(offset, 3)}
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=window.start_ns // 1000)
        primary, images = _named(pictures)
        record: dict[str, Any] = {
            "scene_id": scene_id,
            "description": list(dict.fromkeys(texts)),
            "image_path": primary,
            "location": location,
            "timestamp": moment.isoformat(),
            "log": self.recording.name,
            "metadata": metadata,
        }
        if len(images) > 1:
            record["images"] = images
        return record


def _named(pictures: dict[str, list[str]]) -> tuple[str | None, dict[str, str]]:
    """The primary picture, and all by camera: the middle one under the camera's name, others with a number.

    The primary one is there as CAM_FRONT, too: the name that training takes when nobody names cameras.
    """
    primary: str | None = None
    images: dict[str, str] = {}
    for camera, paths in pictures.items():
        if not paths:
            continue
        middle = len(paths) // 2
        if primary is None:
            primary = images["CAM_FRONT"] = paths[middle]
        images.setdefault(camera, paths[middle])
        images.update({f"{camera}#{index}": path for index, path in enumerate(paths) if index != middle})
    if len(set(images.values())) == 1:
        return primary, {}
    return primary, images


def camera_name(topic: str) -> str:
    """``/CAM_FRONT/image_rect_compressed`` -> ``CAM_FRONT``."""
    parts = [part for part in topic.split("/") if part]
    named = [part for part in parts if not _GENERIC.match(part)] or parts[:1] or ["camera"]
    return re.sub(r"[^\w.-]+", "_", "_".join(named))
