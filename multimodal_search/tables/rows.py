"""Which inputs a table holds already: hashes in sorted arrays, millions of rows in little memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from multimodal_search.storage.store import Store
from multimodal_search.tables.format import PartInfo
from multimodal_search.tables.parts import PartFailure, read_failures, read_rows
from multimodal_search.tables.recovery import in_threads
from multimodal_search.types import IntArray

BoolArray = npt.NDArray[np.bool_]


class RowIndex:
    """The latest row and the latest failure of each id: 20 bytes each.

    Attributes:
        stale: parts that do not say the latest of all their inputs.
        recovered: inputs, of those that ``known`` was asked for, that failed later than their row was made,
            and now have the row's content again.
    """

    def __init__(self, store: Store, parts: Sequence[PartInfo]) -> None:
        ordered = sorted(parts, key=lambda part: part.order)
        self._rows = _Latest(sum(part.rows for part in ordered), ordered)
        numbers = {part.name: number for number, part in enumerate(ordered)}
        for part, rows in in_parts(store, [part for part in ordered if part.rows]):
            self._rows.add(rows["id"].to_pylist(), rows["key"].to_pylist(), numbers[part.name])
        self._failed = _Latest(sum(part.failures for part in ordered), ordered)
        for part in ordered:
            failures = read_failures(store, part)
            self._failed.add([one.id for one in failures], [one.key for one in failures], numbers[part.name])
        stale = self._rows.finish() | self._failed.finish()
        failed_generations, _ = self._failed.find(self._rows.ids)
        row_generations, _ = self._rows.find(self._failed.ids)
        stale |= set(self._rows.parts[failed_generations > self._rows.generations].tolist())
        stale |= set(self._failed.parts[row_generations >= self._failed.generations].tolist())
        self.stale = {ordered[number].name for number in stale}
        self.recovered: set[str] = set()

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self._rows.nbytes + self._failed.nbytes

    def known(self, ids: Sequence[str], keys: Sequence[str]) -> tuple[BoolArray, int]:
        """((n,) which inputs have a row or a failure, the generation of a part with the others).

        An empty key stands for any.
        """
        hashes, pairs = _hashes(ids), _pair_hashes(ids, keys)
        keyless = np.fromiter((not key for key in keys), np.bool_, len(keys))
        row_generations, row_pairs = self._rows.find(hashes)
        failed_generations, failed_pairs = self._failed.find(hashes)
        there, failed_later = row_generations >= 0, failed_generations > row_generations
        same = there & (keyless | (row_pairs == pairs))
        again = same & ~keyless & failed_later
        self.recovered.update(ids[place] for place in np.flatnonzero(again))
        failed_same = failed_pairs == pairs
        after_row = np.where(there, row_generations + 1, 0)
        after_failure = np.where(failed_same, failed_generations, failed_generations + 1)
        following = np.maximum(after_row, after_failure)[~same]
        return same | (failed_later & failed_same), int(following.max(initial=0))


class _Latest:
    """The latest of what parts say of each id, as 64-bit hashes of the id and of (id, key).

    A false match needs two equal hashes, of which Python's are seeded anew in each process: one in 10**13
    for an input without a key against a million rows, far less for one with a key.
    """

    def __init__(self, count: int, ordered: Sequence[PartInfo]) -> None:
        self.ids = np.empty(count, np.int64)
        self.parts = np.empty(count, np.int32)
        self._pairs = np.empty(count, np.int64)
        self._part_generations = np.array([part.generation for part in ordered], dtype=np.int64)
        self._count = 0

    def add(self, ids: Sequence[str], keys: Sequence[str], part: int) -> None:
        """What a part says; parts come in the table's order."""
        some = slice(self._count, self._count + len(ids))
        self.ids[some], self._pairs[some], self.parts[some] = _hashes(ids), _pair_hashes(ids, keys), part
        self._count += len(ids)

    def finish(self) -> set[int]:
        """Keep the last of each id; returns the parts of the others."""
        order = np.argsort(self.ids, kind="stable")
        ids = self.ids[order]
        last = np.ones(len(ids), np.bool_)
        last[:-1] = ids[1:] != ids[:-1]
        former = set(np.unique(self.parts[order[~last]]).tolist())
        order = order[last]
        self.ids, self._pairs, self.parts = ids[last], self._pairs[order], self.parts[order]
        return former

    @property
    def generations(self) -> IntArray:
        """Of each."""
        return self._part_generations[self.parts]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.ids.nbytes + self._pairs.nbytes + self.parts.nbytes

    def find(self, hashes: IntArray) -> tuple[IntArray, IntArray]:
        """(generations, pairs) of these ids; (-1, 0) of one that is not there."""
        generations, pairs = np.full(len(hashes), -1), np.zeros(len(hashes), np.int64)
        if len(self.ids):
            places = np.searchsorted(self.ids[:-1], hashes)
            there = self.ids[places] == hashes
            generations[there] = self._part_generations[self.parts[places[there]]]
            pairs[there] = self._pairs[places[there]]
        return generations, pairs


def in_parts(store: Store, parts: Iterable[PartInfo]) -> Iterable[tuple[PartInfo, pa.Table]]:
    """Parts with the ids and keys of their rows, in order, read ahead."""
    return in_threads(lambda part: (part, read_rows(store, part, ["id", "key"])), parts)


def standing_failures(store: Store, parts: Sequence[PartInfo]) -> list[PartFailure]:
    """Inputs of all parts without a row of that content or a later one; each id once, its last failure."""
    standing: dict[str, tuple[int, PartFailure]] = {}
    ordered = sorted(parts, key=lambda part: part.order)
    for part in ordered:
        standing.update((one.id, (part.generation, one)) for one in read_failures(store, part))
    for part, rows in in_parts(store, [part for part in ordered if part.rows and standing]):
        for one in rows["id"].to_pylist():
            if one in standing and standing[one][0] <= part.generation:
                del standing[one]
    return [one for _, one in standing.values()]


def _hashes(texts: Sequence[str]) -> IntArray:
    return np.fromiter(map(hash, texts), np.int64, len(texts))


def _pair_hashes(ids: Sequence[str], keys: Sequence[str]) -> IntArray:
    return np.fromiter(map(hash, zip(ids, keys, strict=True)), np.int64, len(ids))
