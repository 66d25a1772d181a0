"""The index on clustered vectors: recall, speed, memory, filters; beside plain Faiss IVF and hnswlib.

hnswlib is needed for its part only (``pip install hnswlib``). Every part runs in a process of its
own. What is made is kept in ``--work`` and used again.

    python benchmarks/index.py [--work build/index] [--rows 1000000] [--parts exact recall memory ...]
    python benchmarks/index.py --parts large --large-rows 10000000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.clustered import clustered, write_clustered
from multimodal_search import index
from multimodal_search.tables.vectors import open_vectors
from multimodal_search.types import FloatArray, IntArray

DIM, K, FRESH = 256, 10, 3000
Ask = Callable[[FloatArray], IntArray]


class Verdict:
    """Bars that were kept or missed."""

    missed = 0

    def line(self, what: str, value: float, bar: float, unit: str, *, least: bool = False) -> None:
        """Print one figure beside its bar."""
        kept = value >= bar if least else value <= bar
        self.missed += not kept
        sign = ">=" if least else "<="
        print(
            f"  {what:<44}{value:>9.3f} {unit:<4} bar {sign} {bar:g}: {'kept' if kept else 'MISSED'}",
            flush=True,
        )


def fresh(count: int = FRESH, seed: int = 77, spread: float = 0.6) -> FloatArray:
    """Queries that nothing was tuned with."""
    return next(clustered(count, DIM, seed=seed, spread=spread))


def exact(path: Path, queries: FloatArray, mask: FloatArray | None = None) -> IntArray:
    """(n, 10) nearest rows at full precision."""
    import faiss

    vectors = np.load(path, mmap_mode="r")
    best = np.full((len(queries), K), -np.inf, np.float32)
    rows = np.full((len(queries), K), -1, np.int64)
    for start in range(0, len(vectors), 131_072):
        block = np.asarray(vectors[start : start + 131_072], dtype=np.float32)
        if mask is not None:
            kept = np.flatnonzero(mask[start : start + len(block)])
            block = block[kept]
        if not len(block):
            continue
        near, found = faiss.knn(queries, block, min(K, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        found = start + (found if mask is None else kept[found])
        both = np.concatenate([best, near], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :K]
        best = np.take_along_axis(both, order, 1)
        rows = np.take_along_axis(np.concatenate([rows, found], axis=1), order, 1)
    return rows


def recall(found: IntArray, right: IntArray) -> float:
    """Share of the right rows that are found."""
    there = [set(row[row >= 0]) for row in right]
    return float(
        np.mean([len(set(row) & true) / max(1, len(true)) for row, true in zip(found, there, strict=True)])
    )


def milliseconds(asks: dict[str, Ask], queries: FloatArray, rounds: int = 5) -> dict[str, FloatArray]:
    """Name -> (n,) each query's fastest of some rounds; the engines take turns, a hundred queries each."""
    took = {name: np.full((rounds, len(queries)), np.inf) for name in asks}
    for turn in range(rounds):
        for low in range(0, len(queries), 100):
            for name, ask in asks.items():
                ask(queries[low : low + 1])
                for place in range(low, min(low + 100, len(queries))):
                    one = queries[place : place + 1]
                    started = time.perf_counter()
                    ask(one)
                    took[name][turn, place] = 1e3 * (time.perf_counter() - started)
    return took


def percentiles(took: FloatArray) -> tuple[float, float]:
    """Median and 95th percentile, of the median round of each query."""
    each = np.median(took, axis=0)
    return float(np.percentile(each, 50)), float(np.percentile(each, 95))


def part_exact(work: Path, options: argparse.Namespace, verdict: Verdict) -> None:
    """34,149 x 256 on one core."""
    import faiss

    rows = 34_149
    write_clustered(work / "exact.npy", rows)
    built = index.build(open_vectors(work / "exact.npy"), work / "exact.faiss")
    plain = faiss.IndexFlatIP(DIM)
    plain.add(np.load(work / "exact.npy"))
    queries = fresh(300)
    took = milliseconds(
        {"ours": lambda q: built.search(q[0], K).rows, "plain": lambda q: plain.search(q, K)[1]}, queries
    )
    ours, other = percentiles(took["ours"])[0], percentiles(took["plain"])[0]
    print(f"{rows} x {DIM}, {built.info['kind']} {built.info['dtype']}, one core")
    verdict.line("p50", ours, 10, "ms")
    verdict.line("p50 / plain Faiss flat", ours / other, 1.3, "x")
    verdict.line(
        "recall@10",
        recall(built.search(queries, K).rows, exact(work / "exact.npy", queries)),
        0.999,
        "",
        least=True,
    )


