"""Small sets of vectors with ids, texts and metadata, for maps and clusters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WORDS = (
    "rain at night",
    "snow on the bridge",
    "a truck on the highway",
    "雨の夜の交差点",
    "高速道路を走行する",
)


def _blobs(n: int, kinds: int = 5, dim: int = 16, spread: float = 0.1, seed: int = 0):
    """(n, dim) float32 unit vectors around ``kinds`` centres, and the kind of each."""
    generator = np.random.default_rng(seed)
    centres = np.linalg.qr(generator.normal(size=(dim, dim)))[0][:kinds]
    kind = np.arange(n) % kinds
    vectors = centres[kind] + spread * generator.normal(size=(n, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), kind


def _write_vectors(path: Path, vectors: np.ndarray, kind: np.ndarray, first: int = 0) -> Path:
    """Parquet with ids ``s/0``..., texts, a location and metadata."""
    n = len(vectors)
    table = {
        "id": [f"s/{row + first}" for row in range(n)],
        "text": [f"{WORDS[k % len(WORDS)]}" for k in kind],
        "location": [f"city{k % 2}" for k in kind],
        "metadata": [json.dumps({"speed_max": row + 0.5, "kind": int(k)}) for row, k in enumerate(kind)],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
    }
    pq.write_table(pa.table(table), path)
    return path


@pytest.fixture
def blobs():
    """``blobs(n, kinds=5, dim=16, spread=0.1, seed=0)``: (n, dim) unit vectors, and the kind of each."""
    return _blobs


@pytest.fixture
def write_vectors():
    """``write_vectors(path, vectors, kind, first=0)``: Parquet with ids, texts and metadata."""
    return _write_vectors
