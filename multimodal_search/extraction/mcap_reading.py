"""Messages of a recording by log time, a block at a time: memory does not grow with the file."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import BinaryIO

from multimodal_search.errors import SkipInput
from multimodal_search.extraction import mcap_records as records
from multimodal_search.extraction.mcap_records import RawMessage
from multimodal_search.extraction.mcap_survey import Block, Survey

_EXAMPLES = 5  # messages of a channel that are tried before it counts as undecodable


def read_messages(
    file: BinaryIO,
    survey: Survey,
    channel_ids: Collection[int],
    problems: Counter[str],
    *,
    on_block: Callable[[int], None] = lambda length: None,
) -> Iterator[RawMessage]:
    """The messages of some channels by log time; of equal times as they are in the file.

    Blocks (chunks) that overlap in time are held together, and no others.

    Args:
        problems: counts what could not be read, by reason.
        on_block: told the length of each block passed, for a progress bar.
    """
    wanted = set(channel_ids)
    held: list[tuple[int, int, RawMessage]] = []
    order = count()
    for block in sorted(survey.blocks, key=lambda one: (one.start_ns, one.offset)):
        while held and held[0][0] < block.start_ns:
            yield heapq.heappop(held)[2]
        if block.channels is None or not wanted.isdisjoint(block.channels):
            for message in _block_messages(file, block, wanted, problems):
                heapq.heappush(held, (message.log_ns, next(order), message))
        on_block(block.length)
    while held:
        yield heapq.heappop(held)[2]


def first_messages(
    file: BinaryIO, survey: Survey, channel_ids: Collection[int]
) -> dict[int, list[RawMessage]]:
    """The first few messages of each channel, from the first block that has any."""
    found: dict[int, list[RawMessage]] = {}
    missing = {one for one in channel_ids if survey.counts[one]}
    for block in sorted(survey.blocks, key=lambda one: one.offset):
        if not missing:
            break
        if block.channels is not None and missing.isdisjoint(block.channels):
            continue
        for message in _block_messages(file, block, missing, Counter()):
            examples = found.setdefault(message.channel_id, [])
            if len(examples) < _EXAMPLES:
                examples.append(message)
        missing -= set(found)
    return found


def _block_messages(
    file: BinaryIO, block: Block, wanted: Collection[int], problems: Counter[str]
) -> Iterator[RawMessage]:
    try:
        for opcode, _, length in records.walk(file, block.offset, block.offset + block.length):
            if opcode not in (records.CHUNK, records.MESSAGE):
                continue
            if length > records.MAX_RECORD_BYTES:
                raise records.too_large("chunk" if opcode == records.CHUNK else "message", length)
            body = file.read(length)
            if opcode == records.MESSAGE:
                if records.message_head(body)[0] in wanted:
                    yield records.raw_message(body, 0, length)
                continue
            content = records.chunk_content(body)
            del body
            for inner, at, size in records.content_records(content):
                if inner == records.MESSAGE and records.message_head(content, at)[0] in wanted:
                    yield records.raw_message(content, at, size)
    except SkipInput as skip:
        problems[skip.reason] += 1
    except OSError as error:
        problems[f"cannot be read ({error.strerror or error})"] += 1
