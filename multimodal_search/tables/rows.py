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
    """The latest row of each id, as 64-bit hashes of the id and of (id, key): 20 bytes a row.

    A false match needs two equal hashes, of which Python's are seeded anew in each process: one in 10**13
    for an input without a key against a million rows, far less for one with a key.

    Attributes:
        stale: parts of which a later part holds some row anew.
    """

    def __init__(self, store: Store, parts: Sequence[PartInfo]) -> None:
        ordered = sorted(parts, key=lambda part: part.order)
        total = sum(part.rows for part in ordered)
        ids, pairs = np.empty(total, np.int64), np.empty(total, np.int64)
        start = 0
        for part, rows in in_parts(store, [part for part in ordered if part.rows]):
            stop = start + part.rows
            names, keys = rows["id"].to_pylist(), rows["key"].to_pylist()
            ids[start:stop], pairs[start:stop] = _hashes(names), _pair_hashes(names, keys)
            start = stop
        owner = np.repeat(np.arange(len(ordered), dtype=np.int32), [part.rows for part in ordered])
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        last = np.append(ids[1:] != ids[:-1], True) if total else np.zeros(0, np.bool_)
        owner = owner[order]
        self.stale = {ordered[one].name for one in np.unique(owner[~last]).tolist()}
        generations = np.array([part.generation for part in ordered], dtype=np.int32)
        self._ids, self._pairs = ids[last], pairs[order][last]
        self._generations = generations[owner[last]] if total else owner
        failed = [one for part in ordered for one in read_failures(store, part)]
        self._failed = np.sort(_pair_hashes([one.id for one in failed], [one.key for one in failed]))

    def known(self, ids: Sequence[str], keys: Sequence[str]) -> tuple[BoolArray, int]:
        """((n,) which inputs have a row or a failure, the generation of a part with the others).

        An empty key stands for any.
        """
        pairs = _pair_hashes(ids, keys)
        failed = _contains(self._failed, pairs)
        if not len(self._ids):
            return failed, 0
        hashes = _hashes(ids)
        places = np.minimum(np.searchsorted(self._ids, hashes), len(self._ids) - 1)
        there = self._ids[places] == hashes
        keyless = np.fromiter((not key for key in keys), np.bool_, len(keys))
        same = there & (keyless | (self._pairs[places] == pairs))
        changed = self._generations[places[there & ~same]]
        return same | failed, int(changed.max()) + 1 if len(changed) else 0


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


def _contains(ascending: IntArray, wanted: IntArray) -> BoolArray:
    if not len(ascending):
        return np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    found: BoolArray = ascending[places] == wanted
    return found
