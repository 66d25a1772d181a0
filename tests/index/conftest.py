"""Small clustered vectors, and indexes of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from multimodal_search.tables.vectors import VectorSet

pytest.importorskip("faiss")


def clustered(rows: int, dim: int = 32, seed: int = 0, clusters: int = 40) -> np.ndarray:
    """(rows, dim) float32 around a few centres."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((clusters, dim))
    noise = 0.4 * generator.standard_normal((rows, dim))
    return (centres[generator.integers(0, clusters, rows)] + noise).astype(np.float32)


def vector_set(array: np.ndarray, first: int = 0, fingerprint: str | None = "f" * 64) -> VectorSet:
    """Rows ``id<first>`` and on, with a column ``number``."""
    rows = np.arange(first, first + len(array))
    return VectorSet(
        "memory",
        [f"id{row}" for row in rows],
        array.shape[1],
        lambda some: array[some],
        fingerprint=fingerprint,
        columns=pa.table({"number": rows, "place": [f"p{row % 3}" for row in rows]}),
    )


@pytest.fixture
def vectors_of() -> Callable[..., VectorSet]:
    """Makes a set of an array."""
    return vector_set


@pytest.fixture
def clusters() -> Callable[..., np.ndarray]:
    """Makes clustered vectors."""
    return clustered
