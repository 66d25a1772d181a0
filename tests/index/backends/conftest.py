"""Every backend, empty, and a set of vectors with metadata of every type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from multimodal_search.index.backends import Backend, open_backend
from multimodal_search.index.backends.local import IndexBackend
from multimodal_search.tables.vectors import VectorSet

KINDS = ["edge", "qdrant-memory", "qdrant-folder", "faiss-flat", "faiss-ivfflat"]
Open = Callable[..., Backend]


def vector_set(
    vectors: Any,
    ids: list[str] | None = None,
    columns: pa.Table | None = None,
    fingerprint: str | None = "f" * 64,
) -> VectorSet:
    array = np.asarray(vectors, dtype=np.float32)
    names = [f"row-{row}" for row in range(len(array))] if ids is None else ids
    return VectorSet(
        "memory", names, array.shape[1], lambda rows: array[rows], fingerprint=fingerprint, columns=columns
    )


def opened(kind: str, folder: Path, **options: Any) -> Backend:
    if kind.startswith("faiss"):
        options.pop("rows", None)  # an index numbers its own
        return IndexBackend(folder / "moments.faiss", kind=kind.partition("-")[2], **options)
    if kind == "edge":
        return open_backend("qdrant-edge", str(folder / "edge"), **options)
    url = ":memory:" if kind == "qdrant-memory" else str(folder / "qdrant")
    return open_backend("qdrant", url, collection="moments", **options)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    for module in ("qdrant_client", "qdrant_edge", "faiss"):
        pytest.importorskip(module)
    return str(request.param)


@pytest.fixture
def open_it(kind: str, tmp_path: Path) -> Iterator[Open]:
    """Open the backend; a folder can be opened again once the one before is closed."""
    there: list[Backend] = []

    def do(**options: Any) -> Backend:
        there.append(opened(kind, tmp_path, **options))
        return there[-1]

    yield do
    for one in there:
        one.close()


def sample(count: int = 400, dim: int = 24, seed: int = 0) -> VectorSet:
    """Clustered vectors; scenes of 20 rows, numbers, truth values, times, and rows without a value."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(10, dim))
    vectors = centres[rng.integers(0, 10, count)] + 0.3 * rng.normal(size=(count, dim))
    row = np.arange(count)
    columns = pa.table(
        {
            "scene_id": [f"scene-{one // 20}" for one in row],
            "timestamp_us": pa.array(1_600_000_000_000_000 + row * 500_000, pa.int64()),
            "taken": pa.array((1_600_000_000_000_000 + row * 500_000).tolist(), pa.timestamp("us", "UTC")),
            "night": pa.array([None if one % 7 == 0 else bool(one % 2) for one in row]),
            "text": ["a long description of what happens, the same in every single row " * 2] * count,
            "metadata": [
                json.dumps({"speed": one / 4, "tags": ["a", f"b{one % 3}"], "mixed": "x" if one % 2 else one})
                for one in row.tolist()
            ],
        }
    )
    return vector_set(vectors, [f"moment:{one}" for one in row], columns)
