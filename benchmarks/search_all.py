"""``search-all`` of 100k x 384: seconds against Faiss' own exact batch search of the same rows.

Ours is the whole command's work: reading ``.npy``, the graph of neighbours, and the Parquet file; the CSV
files (one a row) are stated apart. Faiss gets normalised rows in memory and writes nothing. Both use two
threads; the two are run in turns, and the medians compared.

    python benchmarks/search_all.py [--rows 100000] [--dim 384] [--turns 3] [--csv]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq

from multimodal_search.analysis.neighbors_all import search_all
from multimodal_search.settings import SearchAllSettings
from multimodal_search.types import FloatArray

LIMIT = 1.3
TOPK = 10


def make(rows: int, dim: int) -> FloatArray:
    """Clusters of about a hundred rows, as drives make them."""
    generator = np.random.default_rng(0)
    count = max(1, rows // 100)
    array = generator.standard_normal((rows, dim), dtype=np.float32) * np.float32(0.7)
    array += generator.standard_normal((count, dim), dtype=np.float32)[generator.integers(0, count, rows)]
    return array


def ours(home: Path, *, csv: bool) -> tuple[float, float, list[str]]:
    """Seconds, processor seconds, and the neighbours' ids."""
    shutil.rmtree(home / "out", ignore_errors=True)
    shutil.rmtree(home / ".neighbours", ignore_errors=True)
    started, used = time.perf_counter(), time.process_time()
    search_all(SearchAllSettings(embeddings=str(home / "x.npy"), out=home / "out", topk=TOPK, csv=csv))
    seconds, used = time.perf_counter() - started, time.process_time() - used
    return seconds, used, pq.read_table(home / "out/neighbors.parquet")["neighbor_id"].to_pylist()


def peer(array: FloatArray) -> tuple[float, float, FloatArray]:
    """Faiss' flat index asked for all rows at once: one neighbour more, as a row finds itself."""
    unit = array / np.linalg.norm(array, axis=1, keepdims=True)
    started, used = time.perf_counter(), time.process_time()
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    _, found = index.search(unit, TOPK + 1)
    return time.perf_counter() - started, time.process_time() - used, found[:, 1:]


def main() -> int:
    """Print the figures; 1 where the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--csv", action="store_true", help="also time the CSV files")
    given = parser.parse_args()
    faiss.omp_set_num_threads(2)
    array = make(given.rows, given.dim)
    walls: dict[str, list[float]] = {"ours": [], "faiss": []}
    used: dict[str, list[float]] = {"ours": [], "faiss": []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        np.save(home / "x.npy", array)
        for _ in range(given.turns):
            wall, processor, names = ours(home, csv=False)
            walls["ours"].append(wall)
            used["ours"].append(processor)
            wall, processor, rows = peer(array)
            walls["faiss"].append(wall)
            used["faiss"].append(processor)
        same = float(np.mean(np.array(names, dtype=np.int64).reshape(len(array), TOPK) == rows))
        print(f"{given.rows} x {given.dim}, top {TOPK}, medians of {given.turns}; same neighbours {same:.5f}")
        for name in walls:
            wall, processor = statistics.median(walls[name]), statistics.median(used[name])
            print(f"{name:<6}{wall:>9.1f} s{processor:>9.1f} processor s")
        ratio = statistics.median(walls["ours"]) / statistics.median(walls["faiss"])
        print(f"ratio {ratio:.2f} (limit {LIMIT})")
        if given.csv:
            started = time.perf_counter()
            search_all(SearchAllSettings(embeddings=str(home / "x.npy"), out=home / "out", topk=TOPK))
            seconds = time.perf_counter() - started
            print(f"CSV files: {seconds:.1f} s more, {given.rows / seconds:.0f} a second")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
