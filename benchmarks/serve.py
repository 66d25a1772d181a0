"""The search page's API under load: seconds to the first answer, times of queries, memory, the map.

    python benchmarks/serve.py --bundle output [--moments 34149] [--seconds 60] [--workers 1]

The bundle's encoders and heads serve ``--moments`` moments whose vectors lie near those of its own: the
sample bundle of ``make demo`` will do. Clients run in a process of their own, on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from multimodal_search.export.moments import MomentVectors
from multimodal_search.export.scenes_map import write_scenes_map
from multimodal_search.export.vectors import write_vectors
from multimodal_search.projectors.bundle import read_bundle_info
from multimodal_search.tables import open_vectors
from multimodal_search.types import Item, Modality

FRAMES = 40  # a scene, half a second apart, as nuScenes' keyframes
WORDS = (
    "rain",
    "night",
    "turn left",
    "truck",
    "pedestrians",
    "tunnel",
    "雪",
    "hard braking",
    "motorway",
    "bus",
)
P50_MS, P99_MS, START_SECONDS, MAP_SECONDS = 30.0, 100.0, 5.0, 2.0


def grown(bundle: Path, out: Path, count: int) -> Path:
    """The bundle with ``count`` moments."""
    shutil.copytree(
        bundle, out, ignore=shutil.ignore_patterns("vectors", "sample_data", "checkpoints", "logs")
    )
    own = open_vectors(bundle / "vectors")
    assert own.columns is not None
    known = own.columns.to_pylist()
    kinds = np.array([one["type"] for one in known])
    images = np.flatnonzero(kinds == "image")
    items = []
    for number in range(count):
        like = known[images[number % len(images)]]
        items.append(
            Item(
                id=f"scene-{number // FRAMES:04d}/{number:06d}",
                scene_id=f"scene-{number // FRAMES:04d}",
                timestamp_us=1_532_402_927_000_000 + number * 500_000,
                image_path=like["image_path"],
                text=(like["text"],),
                series_path=like["series_path"],
                location=like["location"],
                metadata=json.loads(like["metadata"] or "{}") | {"speed_max": float(number % 97)},
            )
        )
    generator = np.random.default_rng(0)
    vectors = {}
    for modality in Modality:
        rows = np.flatnonzero(kinds == modality.value)
        if not len(rows):
            continue
        moved = np.asarray(own.gather(rows), dtype=np.float32)[np.arange(count) % len(rows)]
        moved = moved + 0.03 * generator.standard_normal(moved.shape).astype(np.float32)
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        vectors[modality] = MomentVectors(moved, np.arange(count))
    write_vectors(out / "vectors", items, vectors, read_bundle_info(bundle))
    first = np.arange(0, count, FRAMES)
    write_scenes_map(out / "scenes_with_umap.json", items, first, generator.standard_normal((len(first), 2)))
    return out


class Server:
    """The command in a process of its own."""

    def __init__(self, bundle: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "multimodal_search", "serve", "--bundle", str(bundle), "--port", "0"]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, "--device", "cpu", "--rate-per-second", "100000", *flags],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(bundle.parent / "cache")},
        )
        assert self.process.stdout is not None
        self.url = re.search(r"http://\S+", self.process.stdout.readline()).group()  # type: ignore[union-attr]

    def memory_mb(self) -> float:
        """Its processes' own pages; those of libraries and vectors are shared with whoever maps them."""
        own = psutil.Process(self.process.pid)
        return sum(one.memory_full_info().uss for one in [own, *own.children(recursive=True)]) / 1e6

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def body(number: int) -> dict[str, Any]:
    words = f"{WORDS[number % len(WORDS)]} {WORDS[number // 7 % len(WORDS)]}"
    return {"parts": [{"text": words}], "k": 10}


async def asked(client: httpx.AsyncClient, number: int, found: list[tuple[float, int]]) -> None:
    started = time.perf_counter()
    try:
        status = (await client.post("/search", json=body(number))).status_code
    except httpx.HTTPError:
        status = 599
    found.append((1000 * (time.perf_counter() - started), status))


