"""`map` of 100,000 x 256 against umap-learn's layout alone, which is given the graph; memory; new rows.

python benchmarks/map.py [--rows 100000] [--dim 256] [--added 1000]

Bars: all of `map` (reading, graph, layout, files, picture, page) at most 1.2 times what umap-learn takes for
`fit_transform` of the same graph with the same settings; memory at most 4 GB. Processor seconds are printed
too: other programs on the machine disturb them less. Then, on 8,000 rows: how well new ones are placed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MEMORY_BAR_GB, RATIO_BAR = 4.0, 1.2


def clustered(rows: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(rows, dim) unit vectors of 400 kinds in a space of 24 dimensions, and the kinds."""
    generator = np.random.default_rng(seed)
    centres, turn = generator.normal(size=(400, 24)), generator.normal(size=(24, dim)) / np.sqrt(24)
    kinds = generator.integers(0, 400, rows)
    vectors = np.empty((rows, dim), dtype=np.float32)
    for start in range(0, rows, 8192):
        some = kinds[start : start + 8192]
        inner = centres[some] + 0.35 * generator.normal(size=(len(some), 24))
        block = inner @ turn + 0.05 * generator.normal(size=(len(some), dim))
        vectors[start : start + 8192] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors, kinds


def ours(folder: Path) -> None:
    """The whole command, in this process."""
    from multimodal_search.cli import main

    assert main(["map", "--emb", str(folder / "v.npy"), "--out", str(folder / "map")]) == 0


def theirs(folder: Path) -> None:
    """umap-learn given the graph: its default start, the same neighbours, distances, seed."""
    from umap import UMAP

    vectors = np.load(folder / "v.npy")
    with np.load(folder / "graph.npz") as graph:
        knn = graph["rows"], graph["distances"]
    began, cpu = time.perf_counter(), time.process_time()
    reducer = UMAP(
        n_neighbors=15, min_dist=0.1, metric="cosine", precomputed_knn=knn, random_state=0, n_jobs=1
    )
    np.save(folder / "umap.npy", reducer.fit_transform(vectors))
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}))


def child(which: str, folder: Path) -> dict[str, float]:
    """One side in a process of its own: seconds, processor seconds, peak memory in GB."""
    began = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, __file__, "--side", which, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "seconds": time.perf_counter() - began,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }
    last = done.stdout.strip().splitlines()[-1]
    return {**found, **json.loads(last)} if last.startswith("{") else found


def kept(vectors: np.ndarray, places: np.ndarray, count: int = 1000) -> float:
    """Share of 15 nearest rows that are among the 30 nearest on the map."""
    from sklearn.neighbors import NearestNeighbors

    some = np.random.default_rng(1).choice(len(vectors), count, replace=False)
    scores = vectors[some] @ vectors.T
    scores[np.arange(count), some] = -2
    high = np.argpartition(-scores, 15, axis=1)[:, :15]
    low = NearestNeighbors(n_neighbors=31).fit(places).kneighbors(places[some], return_distance=False)[:, 1:]
    return float(np.mean([len(set(a) & set(b)) / 15 for a, b in zip(high, low, strict=True)]))


def main() -> None:
    """Print the ratio, the memory, what both maps keep of neighbourhoods, and how new rows fare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--side", choices=["ours", "theirs"])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side:
        (ours if options.side == "ours" else theirs)(options.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), options.rows, options.dim)
    added()


def told(figure: float, bar: float) -> str:
    """Whether a bar is held."""
    return f"(bar: at most {bar}: {'held' if figure <= bar else 'MISSED'})"


def overlapping(rows: int) -> np.ndarray:
    """(rows, 256) unit vectors of 60 kinds that run into each other."""
    generator = np.random.default_rng(5)
    centres, turn = generator.normal(size=(60, 8)), generator.normal(size=(8, 256)) / np.sqrt(8)
    inner = centres[generator.integers(0, 60, rows)] + 0.7 * generator.normal(size=(rows, 8))
    found = inner @ turn + 0.05 * generator.normal(size=(rows, 256))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def added() -> None:
    """Share of a new row's 15 nearest old rows that are among the 30 nearest to its place; three ways."""
    from sklearn.neighbors import NearestNeighbors
    from umap import UMAP

    from multimodal_search.analysis.map_adding import nearest_old, place

    for name, vectors in (("apart", clustered(9000, 256)[0]), ("overlapping", overlapping(9000))):
        old, new = vectors[:8000], vectors[8000:]
        reducer = UMAP(n_neighbors=15, metric="cosine", random_state=0, n_jobs=1).fit(old)
        places = reducer.embedding_.astype(np.float64)
        near, away = nearest_old(new, old, 15, "cosine")
        index = NearestNeighbors(n_neighbors=30).fit(places)
        began = time.perf_counter()
        transformed = reducer.transform(new)
        seconds = time.perf_counter() - began
        ways = {
            "ours": place(near, away, places),
            "mean": places[near].mean(axis=1),
            "transform": transformed,
        }
        print(f"  1,000 new rows, kinds {name}:", end="")
        for way, where in ways.items():
            low = index.kneighbors(where, return_distance=False)
            share = np.mean([len(set(a) & set(b)) / 15 for a, b in zip(near, low, strict=True)])
            print(f"  {way} {share:.3f}", end="")
        print(f"  (umap-learn's transform took {seconds:.1f} s)")


def measure(folder: Path, rows: int, dim: int) -> None:
    """Both sides, in turn."""
    import pyarrow.parquet as pq

    vectors, _ = clustered(rows, dim)
    np.save(folder / "v.npy", vectors)
    whole = child("ours", folder)
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    table = pq.read_table(folder / "map" / "map.parquet")
    info = json.loads((folder / "map" / "map_info.json").read_text())
    near = table["neighbors"].combine_chunks()
    graph = [np.asarray(near.field(one).flatten()).reshape(rows, -1) for one in ("ids", "distances")]
    own = np.arange(rows)[:, None]
    np.savez(
        folder / "graph.npz",
        rows=np.hstack([own, graph[0]]).astype(np.int32),
        distances=np.hstack([np.zeros((rows, 1)), graph[1]]).astype(np.float32),
    )
    alone = child("theirs", folder)
    places = np.stack([table[f"projection_{axis}"].to_numpy() for axis in "xy"], axis=1)
    print(f"{rows} x {dim}; graph recall as measured {info['graph_recall']}")
    print(f"  graph {info['graph_seconds']:.1f} s, layout {info['layout_seconds']:.1f} s of the whole")
    for what, found in (("map, all of it", whole), ("umap-learn's fit_transform, given the graph", alone)):
        print(f"  {what:<44} {found['seconds']:7.1f} s  {found['cpu']:7.1f} processor s")
    for what in ("seconds", "cpu"):
        ratio = whole[what] / alone[what]
        print(f"  ratio of {what:<8} {ratio:5.2f}  {told(ratio, RATIO_BAR)}")
    print(f"  peak memory {peak_gb:.2f} GB  {told(peak_gb, MEMORY_BAR_GB)}")
    print(f"  15 nearest kept among 30 on the map: ours {kept(vectors, places):.3f}, ", end="")
    print(f"umap-learn's {kept(vectors, np.load(folder / 'umap.npy')):.3f}")


if __name__ == "__main__":
    main()