def part_recall(work: Path, options: argparse.Namespace, verdict: Verdict) -> None:
    """``auto`` on 100k and on ``--rows``: the recall, and whether the printed figure is true."""
    for rows in sorted({100_000, options.rows}):
        source = work / f"{rows}.npy"
        write_clustered(source, rows, spread=options.spread)
        started = time.perf_counter()
        watch = Peak()
        built = index.build(open_vectors(source), work / f"{rows}.faiss")
        minutes = (time.perf_counter() - started) / 60
        queries = fresh(spread=options.spread)
        measured = recall(built.search(queries, K).rows, exact(source, queries))
        info = built.info
        print(
            f"{rows} x {DIM}: {info['kind']} {info['dtype']}, "
            f"printed recall {info['recall']}, {info['bytes']:,} bytes"
        )
        verdict.line("recall@10, fresh queries", measured, 0.95, "", least=True)
        verdict.line("printed - fresh", abs(info["recall"] - measured), 0.01, "")
        verdict.line("build", minutes, 10, "min")
        print(f"  peak memory while building, above the baseline: {watch.stop() / 1e9:.2f} GB")


def part_memory(work: Path, options: argparse.Namespace, verdict: Verdict) -> None:
    """Resident memory of an open index after thousands of queries."""
    queries = fresh(5000, spread=options.spread)
    import faiss  # noqa: F401  its libraries are no part of an index
    import pyarrow.ipc  # noqa: F401

    process = psutil.Process()
    before = process.memory_info().rss
    started = time.perf_counter()
    opened = index.load(work / f"{options.rows}.faiss")
    opened.search(queries[0], K)
    first = time.perf_counter() - started
    for query in queries:
        opened.search(query, K)
    held = process.memory_info().rss - before
    print(
        f"{options.rows} x {DIM}: {held / 1e6:.0f} MB resident; opened and asked once in {1e3 * first:.0f} ms"
    )
    verdict.line("memory / fp16 vectors", held / (2 * DIM * options.rows), 1.2, "x")


def part_filters(work: Path, options: argparse.Namespace, verdict: Verdict) -> None:
    """Recall and time among some rows: at random, and those most like or unlike the queries' side."""
    source = work / f"{options.rows}.npy"
    opened = index.load(work / f"{options.rows}.faiss")
    queries = fresh(300, spread=options.spread)
    generator = np.random.default_rng(3)
    side = np.load(source, mmap_mode="r") @ generator.standard_normal(DIM).astype(np.float32)
    print(f"{options.rows} x {DIM}, {opened.info['kind']}, among some rows")
    for share in (0.5, 0.05, 0.005, 0.0001):
        count = max(1, round(share * options.rows))
        scattered = np.zeros(options.rows, bool)
        scattered[generator.choice(options.rows, count, replace=False)] = True
        for name, mask in {
            "at random": scattered,
            "on one side": side >= np.partition(side, -count)[-count],
        }.items():
            right = exact(source, queries, mask)
            found = np.stack(
                [
                    np.resize(np.pad(opened.search(q, K, allowed=mask).rows, (0, K), constant_values=-1), K)
                    for q in queries
                ]
            )
            took = milliseconds(
                {"ours": lambda q, mask=mask: opened.search(q[0], K, allowed=mask).rows}, queries[:100], 3
            )
            p50, p95 = percentiles(took["ours"])
            verdict.line(f"{100 * share:g} % {name}: recall@10", recall(found, right), 0.95, "", least=True)
            print(f"    p50 {p50:.2f} ms, p95 {p95:.2f} ms")