async def at_rate(url: str, per_second: float, seconds: float) -> list[tuple[float, int]]:
    """Queries that come whether the former are answered or not."""
    found: list[tuple[float, int]] = []
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        for number in range(20):
            await asked(client, number, [])
        begin, tasks = time.perf_counter(), []
        for number in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, begin + number / per_second - time.perf_counter()))
            tasks.append(asyncio.create_task(asked(client, number, found)))
        await asyncio.gather(*tasks)
    return found


async def at_once(url: str, clients: int, seconds: float) -> list[tuple[float, int]]:
    """Clients that ask again as soon as they have their answer."""
    found: list[tuple[float, int]] = []
    ends = time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)

    async def one(first: int, client: httpx.AsyncClient) -> None:
        number = first
        while time.perf_counter() < ends:
            await asked(client, number, found)
            number += clients

    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits) as client:
        await asyncio.gather(*(one(first, client) for first in range(clients)))
    return found


def report(name: str, found: list[tuple[float, int]], seconds: float) -> tuple[float, float]:
    times = np.array([time for time, _ in found])
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    statuses = {str(status): [s for _, s in found].count(status) for status in sorted({s for _, s in found})}
    print(
        f"{name}: {len(found)} queries, {len(found) / seconds:.0f}/s, p50 {p50:.1f} ms, p95 {p95:.1f} ms, "
        f"p99 {p99:.1f} ms, statuses {statuses}"
    )
    return float(p50), float(p99)


def start_seconds(bundle: Path) -> float:
    """From the command to its first answer."""
    server = Server(bundle)
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        assert client.post("/search", json=body(0), timeout=60).status_code == 200
    seconds = time.perf_counter() - server.started
    server.end()
    return seconds


def map_seconds(bundle: Path) -> float:
    """The first ``/map`` of a server that just started."""
    server = Server(bundle)
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        client.get("/healthz")
        begin = time.perf_counter()
        content = client.get("/map").content
        seconds = time.perf_counter() - begin
    server.end()
    assert content[:8] == b"MMSMAP01"
    return seconds


def main() -> int:
    """Measure, print, and say which bars are met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--moments", type=int, default=34_149)
    parser.add_argument("--map-points", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    met = []
    starts = sorted(start_seconds(args.bundle) for _ in range(3))
    met.append(("start to first answer", starts[1], START_SECONDS, "s"))
    with tempfile.TemporaryDirectory() as home:
        bundle = grown(args.bundle, Path(home) / "grown", args.moments)
        server = Server(bundle, "--workers", str(args.workers))
        found = asyncio.run(at_rate(server.url, 20, args.seconds / 2))
        p50, p99 = report("20 queries a second", found, args.seconds / 2)
        met += [("p50", p50, P50_MS, "ms"), ("p99", p99, P99_MS, "ms")]
        memory = [server.memory_mb()]
        errors = 0
        for third in range(3):
            found = asyncio.run(at_once(server.url, args.clients, args.seconds / 3))
            report(f"{args.clients} clients, part {third + 1}", found, args.seconds / 3)
            errors += sum(status >= 500 for _, status in found)
            memory.append(server.memory_mb())
        print("memory, MB: " + ", ".join(f"{one:.0f}" for one in memory))
        met += [
            ("errors of the server", errors, 0, ""),
            ("memory of the last third", memory[3] - memory[2], 20, "MB"),
        ]
        server.end()
        large = grown(args.bundle, Path(home) / "large", args.map_points)
        met.append((f"map of {args.map_points} points", map_seconds(large), MAP_SECONDS, "s"))
    print(f"load after: {os.getloadavg()[0]:.1f}")
    for name, value, bar, unit in met:
        print(f"{'met   ' if value <= bar else 'MISSED'} {name}: {value:.2f} {unit} (bar {bar:g})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
