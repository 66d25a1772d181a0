"""Ranks of relevant gallery rows, with ties taken in expectation so that the order of rows never matters.

Relevance is equality of integer groups: a gallery row is relevant to a query when both carry the same group
(the same scene, the same normalised caption, the same label). Scores are cosines. Only a slice of the
queries-by-gallery matrix exists at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from multimodal_search.types import FloatArray, IntArray

Float64 = npt.NDArray[np.float64]

KS = (1, 5, 10)
METRICS = ("R@1", "R@5", "R@10", "median_rank", "MRR", "mAP")

# Scores are computed in float64, where equal vectors give equal cosines up to about 1e-15.
TIE = 1e-11
_CHUNK_BYTES = 48 * 2**20


@dataclass(frozen=True, slots=True)
class Rankings:
    """What one ranking task gives, a row a query that has something to find.

    Attributes:
        query: (q,) int64, which of the given queries each row is.
        rank: (q,) expected rank of the best relevant row: 1 + strictly better + tied / (relevant tied + 1),
            which is ``1 + better + ties / 2`` where one row is relevant.
        found: (q, 3) probability that a relevant row is among the first 1, 5 and 10, over the orders of ties:
            0 or 1 where nothing ties; a model that gives every row the same score is at chance, not above.
        reciprocal: (q,) expected 1 / rank of the best relevant row, over the orders of ties.
        average_precision: (q,) expected over the orders of tied rows (McSherry & Najork, 2008,
            "Computing information retrieval performance measures efficiently in the presence of tied
            scores").
        relevant: (q,) how many gallery rows are relevant.
        candidates: (q,) how many gallery rows there are, after exclusions.
    """

    query: IntArray
    rank: Float64
    found: Float64
    reciprocal: Float64
    average_precision: Float64
    relevant: IntArray
    candidates: IntArray

    def values(self) -> dict[str, Float64]:
        """Per-query values whose mean is the metric: ``R@1``, ``R@5``, ``R@10``, ``MRR``, ``mAP``."""
        out = {f"R@{k}": self.found[:, place] for place, k in enumerate(KS)}
        return {**out, "MRR": self.reciprocal, "mAP": self.average_precision}

    def summary(self) -> dict[str, float]:
        """The metrics; empty where no query has anything to find."""
        if not len(self.rank):
            return {}
        means = {name: float(np.mean(one)) for name, one in self.values().items()}
        means["median_rank"] = float(np.median(self.rank))
        return {name: means[name] for name in METRICS}


def rank_queries(
    queries: FloatArray,
    gallery: FloatArray,
    query_group: IntArray,
    gallery_group: IntArray,
    *,
    query_block: IntArray | None = None,
    gallery_block: IntArray | None = None,
) -> Rankings:
    """Rank the gallery for every query by cosine.

    Args:
        queries: (q, dim).
        gallery: (n, dim).
        query_group: (q,); -1 means that nothing is relevant, and the query is left out.
        gallery_group: (n,).
        query_block: (q,) and ``gallery_block`` (n,): gallery rows with the query's block are taken out of its
            gallery (the query itself, its own scene); -1 blocks nothing.

    Queries without a relevant row are left out; ``Rankings.query`` says which stayed.
    """
    q = unit_rows(queries)
    g = unit_rows(gallery)
    step = max(1, _CHUNK_BYTES // (8 * max(1, len(g))))
    kept: list[int] = []
    figures: list[tuple[float, ...]] = []
    harmonic = harmonic_numbers(len(g))
    for start in range(0, len(q), step):
        rows = slice(start, start + step)
        scores = q[rows] @ g.T
        relevant = query_group[rows, None] == gallery_group[None, :]
        relevant[query_group[rows] < 0] = False
        if query_block is not None and gallery_block is not None:
            blocked = query_block[rows, None] == gallery_block[None, :]
            blocked[query_block[rows] < 0] = False
            scores[blocked] = -np.inf
            relevant &= ~blocked
        for row in np.flatnonzero(relevant.any(axis=1)):
            kept.append(start + int(row))
            figures.append(_one_query(scores[row], relevant[row], harmonic))
    table = np.asarray(figures, dtype=np.float64).reshape(-1, len(KS) + 5)
    return Rankings(
        query=np.asarray(kept, dtype=np.int64),
        rank=table[:, 0],
        reciprocal=table[:, 1],
        average_precision=table[:, 2],
        relevant=table[:, 3].astype(np.int64),
        candidates=table[:, 4].astype(np.int64),
        found=table[:, 5:],
    )


def _one_query(scores: Float64, relevant: npt.NDArray[np.bool_], harmonic: Float64) -> tuple[float, ...]:
    """Expected rank, reciprocal, average precision; relevant rows, candidates; found at each of ``KS``."""
    found = np.sort(scores[relevant])
    ordered = np.sort(scores)
    ordered = ordered[np.searchsorted(ordered, -np.inf, side="right") :]
    n = len(ordered)
    # runs of tied scores: [starts[i], ends[i]) in ascending order
    breaks = np.flatnonzero(np.diff(ordered) > TIE) + 1
    run = np.searchsorted(breaks, np.searchsorted(ordered, found), side="right")
    runs, hits = np.unique(run, return_counts=True)
    starts = np.concatenate(([0], breaks))[runs]
    ends = np.concatenate((breaks, [n]))[runs]
    better, tied = n - ends, ends - starts
    hits_before = hits.sum() - np.cumsum(hits)
    precision = _expected_precision(hits, tied, better, hits_before, harmonic).sum() / len(found)
    first = _first_found(int(better[-1]), int(tied[-1]), int(hits[-1]))
    return (first[0], first[1], float(precision), len(found), n, *first[2:])


def _first_found(better: int, tied: int, hits: int) -> tuple[float, ...]:
    """Expected rank and reciprocal rank of the first relevant row, and the probabilities of ``KS``."""
    rank = 1.0 + better + (tied - hits) / (hits + 1.0)
    if tied == hits:
        return (rank, 1.0 / rank, *(float(rank <= k) for k in KS))
    within = 1.0 - _miss_probability(tied, hits)
    reciprocal = float(np.sum(np.diff(within) / (better + np.arange(1, tied + 1))))
    return (rank, reciprocal, *(float(within[min(max(k - better, 0), tied)]) for k in KS))


def _expected_precision(
    hits: IntArray, tied: IntArray, better: IntArray, hits_before: IntArray, harmonic: Float64
) -> Float64:
    """Sum of the precisions at the relevant rows of each run of ties, in expectation over its orders.

    Position ``i`` of a run of ``t`` rows, ``r`` relevant, behind ``n`` rows with ``R`` relevant, is relevant
    with probability r/t, and then has precision ``(R + 1 + (i-1)(r-1)/(t-1)) / (n + i)``; the sum over i is
    closed with harmonic numbers.
    """
    slope = np.where(tied > 1, (hits - 1) / np.maximum(tied - 1, 1), 0.0)
    tail = harmonic[better + tied] - harmonic[better]
    total: Float64 = hits / tied * (slope * tied + (hits_before + 1 - slope - slope * better) * tail)
    return total


@lru_cache(maxsize=8)
def harmonic_numbers(n: int) -> Float64:
    """(n + 1,) with ``out[i] = 1 + 1/2 + ... + 1/i``."""
    return np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, n + 1))))


def unit_rows(vectors: FloatArray) -> Float64:
    """(rows, dim) float64 of length one; a zero row stays zero."""
    wide = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    out: Float64 = wide / np.where(norms > 0, norms, 1.0)
    return out


def chance(relevant: IntArray, candidates: IntArray) -> dict[str, float]:
    """The metrics of a uniformly random order, exactly.

    Args:
        relevant: (q,) relevant rows of each query.
        candidates: (q,) gallery rows of each query.
    """
    if not len(relevant):
        return {}
    pairs, counts = np.unique(np.stack([candidates, relevant], axis=1), axis=0, return_counts=True)
    weights = counts / counts.sum()
    longest = int(candidates.max())
    cumulative = np.zeros(longest + 1)
    mrr = precision = 0.0
    harmonic = harmonic_numbers(longest)
    for (n, r), weight in zip(pairs, weights, strict=True):
        within = 1.0 - _miss_probability(int(n), int(r))
        cumulative[: n + 1] += weight * within
        cumulative[n + 1 :] += weight
        mrr += weight * float(np.sum(np.diff(within) / np.arange(1, n + 1)))
        one = _expected_precision(np.array([r]), np.array([n]), np.array([0]), np.array([0]), harmonic)
        precision += weight * float(one[0]) / int(r)
    out = {f"R@{k}": float(cumulative[min(k, longest)]) for k in KS}
    # the first rank by which half of the random queries have found something
    out["median_rank"] = float(np.searchsorted(cumulative, 0.5 - 1e-12))
    out["MRR"], out["mAP"] = mrr, precision
    return out


@lru_cache(maxsize=1024)
def _miss_probability(n: int, r: int) -> Float64:
    """(n + 1,) probability that none of ``r`` relevant rows is among the first k of ``n``, for k = 0..n."""
    k = np.arange(n)
    steps = np.maximum(n - r - k, 0) / (n - k)
    return np.concatenate(([1.0], np.cumprod(steps)))
