"""Which rows are near-duplicates of which: by embedding, by perceptual hash, or both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multimodal_search.analysis.duplicates_hash import Hashes, bits_apart, close_pairs
from multimodal_search.analysis.graph import Graph
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray, IntArray

_BLOCK_ROWS = 65_536
_UNIT_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Likeness:
    """What makes two rows the same.

    Attributes:
        vectors: None where embeddings are not compared.
        threshold: cosine from which on.
        hashes: (n,) of the rows; None where they are not compared.
        hashed: (n,) which rows have one.
        most_bits: in which hashes may differ.
    """

    vectors: VectorSet | None
    threshold: float
    hashes: Hashes | None
    hashed: npt.NDArray[np.bool_]
    most_bits: int

    def units(self, rows: IntArray) -> FloatArray:
        """(n, dim) of length one; zeros where a row cannot be compared, or embeddings are not."""
        if self.vectors is None:
            return np.zeros((len(rows), 1), dtype=np.float32)
        found = np.empty((len(rows), self.vectors.dim), dtype=np.float32)
        for start in range(0, len(rows), _UNIT_ROWS):
            some = self.vectors.gather(rows[start : start + _UNIT_ROWS])
            with np.errstate(all="ignore"):
                some = some / np.abs(some).max(axis=1, keepdims=True)
                some /= np.linalg.norm(some, axis=1, keepdims=True)
            some[~np.isfinite(some).all(axis=1)] = 0
            found[start : start + len(some)] = some
        return found

    def alike(self, cosines: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether cosines reach the threshold, rounding of float32 forgiven."""
        return np.asarray(cosines >= self.threshold - 1e-6)

    def names(self, cosines: FloatArray, close: npt.NDArray[np.bool_]) -> list[str]:
        """What finds each pair: "embedding", "phash" or "both"."""
        names = np.array(["", "embedding", "phash", "both"])
        return [str(one) for one in names[self.alike(cosines) + 2 * close]]

    def close(self, first: IntArray, second: IntArray) -> npt.NDArray[np.bool_]:
        """Whether the hashes of rows are few bits apart (rows broadcast against each other)."""
        if self.hashes is None:
            return np.zeros(np.broadcast_shapes(first.shape, second.shape), dtype=np.bool_)
        near = bits_apart(self.hashes[first], self.hashes[second]) <= self.most_bits
        return np.asarray(near & self.hashed[first] & self.hashed[second])


def pairs_of_graph(graph: Graph, threshold: float) -> tuple[IntArray, IntArray]:
    """Neighbours whose cosine reaches the threshold, first < second, each pair once."""
    n = len(graph.rows)
    codes = []
    for start in range(0, n, _BLOCK_ROWS):
        near = graph.rows[start : start + _BLOCK_ROWS]
        own, place = np.nonzero(
            (near >= 0) & (graph.distances[start : start + _BLOCK_ROWS] <= 1 - threshold + 1e-6)
        )
        one, other = own + start, near[own, place].astype(np.int64)
        codes.append(np.minimum(one, other) * n + np.maximum(one, other))
    found = np.unique(np.concatenate(codes)) if codes else np.empty(0, np.int64)
    return found // max(n, 1), found % max(n, 1)


def pairs_of_hashes(
    hashes: Hashes, hashed: npt.NDArray[np.bool_], most_bits: int
) -> tuple[IntArray, IntArray]:
    """Rows whose hashes are few bits apart; of rows with one hash, each with the first of them."""
    rows = np.flatnonzero(hashed)
    distinct, first, which = np.unique(hashes[rows], return_index=True, return_inverse=True)
    same = rows[first[which]]
    apart = same != rows
    one, other = close_pairs(distinct, most_bits)
    one, other = rows[first[one]], rows[first[other]]
    left = np.concatenate([same[apart], np.minimum(one, other)])
    return left, np.concatenate([rows[apart], np.maximum(one, other)])