class Peak(threading.Thread):
    """The process' own memory (not mapped files), watched every 20 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.process, self.done = psutil.Process(), threading.Event()
        self.baseline = self.highest = self._now()
        self.start()

    def _now(self) -> int:
        memory = self.process.memory_info()
        return int(memory.rss - getattr(memory, "shared", 0))

    def run(self) -> None:
        """Until ``stop``."""
        while not self.done.wait(0.02):
            self.highest = max(self.highest, self._now())

    def stop(self) -> int:
        """Bytes above the baseline at the worst moment."""
        self.done.set()
        return self.highest - self.baseline


def part_speed(work: Path, options: argparse.Namespace, verdict: Verdict) -> None:
    """Ours, plain Faiss IVF and hnswlib at one recall, in turns."""
    from benchmarks.peers.index_peers import at_recall, faiss_ivf, hnsw

    source = work / f"{options.rows}.npy"
    opened = index.load(work / f"{options.rows}.faiss")
    queries = fresh(spread=options.spread)
    right = exact(source, queries)
    least = recall(opened.search(queries, K).rows, right)
    asks: dict[str, Ask] = {"ours": lambda q: opened.search(q[0], K).rows}
    print(f"{options.rows} x {DIM}: ours, recall {least:.4f}, nprobe {opened.info.get('nprobe')}")
    process = psutil.Process()
    for name in options.peers:
        before = process.memory_info().rss
        made = faiss_ivf(source, work, opened.info["lists"]) if name == "faiss-ivf" else hnsw(source, work)
        if name == "faiss-ivf":

            def ask(q: FloatArray, knob: int, made: object = made) -> IntArray:
                made.nprobe = knob
                return made.search(q, K)[1]

        else:

            def ask(q: FloatArray, knob: int, made: object = made) -> IntArray:
                made.set_ef(max(K, knob))
                return made.knn_query(q, K, num_threads=1 if len(q) == 1 else -1)[0].astype(np.int64)

        knob, reached = at_recall(ask, lambda found: recall(found, right), queries, least)
        ask(queries[:1], knob)
        asks[name] = lambda q, made=made, name=name: (
            made.search(q, K)[1] if name == "faiss-ivf" else made.knn_query(q, K, num_threads=1)[0]
        )
        held = process.memory_info().rss - before
        print(f"  {name}: recall {reached:.4f} at {knob}, {held / 1e6:.0f} MB", flush=True)
    took = milliseconds(asks, queries[:1000])
    p50, p95 = percentiles(took["ours"])
    verdict.line("p50", p50, 5, "ms")
    verdict.line("p95", p95, 15, "ms")
    for name in options.peers:
        other = percentiles(took[name])
        print(f"  {name}: p50 {other[0]:.3f} ms, p95 {other[1]:.3f} ms")
        verdict.line(f"p50 / {name} at equal recall", p50 / other[0], 1.0, "x")


def part_large(work: Path, options: argparse.Namespace, verdict: Verdict) -> None:
    """Ten million: made in parts, built within 8 GB, asked at recall 0.9."""
    rows = options.large_rows
    source, place = work / f"{rows}.npy", work / f"{rows}.faiss"
    write_clustered(source, rows)
    if not index.is_index(place):
        watch = Peak()
        started = time.perf_counter()
        index.build(open_vectors(source), place, target_recall=0.9, memory_budget_bytes=options.large_budget)
        print(f"  built in {(time.perf_counter() - started) / 60:.1f} min")
        verdict.line("memory while building", watch.stop() / 1e9, 8, "GB")
    opened = index.load(place)
    queries = fresh(1000)
    for query in queries:  # what is asked for often lies in memory
        opened.search(query, K)
    found = opened.search(queries, K).rows
    p50, p95 = percentiles(
        milliseconds({"ours": lambda q: opened.search(q[0], K).rows}, queries[:500], 3)["ours"]
    )
    print(
        f"{rows} x {DIM}: {opened.info['kind']}, {opened.info['bytes']:,} bytes, "
        f"printed recall {opened.info['recall']}"
    )
    verdict.line("recall@10, fresh queries", recall(found, exact(source, queries)), 0.9, "", least=True)
    verdict.line("p50", p50, 20, "ms")
    print(f"  p95 {p95:.2f} ms; {psutil.Process().memory_info().rss / 1e9:.2f} GB resident")


PARTS = {
    "exact": part_exact,
    "recall": part_recall,
    "memory": part_memory,
    "speed": part_speed,
    "filters": part_filters,
    "large": part_large,
}


def main() -> int:
    """Print the figures; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/index"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large-rows", type=int, default=10_000_000)
    parser.add_argument(
        "--large-budget", type=int, default=None, help="bytes the index of ten million may take"
    )
    parser.add_argument(
        "--spread", type=float, default=0.6, help="how far the members of a cluster lie apart"
    )
    parser.add_argument("--peers", nargs="*", default=["faiss-ivf", "hnswlib"])
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=["exact", "recall", "memory", "speed", "filters"]
    )
    options = parser.parse_args()
    if len(options.parts) == 1:
        verdict = Verdict()
        PARTS[options.parts[0]](options.work, options, verdict)
        return min(verdict.missed, 1)
    missed = 0
    for part in options.parts:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"} if part == "exact" else dict(os.environ)
        words = [word for word in sys.argv if word not in options.parts and word != "--parts"]
        missed += subprocess.run(
            [sys.executable, *words, "--parts", part], env=environment, check=False
        ).returncode
    print("all bars kept" if not missed else f"bars missed in {missed} parts")
    return min(missed, 1)


if __name__ == "__main__":
    raise SystemExit(main())
