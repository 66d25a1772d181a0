"""One million pictures through the whole job: does memory grow, and how soon does a huge folder start work?

    python benchmarks/embed_memory.py
    python benchmarks/embed_memory.py --count 100000 --layout flat --engine local

The pictures are 16 x 16 PNGs (hard links to a few files, so that a million fit anywhere) and the encoder is
a vision transformer of one tiny layer: what is left is the job itself. Memory is the unique set size of the
coordinator and of every process below it, sampled each second; growth is from the moment that 10 % of the
rows are stored to the largest value after it. Bars: less than 100 MB, and work that starts in seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from peers.tiny_encoder import write_tiny_encoder
from PIL import Image

ROOT = Path(__file__).parents[1]
_LINKS_A_FILE = 50_000  # ext4 allows 65,000
_TREE_FILES = 1000  # a folder, with --layout tree


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at one moment.

    Attributes:
        rows: stored so far.
        coordinator_mb: of the command itself.
        workers_mb: of all its children.
    """

    seconds: float
    rows: int
    coordinator_mb: float
    workers_mb: float


def main() -> None:
    """Print memory over the run, its growth, and the seconds to the first part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--layout", choices=["tree", "flat"], default="flat")
    parser.add_argument("--engine", choices=["processes", "local"], default="processes")
    parser.add_argument("--rows-per-part", type=int, default=4096)
    parser.add_argument("--folder", type=Path, help="where files go (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        home = Path(folder)
        encoder = write_tiny_encoder(home / "encoder")
        few = pictures(home / "few", args.rows_per_part, "flat")
        print(f"making a {args.layout} folder of {args.count:,} pictures ...", flush=True)
        many = pictures(home / "many", args.count, args.layout)
        small = watched(args, encoder, few, home / "out-few")
        print(f"{args.rows_per_part} pictures alone: first part stored after {first(small):.1f} s")
        samples = watched(args, encoder, many, home / "out")
        report(samples, args.count, first(small))
        again = watched(args, encoder, many, home / "out")
        peak = max(one.coordinator_mb for one in again)
        print(f"again, with nothing left to do: {again[-1].seconds:.1f} s, coordinator {peak:.0f} MB")


def pictures(folder: Path, count: int, layout: str) -> Path:
    """``count`` files, in one folder or a thousand a folder."""
    random = np.random.default_rng(0)
    original = folder.with_name(f"{folder.name}-original")
    original.mkdir()
    for number in range(count):
        if number % _LINKS_A_FILE == 0:
            source = original / f"{number}.png"
            Image.fromarray(random.integers(0, 255, (16, 16, 3), np.uint8)).save(source)
        place = folder / f"{number // _TREE_FILES:05d}" if layout == "tree" else folder
        if number % _TREE_FILES == 0:
            place.mkdir(parents=True, exist_ok=True)
        os.link(source, place / f"{number:07d}.png")
    return folder


def watched(args: argparse.Namespace, encoder: str, folder: Path, out: Path) -> list[Sample]:
    """Run the command; memory each second until it ends.

    Raises:
        SystemExit: the command failed.
    """
    command = [sys.executable, "-m", "multimodal_search", "embed", "--image-dir", str(folder)]
    command += ["--encoder", encoder, "--out", str(out), "--engine", args.engine, "--device", "cpu"]
    command += ["--rows-per-part", str(args.rows_per_part), "--batch-size", "256"]
    log = out.with_suffix(".log")
    samples = []
    begin = time.monotonic()
    with log.open("w") as file:
        process = psutil.Popen(command, stdout=file, stderr=file, env={**os.environ, "PYTHONPATH": str(ROOT)})
        while process.poll() is None:
            samples.append(sample(process, out, args.rows_per_part, time.monotonic() - begin))
            time.sleep(0.2 if samples[-1].rows == 0 else 1)
    if process.returncode:
        sys.exit(log.read_text()[-3000:])
    print("  " + log.read_text().strip().splitlines()[-1])
    return samples


def sample(process: psutil.Process, out: Path, rows_per_part: int, seconds: float) -> Sample:
    """Now."""
    parts = sum(1 for entry in os.scandir(out) if entry.name.endswith(".parquet")) if out.is_dir() else 0
    children = process.children(recursive=True)
    workers = sum(memory_mb(child) for child in children)
    return Sample(seconds, parts * rows_per_part, memory_mb(process), workers)


def memory_mb(process: psutil.Process) -> float:
    """Unique set size; 0 of a process that is gone."""
    try:
        return float(process.memory_full_info().uss) / 1e6
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def first(samples: list[Sample]) -> float:
    """Seconds until the first part was stored."""
    return next((one.seconds for one in samples if one.rows), samples[-1].seconds)


def report(samples: list[Sample], count: int, alone_seconds: float) -> None:
    """Print the course and the bars."""
    print("    stored  seconds  coordinator MB  workers MB")
    for tenth in range(11):
        at = next((one for one in samples if one.rows >= count * tenth / 10), samples[-1])
        print(f"{at.rows:>10,}  {at.seconds:7.1f}  {at.coordinator_mb:14.0f}  {at.workers_mb:10.0f}")
    later = [one for one in samples if one.rows >= count / 10]
    grown = max(total(one) for one in later) - total(later[0])
    coordinator = max(one.coordinator_mb for one in later) - later[0].coordinator_mb
    print(f"growth from 10 % on: {grown:.0f} MB, of it the coordinator {coordinator:.0f} MB (bar: 100)")
    late = first(samples) - alone_seconds
    print(f"first part stored after {first(samples):.1f} s: {late:.1f} s of it for the size of the folder")


def total(one: Sample) -> float:
    """Of all processes, MB."""
    return one.coordinator_mb + one.workers_mb


if __name__ == "__main__":
    main()
