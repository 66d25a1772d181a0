"""The engines behind ``index --backend`` over the same 100k x 768: seconds to load, recall@10, ms a query.

Recall is against an exact scan; the filter keeps one row in a thousand. Queries go one by one through the
same call (``Backend.search``), so that the times include this library's part. ``again``: the same upload when
every row is there (what a resumed upload costs for rows that need not be sent). Qdrant's local mode compares
every row in NumPy: it shows what is right, not what is fast; a server is not measured here.

    python benchmarks/backends.py [--rows 100000] [--dim 768] [--queries 200] [--backends faiss-flat,edge]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from multimodal_search.filters import Filter, parse
from multimodal_search.index.backends import Backend, open_backend
from multimodal_search.index.backends.local import IndexBackend
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import BoolArray, FloatArray

K = 10
SHARE = 1000
RECALL_LIMIT = 0.95
ALL = ("faiss-flat", "faiss-auto", "edge")  # qdrant-memory takes seconds a query: ask for it by name


def make(rows: int, dim: int, queries: int) -> tuple[VectorSet, FloatArray]:
    """Clusters of about a hundred rows; a query is a row with noise. Scenes lie across the clusters."""
    generator = np.random.default_rng(0)
    count = max(1, rows // 100)
    array = generator.standard_normal((rows, dim), dtype=np.float32) * np.float32(0.7)
    array += generator.standard_normal((count, dim), dtype=np.float32)[generator.integers(0, count, rows)]
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    asked = array[generator.integers(0, rows, queries)]
    asked += generator.standard_normal(asked.shape, dtype=np.float32) * np.float32(0.5 / dim**0.5)
    scenes = generator.permutation(rows) % SHARE
    columns = pa.table({"scene_id": [f"scene-{one:04}" for one in scenes], "speed": scenes / 10.0})
    ids = [f"moment:{row:08}" for row in range(rows)]
    return VectorSet(
        "made here", ids, dim, lambda some: array[some], fingerprint="0" * 64, columns=columns
    ), asked


def exact(vectors: VectorSet, queries: FloatArray, keep: BoolArray | None = None) -> list[set[str]]:
    """The ids of the ``K`` nearest."""
    likeness = queries @ vectors.array().T
    if keep is not None:
        likeness[:, ~keep] = -np.inf
    best = np.argpartition(-likeness, K, axis=1)[:, :K]
    found = np.isfinite(np.take_along_axis(likeness, best, axis=1))
    return [{vectors.ids[row] for row in some[good]} for some, good in zip(best, found, strict=True)]


def asked(
    backend: Backend, queries: FloatArray, truth: list[set[str]], where: Filter | None
) -> tuple[float, ...]:
    """recall@10, p50 and p95 in milliseconds."""
    for query in queries[:10]:
        backend.search(query, K, where=where)
    seconds, hits = [], 0
    for query, wanted in zip(queries, truth, strict=True):
        started = time.perf_counter()
        found = backend.search(query, K, where=where)
        seconds.append(time.perf_counter() - started)
        hits += len(wanted & set(found.ids.tolist()))
    cuts = statistics.quantiles(seconds, n=20)
    return hits / sum(map(len, truth)), 1e3 * statistics.median(seconds), 1e3 * cuts[18]


def opened(name: str, home: Path) -> Backend:
    """An empty backend."""
    if name.startswith("faiss"):
        return IndexBackend(home / f"{name}.faiss", kind=name.partition("-")[2])
    if name == "edge":
        return open_backend("qdrant-edge", str(home / "edge"))
    return open_backend("qdrant", ":memory:", collection="moments")


def main() -> int:
    """Print a row a backend; exit 1 where one misses the recall."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--backends", default=",".join(ALL))
    given = parser.parse_args()
    vectors, queries = make(given.rows, given.dim, given.queries)
    where = parse("scene_id == 'scene-0007'")
    assert vectors.columns is not None
    keep = where.mask(vectors.columns)
    everything, few = exact(vectors, queries), exact(vectors, queries, keep)
    print(f"{given.rows} x {given.dim}, {given.queries} queries, the filter keeps {int(keep.sum())} rows")
    print(f"{'':<14} {'load s':>7} {'again s':>7} {'MB':>6}  recall p50/p95 ms     filtered p50/p95 ms")
    missed = False
    for name in given.backends.split(","):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            backend = opened(name, home)
            started = time.perf_counter()
            backend.upload(vectors)
            loaded = time.perf_counter()
            backend.upload(vectors)
            again = time.perf_counter() - loaded
            recall, p50, p95 = asked(backend, queries, everything, None)
            inside, p50_inside, p95_inside = asked(backend, queries, few, where)
            megabytes = sum(one.stat().st_size for one in home.rglob("*") if one.is_file()) / 1e6
            backend.close()
        print(
            f"{name:<14} {loaded - started:7.1f} {again:7.1f} {megabytes:6.0f}  "
            f"{recall:.3f} {p50:6.1f}/{p95:.1f}   {inside:.3f} {p50_inside:6.1f}/{p95_inside:.1f}",
            flush=True,
        )
        missed |= min(recall, inside) < RECALL_LIMIT
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
