"""Messages by time from every kind of container, as far as a broken one goes; memory that does not grow."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("mcap")

from mcap.writer import CompressionType, IndexType, Writer

from multimodal_search.errors import SkipInput
from multimodal_search.extraction.mcap_reading import first_messages, read_messages
from multimodal_search.extraction.mcap_survey import Survey, survey

Write = Callable[..., Path]
MESSAGES = [(topic, time, {"v": time}) for time in range(200) for topic in ("/a", "/b")]


def _content(**options: Any) -> bytes:
    """Two topics of 200 messages each, and an attachment between."""
    buffer = io.BytesIO()
    writer = Writer(buffer, **options)
    writer.start()
    schema = writer.register_schema("Any", "jsonschema", b"{}")
    channels = {topic: writer.register_channel(topic, "json", schema) for topic in ("/a", "/b")}
    for index, (topic, time, message) in enumerate(MESSAGES):
        writer.add_message(channels[topic], time, str(message).encode(), time)
        if index == 100:
            writer.add_attachment(0, 0, "notes.txt", "text/plain", b"x" * 1000)
            writer.add_metadata("about", {"text": "a drive"})
    writer.finish()
    return buffer.getvalue()


CHUNKED = _content(chunk_size=2000, compression=CompressionType.ZSTD)
PLAIN = _content(use_chunking=False)
NO_SUMMARY = _content(
    chunk_size=2000, index_types=IndexType.NONE, use_statistics=False, use_summary_offsets=False
)


def _read(content: bytes, topics: tuple[str, ...] = ("/a", "/b")) -> tuple[list[int], Survey, Counter[str]]:
    file = io.BytesIO(content)
    found = survey(file, len(content))
    problems: Counter[str] = Counter()
    ids = [one.id for one in found.channels.values() if one.topic in topics]
    times = [one.log_ns for one in read_messages(file, found, ids, problems)]
    return times, found, problems


@pytest.mark.parametrize("content", [CHUNKED, PLAIN, NO_SUMMARY], ids=["chunked", "plain", "no summary"])
def test_all_messages_come_by_time(content: bytes) -> None:
    times, found, problems = _read(content)
    assert times == [time for _, time, _ in MESSAGES]
    assert not problems
    assert not found.damage
    assert (found.count("/a"), found.count("/b"), found.attachments) == (200, 200, 1)
    assert found.metadata == [("about", {"text": "a drive"})]
    assert (found.start_ns, found.end_ns) == (0, 199)
    assert found.indexed == (content is CHUNKED)
    assert _read(content, ("/b",))[0] == list(range(200))


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.data_too_large])
def test_a_truncated_file_gives_what_is_there(data: st.DataObject) -> None:
    content = data.draw(st.sampled_from([CHUNKED, PLAIN, NO_SUMMARY]))
    cut = data.draw(st.integers(0, len(content) - 1))
    try:
        times, found, _ = _read(content[:cut])
    except SkipInput:
        assert cut < 8
        return
    assert times == [time for _, time, _ in MESSAGES][: len(times)]
    ends = content.rfind(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")  # where the data end
    assert found.damage or cut > ends
    assert sum(found.counts.values()) == len(times)


@given(st.data())
@settings(max_examples=150)
def test_a_file_with_a_wrong_byte_ends_nothing(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([CHUNKED, PLAIN, NO_SUMMARY])))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        times, _, _ = _read(bytes(content))
    except SkipInput:
        assert place < 8
        return
    assert len(times) <= len(MESSAGES)


def test_a_broken_chunk_costs_its_own_messages(write_mcap: Write) -> None:
    content = bytearray(CHUNKED)
    with_index = survey(io.BytesIO(CHUNKED), len(CHUNKED))
    block = with_index.blocks[1]
    content[block.offset + block.length // 2] ^= 0xFF
    times, _, problems = _read(bytes(content))
    assert [reason for reason in problems if "chunk cannot be unpacked" in reason]
    lost = [time for time in range(200) if time not in times]
    assert lost
    assert block.start_ns <= min(lost)
    assert max(lost) <= block.end_ns


def test_topics_that_were_written_one_after_the_other_are_merged(write_mcap: Write) -> None:
    path = write_mcap(
        [(topic, time, {"v": 1}) for topic in ("/a", "/b", "/c") for time in range(100)], chunk_size=500
    )
    times, _, _ = _read(path.read_bytes(), ("/a", "/b", "/c"))
    assert times == sorted(times)
    assert len(times) == 300


def test_times_that_go_back_and_equal_ones_are_put_in_order(write_mcap: Write) -> None:
    path = write_mcap([("/a", time, {}) for time in (5, 3, 3, 9, 1)])
    assert _read(path.read_bytes(), ("/a",))[0] == [1, 3, 3, 5, 9]


def test_the_first_messages_of_each_channel_are_found(write_mcap: Write) -> None:
    path = write_mcap([("/a", 1, {"v": 1}), *[("/b", time, {}) for time in range(2, 50)]], chunk_size=100)
    with path.open("rb") as file:
        found = survey(file, path.stat().st_size)
        first = first_messages(file, found, list(found.channels))
    assert sorted(len(one) for one in first.values()) == [1, 5] or all(first.values())
    assert len(first) == 2


def test_an_attachment_and_an_unwanted_chunk_are_passed_over_unread() -> None:
    class Counting(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1, /) -> bytes:
            content = super().read(size)
            Counting.read_bytes += len(content)
            return content

    buffer = io.BytesIO()
    writer = Writer(buffer, use_chunking=False)
    writer.start()
    writer.add_attachment(0, 0, "video.mp4", "video/mp4", bytes(5_000_000))
    writer.finish()
    content = buffer.getvalue()
    assert survey(Counting(content), len(content)).attachments == 1
    assert Counting.read_bytes < 10_000


def test_no_more_than_the_blocks_that_overlap_are_held(
    write_mcap: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    import heapq

    path = write_mcap([("/a", time, {"v": "x" * 100}) for time in range(5000)], chunk_size=10_000)
    most = 0
    push = heapq.heappush

    def measured(heap: list[Any], one: Any) -> None:
        nonlocal most
        push(heap, one)
        most = max(most, len(heap))

    monkeypatch.setattr(heapq, "heappush", measured)
    times, found, _ = _read(path.read_bytes(), ("/a",))
    assert len(times) == 5000
    assert most < 2 * 5000 / len(found.blocks)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x89MCAP", "ends after 5 bytes"),
        (b"#ROSBAG V2.0\n", "ROS 1 bag"),
        (b"SQLite format 3\0", "rosbag2"),
        (b"\x89MCAP0\n\x01", "line ends"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\x28\xb5\x2f\xfd\0", "Zstandard"),
        (b"timestamp,speed\n", "not an MCAP"),
    ],
)
def test_what_is_no_mcap_is_said(content: bytes, reason: str) -> None:
    with pytest.raises(SkipInput, match=reason):
        survey(io.BytesIO(content), len(content))


def test_a_chunk_that_promises_terabytes_costs_nothing() -> None:
    content = bytearray(NO_SUMMARY)
    found = survey(io.BytesIO(NO_SUMMARY), len(NO_SUMMARY))
    at = found.blocks[0].offset + 9 + 16  # uncompressed_size
    content[at : at + 8] = (2**42).to_bytes(8, "little")
    times, broken, _ = _read(bytes(content))
    assert any("4398047 MB" in one for one in broken.damage)
    assert times == [time for _, time, _ in MESSAGES][-len(times) :]  # all but the first chunk's
    assert times[0] == found.blocks[0].end_ns
