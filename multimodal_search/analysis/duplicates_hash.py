"""Pairs of perceptual hashes that differ in few bits, without comparing all pairs.

Multi-index hashing (Norouzi, Punjani and Fleet, 2012): hashes that differ in at most d of 64 bits differ in
at most floor(d / bands) bits of at least one band: hashes that nearly agree in a band are compared whole.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from multimodal_search.errors import DataError
from multimodal_search.types import IntArray

Hashes = npt.NDArray[np.uint64]
_BITS = 64
_HASH = re.compile(r"[0-9a-fA-F]{16}")
_MOST_PAIRS = 1 << 22  # compared at a time
_BLOCK_HASHES = 2048
# measured, on one core: looking a hash up, comparing one that was met, comparing a pair by a product
_PROBE_SECONDS, _MET_SECONDS, _PAIR_SECONDS = 1.5e-7, 5e-8, 2e-9
_ONES = np.array([bin(value).count("1") for value in range(1 << 16)], dtype=np.uint8)


def parse_hashes(values: Sequence[str | None], *, where: object) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """(n,) hashes from 16 hex digits each, and which rows have one (None and "" are none).

    Raises:
        DataError: a value is no 64-bit hash.
    """
    found = np.zeros(len(values), dtype=np.uint64)
    there = np.zeros(len(values), dtype=np.bool_)
    for row, value in enumerate(values):
        if value is None or value == "":
            continue
        if not _HASH.fullmatch(str(value)):
            raise DataError(
                f"{value!r} in row {row} is no perceptual hash of 64 bits.",
                where=where,
                remedy="16 hex digits, as 'multimodal-search embed --hash phash' writes them",
            )
        found[row], there[row] = int(value, 16), True
    return found, there


def bits_apart(first: Hashes, second: Hashes) -> npt.NDArray[np.uint8]:
    """In how many bits hashes differ."""
    return np.asarray(_ONES[(first ^ second)[..., None].view(np.uint16)].sum(axis=-1, dtype=np.uint8))


def close_pairs(hashes: Hashes, most_bits: int) -> tuple[IntArray, IntArray]:
    """All pairs (first < second) of distinct hashes at most ``most_bits`` apart.

    Args:
        hashes: (n,), each once.
    """
    if len(hashes) < 2 or most_bits == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    bands, seconds = _plan(len(hashes), most_bits)
    if seconds > _PAIR_SECONDS * len(hashes) ** 2:
        return _compare_all(hashes, most_bits)
    radius = most_bits // bands
    bounds = [_BITS * band // bands for band in range(bands + 1)]
    found = []
    for low, high in itertools.pairwise(bounds):
        values = ((hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)).astype(np.int64)
        for first, second in _agreeing(values, high - low, radius):
            near = bits_apart(hashes[first], hashes[second]) <= most_bits
            found.append(first[near] * len(hashes) + second[near])
    codes = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    return codes // len(hashes), codes % len(hashes)


def _plan(n: int, most_bits: int) -> tuple[int, float]:
    """In how many bands random hashes are joined fastest, and in how many seconds about."""

    def seconds(bands: int) -> float:
        width = _BITS / bands
        probes = sum(math.comb(math.ceil(width), bits) for bits in range(most_bits // bands + 1))
        return bands * probes * n * (_PROBE_SECONDS + _MET_SECONDS * n / 2**width)

    return min(((bands, seconds(bands)) for bands in range(1, most_bits + 2)), key=lambda plan: plan[1])


def _compare_all(hashes: Hashes, most_bits: int) -> tuple[IntArray, IntArray]:
    """As products of signs: 64 less twice the bits that differ."""
    bits = np.unpackbits(hashes[:, None].view(np.uint8), axis=1)
    signs = bits.astype(np.float32) * 2 - 1
    first, second = [], []
    for start in range(0, len(hashes), _BLOCK_HASHES):
        for left in range(start, len(hashes), _BLOCK_HASHES):
            like = signs[start : start + _BLOCK_HASHES] @ signs[left : left + _BLOCK_HASHES].T
            hits = np.flatnonzero(like >= _BITS - 2 * most_bits)
            one, other = start + hits // like.shape[1], left + hits % like.shape[1]
            first.append(one[one < other])
            second.append(other[one < other])
    return np.concatenate(first), np.concatenate(second)


def _agreeing(values: IntArray, width: int, radius: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Pairs whose values differ in at most ``radius`` bits, first < second, a bounded number at a time."""
    order = np.argsort(values, kind="stable")
    present, starts, sizes = np.unique(values[order], return_index=True, return_counts=True)
    for bits in range(radius + 1):
        for flipped in itertools.combinations(range(width), bits):
            mask = sum(1 << bit for bit in flipped)
            partner = np.searchsorted(present, present ^ mask)
            partner[partner == len(present)] = 0
            joined = (present[partner] == present ^ mask) & (present <= present ^ mask)
            yield from _crossed(order, starts, sizes, np.flatnonzero(joined), partner)


def _crossed(
    order: IntArray, starts: IntArray, sizes: IntArray, groups: IntArray, partner: IntArray
) -> Iterator[tuple[IntArray, IntArray]]:
    """Each member of each group with each member of the group's partner."""
    # one entry a member: it meets all of the partner group
    member = np.repeat(starts[groups], sizes[groups]) + _ranges(sizes[groups])
    first = np.repeat(starts[partner[groups]], sizes[groups])
    count = np.repeat(sizes[partner[groups]], sizes[groups])
    cuts = np.searchsorted(np.cumsum(count), np.arange(0, int(count.sum()), _MOST_PAIRS)[1:])
    for some in np.split(np.arange(len(member)), cuts):
        left = np.repeat(member[some], count[some])
        right = np.repeat(first[some], count[some]) + _ranges(count[some])
        one, other = order[left], order[right]
        kept = one < other if (partner[groups] == groups).all() else one != other
        yield np.minimum(one, other)[kept], np.maximum(one, other)[kept]


def _ranges(counts: IntArray) -> IntArray:
    """0 .. count - 1 for each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
