"""What near means: vectors made ready, and likeness (higher is nearer) turned into the scores a user sees."""

from __future__ import annotations

from math import isfinite
from typing import Literal

import numpy as np

from multimodal_search.errors import DataError
from multimodal_search.types import FloatArray

Metric = Literal["cosine", "l2", "ip"]


def prepared(block: FloatArray, metric: Metric) -> FloatArray:
    """(n, dim) float32 as they are stored: of length one for the cosine, else as they are."""
    block = np.ascontiguousarray(block, dtype=np.float32)
    if metric != "cosine":
        return block
    # a vector of 1e-30 still has a direction, its square has none
    largest = np.abs(block).max(axis=1, keepdims=True, initial=0.0)
    block = np.divide(block, np.where(largest > 0, largest, 1), dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
    block /= np.where(lengths > 0, lengths, 1)[:, None]
    return block


def prepared_queries(queries: FloatArray, dim: int, metric: Metric) -> FloatArray:
    """(n, dim) float32, contiguous.

    Raises:
        DataError: another length, NaN, or with the cosine a zero vector.
    """
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if queries.ndim == 1:
        queries = queries[None]
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise DataError(
            f"A query of shape {queries.shape}; the index holds vectors of length {dim}.",
            remedy="ask with vectors of the encoder that made the index",
        )
    # one sum instead of a test of each number: NaN and infinity come through it
    squares = np.einsum("ij,ij->i", queries, queries)
    lowest, total = (
        (squares[0], squares[0]) if len(squares) == 1 else (squares.min(initial=1.0), squares.sum())
    )
    if isfinite(total) and (metric != "cosine" or lowest > 1e-12):
        return queries / np.sqrt(squares)[:, None] if metric == "cosine" else queries
    if not np.isfinite(queries).all():
        raise DataError("A query holds NaN or infinity.", remedy="leave such queries out")
    if metric == "cosine" and not queries.any(axis=1).all():
        raise DataError("A query is all zeros: it has no direction.", remedy="leave such queries out")
    return prepared(queries, metric)


def likeness_matrix(rows: FloatArray, queries: FloatArray, metric: Metric) -> FloatArray:
    """(queries, n) float32 through BLAS: quick, exact to rounding only."""
    products: FloatArray = queries @ rows.T
    if metric != "l2":
        return products
    products *= 2
    products -= np.einsum("ij,ij->i", rows, rows)
    products -= np.einsum("ij,ij->i", queries, queries)[:, None]
    return products


def scores(likenesses: FloatArray, metric: Metric) -> FloatArray:
    """As ``Found.scores`` says."""
    if metric == "l2":
        distances: FloatArray = np.sqrt(np.maximum(-likenesses, 0))
        return distances
    # np.clip checks its limits' types first, which takes longer than a few numbers
    return np.minimum(np.maximum(likenesses, -1), 1) if metric == "cosine" else likenesses
