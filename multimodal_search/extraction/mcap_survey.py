"""What an MCAP holds, without its messages: from its summary, or by one pass where it has none."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from multimodal_search.errors import SkipInput, require
from multimodal_search.extraction import mcap_records as records

logger = logging.getLogger("multimodal_search")

_LARGE_BYTES = 500_000_000  # a pass over more is told, since it takes a while
_BLOCK_BYTES = 1 << 20  # messages outside chunks are read in runs of about this size


@dataclass(frozen=True, slots=True)
class Block:
    """A run of whole records that is read at once: a chunk, or messages that follow each other.

    Attributes:
        channels: ids of the channels with messages here; None where nobody counted.
    """

    offset: int
    length: int
    start_ns: int
    end_ns: int
    channels: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """A topic as one publisher wrote it.

    Attributes:
        type: the schema's name, ``""`` without a schema; without ROS 2's ``/msg/``.
        schema: the library's record, for its decoders; None without a schema.
        metadata: what the publisher said about it.
    """

    id: int
    topic: str
    type: str
    encoding: str
    schema: Any


@dataclass(slots=True)
class Survey:
    """What a recording holds.

    Attributes:
        counts: channel id -> messages.
        metadata: name and content of each metadata record.
        damage: what is broken, in words; empty for a whole file.
    """

    size_bytes: int
    profile: str = ""
    indexed: bool = False
    channels: dict[int, ChannelInfo] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)
    blocks: list[Block] = field(default_factory=list)
    metadata: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    attachments: int = 0
    compressions: set[str] = field(default_factory=set)
    damage: list[str] = field(default_factory=list)

    @property
    def start_ns(self) -> int:
        """Log time of the first message; 0 without one."""
        return min((block.start_ns for block in self.blocks), default=0)

    @property
    def end_ns(self) -> int:
        """Log time of the last message."""
        return max((block.end_ns for block in self.blocks), default=0)

    def topics(self) -> dict[str, list[ChannelInfo]]:
        """Topic -> its channels that have messages, sorted by topic."""
        found: dict[str, list[ChannelInfo]] = {}
        for info in sorted(self.channels.values(), key=lambda one: (one.topic, one.id)):
            if self.counts[info.id]:
                found.setdefault(info.topic, []).append(info)
        return found

    def count(self, topic: str) -> int:
        """Messages of a topic."""
        return sum(self.counts[info.id] for info in self.channels.values() if info.topic == topic)


def survey(file: BinaryIO, size_bytes: int) -> Survey:
    """Look through a recording. One without a summary, or a broken one, is passed through once.

    Raises:
        SkipInput: it is empty, or not an MCAP.
        MissingDependencyError: the extra is not installed.
    """
    records.check_magic(file)
    found = _from_summary(file, size_bytes)
    if found is not None:
        return found
    if size_bytes > _LARGE_BYTES:
        logger.info("no index, or a broken one: %.1f GB are passed through first", size_bytes / 1e9)
    return _Scan(file, size_bytes).run()


def _from_summary(file: BinaryIO, size_bytes: int) -> Survey | None:
    """None where there is no summary, or not enough in it."""
    reader = require("mcap.reader", extra="mcap")
    file.seek(0)
    try:
        seeking = reader.SeekingReader(file, record_size_limit=records.MAX_RECORD_BYTES)
        header, summary = seeking.get_header(), seeking.get_summary()
    except Exception:  # truncated or broken: the scan says where
        return None
    if (
        summary is None
        or summary.statistics is None
        or not (summary.chunk_indexes or summary.metadata_indexes)
    ):
        return None
    found = Survey(size_bytes, header.profile, indexed=True)
    for schema_id_channel in summary.channels.values():
        _add_channel(found, schema_id_channel, summary.schemas)
    found.counts.update(summary.statistics.channel_message_counts)
    counted = sum(summary.statistics.channel_message_counts.values())
    if counted != summary.statistics.message_count or not set(found.counts) <= set(found.channels):
        return None
    if summary.statistics.chunk_count != len(summary.chunk_indexes) or (
        counted and not summary.chunk_indexes
    ):
        return None
    for one in summary.chunk_indexes:
        if one.chunk_start_offset + one.chunk_length > size_bytes:
            return None
        with_messages = frozenset(one.message_index_offsets) or None
        found.blocks.append(
            Block(
                one.chunk_start_offset,
                one.chunk_length,
                one.message_start_time,
                one.message_end_time,
                with_messages,
            )
        )
        found.compressions.add(one.compression)
    for index in summary.metadata_indexes:
        try:
            for opcode, _, length in records.walk(file, index.offset, index.offset + index.length):
                if opcode == records.METADATA:
                    _add_metadata(found, file, length)
        except SkipInput as skip:
            found.damage.append(skip.reason)
    found.attachments = summary.statistics.attachment_count
    return found


class _Scan:
    """One pass over all records."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._found = Survey(size_bytes)
        self._schemas: dict[int, Any] = {}
        self._run: list[int] = []  # offset, end, first and last time of the messages outside chunks
        self._run_channels: set[int] = set()

    def run(self) -> Survey:
        found = self._found
        at_end = False
        try:
            for opcode, at, length in records.walk(self._file, len(records.MAGIC), found.size_bytes):
                if opcode == records.FOOTER:
                    break
                # after the data the definitions come once more, for files whose first chunk is broken
                at_end = at_end or opcode == records.DATA_END
                if at_end and opcode not in (records.SCHEMA, records.CHANNEL):
                    continue
                try:
                    self._take(opcode, at, length)
                except SkipInput as skip:
                    found.damage.append(f"{skip.reason}, at byte {at}")
            if not at_end:
                found.damage.append(f"truncated: it ends after {found.size_bytes} bytes without an end mark")
        except SkipInput as skip:
            if not at_end:
                found.damage.append(skip.reason)
        self._end_run()
        if lost := sum(count for one, count in found.counts.items() if one not in found.channels):
            found.damage.append(f"{lost} messages of channels that are nowhere described")
        return found

    def _take(self, opcode: int, at: int, length: int) -> None:
        found = self._found
        if opcode == records.CHUNK:
            self._chunk(at, length)
        elif opcode == records.MESSAGE:
            channel_id, log_ns, _ = records.message_head(self._file.read(records.MESSAGE_HEAD_BYTES))
            end = at + 9 + length
            if self._run and (self._run[1] != at or end - self._run[0] > _BLOCK_BYTES):
                self._end_run()
            first = self._run or [at, end, log_ns, log_ns]
            self._run = [first[0], end, min(first[2], log_ns), max(first[3], log_ns)]
            self._run_channels.add(channel_id)
            found.counts[channel_id] += 1
        elif opcode == records.ATTACHMENT:
            found.attachments += 1
        elif opcode == records.METADATA:
            _add_metadata(found, self._file, length)
        elif opcode == records.HEADER and length < records.MAX_RECORD_BYTES:
            found.profile = records.parse("Header", self._file.read(length)).profile
        elif opcode in (records.SCHEMA, records.CHANNEL) and length < records.MAX_RECORD_BYTES:
            self._definition(opcode, self._file.read(length))

    def _chunk(self, at: int, length: int) -> None:
        if length > records.MAX_RECORD_BYTES:
            raise records.too_large("chunk", length)
        content = records.chunk_content(self._file.read(length))
        times: list[int] = []
        channels: set[int] = set()
        try:
            for opcode, body, size in records.content_records(content):
                if opcode == records.MESSAGE:
                    channel_id, log_ns, _ = records.message_head(content, body)
                    times.append(log_ns)
                    channels.add(channel_id)
                    self._found.counts[channel_id] += 1
                elif opcode in (records.SCHEMA, records.CHANNEL):
                    self._definition(opcode, content[body : body + size])
        finally:
            if times:
                block = Block(at, 9 + length, min(times), max(times), frozenset(channels))
                self._found.blocks.append(block)

    def _definition(self, opcode: int, body: bytes) -> None:
        if opcode == records.SCHEMA:
            schema = records.parse("Schema", body)
            self._schemas[schema.id] = schema
        else:
            _add_channel(self._found, records.parse("Channel", body), self._schemas)

    def _end_run(self) -> None:
        if self._run:
            offset, end, first_ns, last_ns = self._run
            channels = frozenset(self._run_channels)
            self._found.blocks.append(Block(offset, end - offset, first_ns, last_ns, channels))
        self._run, self._run_channels = [], set()


def _add_channel(found: Survey, channel: Any, schemas: dict[int, Any]) -> None:
    schema = schemas.get(channel.schema_id)
    name = "" if schema is None else schema.name.replace("/msg/", "/")
    found.channels[channel.id] = ChannelInfo(
        channel.id, channel.topic, name, channel.message_encoding, schema
    )


def _add_metadata(found: Survey, file: BinaryIO, length: int) -> None:
    if length > 16 << 20:
        raise records.too_large("metadata record", length)
    record = records.parse("Metadata", file.read(length))
    found.metadata.append((record.name, dict(record.metadata)))
