"""MCAP's records, one after another: what is not wanted is passed over unread, what is broken ends nothing.

The format: https://mcap.dev/spec. The library's own readers stop at the first broken chunk, load attachments
whole, and sort an unindexed file in memory: that would lose data or take gigabytes. Its parsers of records
are used.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from multimodal_search.errors import SkipInput, require

MAGIC = b"\x89MCAP0\r\n"
MAX_RECORD_BYTES = (
    256 << 20
)  # of a chunk or a message, packed and unpacked: what is larger would not fit the memory
_LATEST_NS = 2**63 - 1  # the year 2262; larger times are broken

HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 1, 2, 3, 4, 5, 6
ATTACHMENT, METADATA, DATA_END = 9, 12, 15
_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_COMPRESSIONS = ("", "none", "lz4", "zstd")

_OTHERS = (  # how other files begin, and what to do with them
    (
        b"\x89MCAP0\n",
        "not a whole MCAP: its line ends were converted on the way (by git or FTP in text mode)",
        "copy it again, as a binary file",
    ),
    (b"#ROSBAG V", "a ROS 1 bag, not an MCAP", "convert it: mcap convert in.bag out.mcap"),
    (
        b"SQLite format 3",
        "a rosbag2 of SQLite (.db3), not an MCAP",
        "convert it: mcap convert in.db3 out.mcap",
    ),
    (b"\x28\xb5\x2f\xfd", "compressed as a whole (Zstandard)", "unpack it first: zstd -d"),
    (b"\x1f\x8b", "compressed as a whole (gzip)", "unpack it first: gunzip"),
)


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message that is not decoded yet; times in nanoseconds since the epoch."""

    channel_id: int
    log_ns: int
    publish_ns: int
    data: bytes


def check_magic(file: BinaryIO) -> None:
    """Leave the file behind its magic bytes.

    Raises:
        SkipInput: it is not an MCAP; the reason says what it is, and what to do.
    """
    file.seek(0)
    start = file.read(32)
    if not start:
        raise SkipInput("the file is empty (0 bytes)")
    if start.startswith(MAGIC):
        file.seek(len(MAGIC))
        return
    for beginning, what, remedy in _OTHERS:
        if start.startswith(beginning):
            raise SkipInput(f"{what}; {remedy}")
    if MAGIC.startswith(start):
        raise SkipInput(f"the file ends after {len(start)} bytes")
    raise SkipInput(f"not an MCAP: it begins with {start[:8]!r}")


def walk(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Records between two offsets: (opcode, offset of the record, length of its body).

    The file stands at the body; who does not want it does not read it.

    Raises:
        SkipInput: a record reaches beyond the end, or there is none: the file is broken here.
    """
    at = start
    while at < end:
        file.seek(at)
        head = file.read(_RECORD.size)
        if len(head) < _RECORD.size:
            raise SkipInput(f"truncated: it ends inside a record, at byte {at + len(head)}")
        opcode, length = _RECORD.unpack(head)
        if opcode == 0:
            raise SkipInput(f"broken: no record at byte {at}")
        if at + _RECORD.size + length > end:
            raise SkipInput(
                f"truncated: the record at byte {at} needs {length} bytes, {end - at - 9} are there"
            )
        yield opcode, at, length
        at += _RECORD.size + length


def parse(kind: str, body: bytes) -> Any:
    """A record by the library's own parser, for example ``parse("Channel", body)``.

    Raises:
        SkipInput: its content is broken.
    """
    records = require("mcap.records", extra="mcap")
    stream = require("mcap.data_stream", extra="mcap")
    try:
        return getattr(records, kind).read(stream.ReadDataStream(io.BytesIO(body)))
    except Exception as error:
        raise SkipInput(f"a broken {kind} record ({error or type(error).__name__})") from error


def chunk_content(body: bytes) -> bytes:
    """The records of a chunk, unpacked; its checksum holds.

    Raises:
        SkipInput: it is too large, broken, or packed in an unknown way.
    """
    chunk = parse("Chunk", body)
    if chunk.compression not in _COMPRESSIONS:
        raise SkipInput(f"a chunk is packed with {chunk.compression!r}; lz4 and zstd are known")
    if chunk.uncompressed_size > MAX_RECORD_BYTES:
        raise too_large("chunk", chunk.uncompressed_size)
    reader = require("mcap.stream_reader", extra="mcap")
    try:
        stream, size = reader.get_chunk_data_stream(chunk, validate_crc=True)
        return bytes(stream.read(size)) if size else b""
    except Exception as error:
        raise SkipInput(f"a chunk cannot be unpacked ({error or type(error).__name__})") from error


def content_records(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Records inside a chunk's content: (opcode, offset of the body, its length).

    Raises:
        SkipInput: the content ends inside a record.
    """
    at = 0
    while at < len(content):
        if at + _RECORD.size > len(content):
            raise SkipInput("a chunk ends inside a record")
        opcode, length = _RECORD.unpack_from(content, at)
        body = at + _RECORD.size
        if body + length > len(content):
            raise SkipInput("a chunk ends inside a record")
        yield opcode, body, length
        at = body + length


def message_head(content: bytes, at: int = 0) -> tuple[int, int, int]:
    """Channel, log time and publish time of a message whose body begins there.

    Raises:
        SkipInput: the record is too short, or its time is beyond the year 2262.
    """
    try:
        channel_id, _, log_ns, publish_ns = _MESSAGE.unpack_from(content, at)
    except struct.error as error:
        raise SkipInput("a message record is too short") from error
    if log_ns > _LATEST_NS:
        raise SkipInput("a message has no plausible time")
    return channel_id, log_ns, min(publish_ns, _LATEST_NS)


def raw_message(content: bytes, at: int, length: int) -> RawMessage:
    """The message whose body of this length begins there.

    Raises:
        SkipInput: as ``message_head``.
    """
    channel_id, log_ns, publish_ns = message_head(content, at)
    return RawMessage(channel_id, log_ns, publish_ns, content[at + _MESSAGE.size : at + length])


MESSAGE_HEAD_BYTES = _MESSAGE.size


def too_large(what: str, size_bytes: int) -> SkipInput:
    """The reason of a record that would not fit into memory."""
    return SkipInput(
        f"a {what} of {size_bytes / 1e6:.0f} MB; {MAX_RECORD_BYTES >> 20} MiB are read at once; "
        "write the file anew with smaller chunks (mcap recover --chunk-size)"
    )
