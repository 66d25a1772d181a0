"""``extract --mcap X --list``: what recordings hold, for people, and the fields that a map can name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from multimodal_search.extraction import mcap_fields as fields
from multimodal_search.extraction.mcap_decoding import Decoders
from multimodal_search.extraction.mcap_inputs import Recording
from multimodal_search.extraction.mcap_map import Examples
from multimodal_search.extraction.mcap_pictures import is_picture, is_video
from multimodal_search.extraction.mcap_survey import Survey

_FIELDS_SHOWN = 12
_BESIDE = re.compile(r"(^|\.)(header|timestamp|stamp)\.|covariance\[")  # numbers that are no signals
_HEADINGS = ("topic", "type", "encoding", "messages", "Hz", "note")


def listing(recording: Recording, survey: Survey, decoders: Decoders, examples: Examples) -> str:
    """A table of the topics and a list of their numbers."""
    seconds = (survey.end_ns - survey.start_ns) / 1e9
    lines = [
        recording.address,
        "  " + "; ".join(_facts(survey, seconds)),
        *(f"  damaged: {one}" for one in survey.damage),
    ]
    rows = []
    for topic, infos in survey.topics().items():
        why_not = decoders.why_not(infos[0])
        number = survey.count(topic)
        rate = f"{(number - 1) / seconds:.3g}" if number > 1 and seconds > 0 else "-"
        note = why_not or (
            "pictures"
            if is_picture(infos[0].type)
            else "video: frames are not read"
            if is_video(infos[0].type)
            else examples.why_not(topic)
            if examples[topic] is None
            else ""
        )
        rows.append((topic, infos[0].type or "-", infos[0].encoding or "-", str(number), rate, note))
    silent = {one.topic for one in survey.channels.values()} - set(survey.topics())
    rows += [(topic, "-", "-", "0", "-", "no message") for topic in sorted(silent)]
    if not rows:
        return "\n".join([*lines, "  no topic"])
    lines += _table([_HEADINGS, *rows])
    shown = [line for topic in survey.topics() for line in _numbers(topic, examples)]
    if shown:
        lines += ["", "  numbers that a map can name (signals: {name: /topic.field}):", *shown]
    return "\n".join(lines)


def _facts(survey: Survey, seconds: float) -> Iterator[str]:
    messages = sum(survey.counts.values())
    yield f"{survey.size_bytes / 1e6:.3g} MB"
    yield f"{messages} messages"
    if messages:
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=survey.start_ns // 1000)
        yield f"{seconds:.1f} s from {start:%Y-%m-%d %H:%M:%S} UTC"
    if survey.profile:
        yield f"profile {survey.profile}"
    packed = sorted(one for one in survey.compressions if one)
    yield ", ".join(packed) if packed else "not packed" if survey.indexed else "no index: passed through once"
    if survey.metadata:
        yield f"metadata records: {', '.join(name or '(no name)' for name, _ in survey.metadata)}"
    if survey.attachments:
        yield f"{survey.attachments} attachments"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numeric = {3, 4}
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if index in numeric else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _numbers(topic: str, examples: Examples) -> list[str]:
    message = examples[topic]
    found = [] if message is None else fields.numeric_fields(message)
    found = [one for one in found if not _BESIDE.search(one)]
    if not found:
        return []
    more = f", ... ({len(found)} in all)" if len(found) > _FIELDS_SHOWN else ""
    return [f"    {topic}: {', '.join(found[:_FIELDS_SHOWN])}{more}"]
