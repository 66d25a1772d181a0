"""``vector_db.json`` of 34,149 moments, two modalities, 256-d: memory above the baseline, time; it loads.

Peer: ``json.dump`` of the same list, on 1/16 of the moments (all of them would hold several GB).

    python benchmarks/vector_db.py [--moments 34149]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from multimodal_search.export.moments import MomentVectors, describe
from multimodal_search.export.vector_db import write_vector_db
from multimodal_search.types import Item, Modality

DIM = 256
LIMIT_MB = 200.0


def make(moments: int) -> tuple[list[Item], dict[Modality, MomentVectors]]:
    """Items like nuScenes keyframes and random unit vectors."""
    generator = np.random.default_rng(0)
    items = [
        Item(
            id=f"scene-{i // 40:04d}/{1_532_402_927_647_951 + i * 500_000}",
            scene_id=f"scene-{i // 40:04d}",
            timestamp_us=1_532_402_927_647_951 + i * 500_000,
            image_path=f"samples/CAM_FRONT/n015-2018-07-24-11-22-45+0800__CAM_FRONT__{i:016d}.jpg",
            text=("Parked truck, construction, intersection, turn left, following a van",),
            location="singapore-onenorth",
            metadata={"log": "n015-2018-07-24-11-22-45+0800"},
        )
        for i in range(moments)
    ]
    vectors = {}
    for modality in (Modality.IMAGE, Modality.TEXT):
        raw = generator.normal(size=(moments, DIM)).astype(np.float32)
        raw /= np.linalg.norm(raw, axis=1, keepdims=True)
        vectors[modality] = MomentVectors(raw, np.arange(moments))
    return items, vectors


class Peak(threading.Thread):
    """The process' resident memory, watched every 5 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process()
        self.baseline = self.highest = self.process.memory_info().rss
        self.done = threading.Event()

    def run(self) -> None:
        """Until ``done`` is set."""
        while not self.done.wait(0.005):
            self.highest = max(self.highest, self.process.memory_info().rss)

    def above_mb(self) -> float:
        """Stop watching; megabytes above the baseline at the worst moment."""
        self.done.set()
        self.join()
        return float(max(self.highest, self.process.memory_info().rss) - self.baseline) / 1e6


def peer(path: Path, items: list[Item], vectors: dict[Modality, MomentVectors]) -> None:
    """The list built in memory, then ``json.dump``."""
    entries = [
        {**describe(item), "type": modality.value, "vec": [round(x, 7) for x in one.vectors[i].tolist()]}
        for i, item in enumerate(items)
        for modality, one in vectors.items()
    ]
    with path.open("w", encoding="utf-8") as file:
        json.dump(entries, file, ensure_ascii=False)


def main() -> int:
    """Print the figures; 1 where the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=34_149)
    count = parser.parse_args().moments
    items, vectors = make(count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vector_db.json"
        watch = Peak()
        watch.start()
        started = time.perf_counter()
        entries = write_vector_db(path, items, vectors)
        seconds = time.perf_counter() - started
        above = watch.above_mb()
        size = path.stat().st_size / 1e6

        part = max(1, count // 16)
        watch = Peak()
        watch.start()
        started = time.perf_counter()
        peer(Path(folder) / "peer.json", items[:part], vectors)
        peer_seconds = (time.perf_counter() - started) * count / part
        peer_above = watch.above_mb() * count / part

        started = time.perf_counter()
        with path.open(encoding="utf-8") as file:
            loaded = json.load(file)
        load_seconds = time.perf_counter() - started
    assert len(loaded) == entries == 2 * count
    error = max(
        float(np.abs(np.array(loaded[2 * i]["vec"]) - vectors[Modality.IMAGE].vectors[i]).max())
        for i in range(0, count, max(1, count // 100))
    )
    print(f"{entries} entries, {size:.0f} MB")
    print(f"{'':<22}{'ours':>10}{'json.dump':>12}{'limit':>8}{'ratio':>8}")
    print(
        f"{'MB above baseline':<22}{above:>10.0f}{peer_above:>12.0f}"
        f"{LIMIT_MB:>8.0f}{above / peer_above:>8.3f}"
    )
    print(f"{'seconds':<22}{seconds:>10.1f}{peer_seconds:>12.1f}{'':>8}{seconds / peer_seconds:>8.3f}")
    print(f"json.load reads it in {load_seconds:.1f} s; largest difference to the vectors {error:.1e}")
    print("within the limit" if above <= LIMIT_MB else "OVER THE LIMIT")
    return 0 if above <= LIMIT_MB else 1


if __name__ == "__main__":
    raise SystemExit(main())
