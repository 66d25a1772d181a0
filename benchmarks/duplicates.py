"""``duplicates`` of 1M x 256: minutes, memory, and the share of planted near-duplicates that are found.

The rows are clusters of about a hundred; a tenth of them are near-duplicates (families of 2 to 6, cosines
about 0.99) planted at random places. Measured by the whole command in a process of its own: seconds,
peak memory, planted pairs whose two rows are in one group, and, for a sample of rows, all their true pairs,
found by comparing them with every row.

    python benchmarks/duplicates.py [--rows 1000000] [--dim 256] [--hash]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.types import FloatArray, IntArray

LIMIT_SECONDS = 600.0
LIMIT_GB = 4.0
THRESHOLD = 0.98
ASKED = 1000


def make(rows: int, dim: int) -> tuple[FloatArray, IntArray]:
    """(rows, dim) unit vectors, and the family of each row (its own number where it is alone)."""
    generator = np.random.default_rng(0)
    count = max(1, rows // 100)
    array = generator.standard_normal((rows, dim), dtype=np.float32) * np.float32(0.7)
    array += generator.standard_normal((count, dim), dtype=np.float32)[generator.integers(0, count, rows)]
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    family = np.arange(rows)
    places = generator.permutation(rows)[: rows // 10]
    at = 0
    while at < len(places):
        members = places[at : at + int(generator.integers(2, 7))]
        family[members] = members[0]
        at += len(members)
    copies = np.flatnonzero(family != np.arange(rows))
    noise = generator.standard_normal((len(copies), dim), dtype=np.float32) * np.float32(0.1 / dim**0.5)
    array[copies] = array[family[copies]] + noise
    array[copies] /= np.linalg.norm(array[copies], axis=1, keepdims=True)
    return array, family


def peak_gb(process: subprocess.Popen[bytes], highest: list[float]) -> None:
    """Watch the memory that is the process' own (a file mapped for reading is the system's) and all of it."""
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            info = watched.memory_info()
        except psutil.NoSuchProcess:
            return
        highest[0] = max(highest[0], (info.rss - info.shared) / 1e9)
        highest[1] = max(highest[1], info.rss / 1e9)
        time.sleep(0.05)


def planted_pairs(array: FloatArray, family: IntArray) -> npt.NDArray[np.int64]:
    """(pairs, 2) of one family whose cosine reaches the threshold."""
    order = np.argsort(family, kind="stable")
    found = []
    for shift in range(1, 6):
        one, other = order[:-shift], order[shift:]
        same = family[one] == family[other]
        one, other = one[same], other[same]
        near = np.einsum("nd,nd->n", array[one], array[other]) >= THRESHOLD
        found.append(np.stack([one[near], other[near]], axis=1))
    return np.concatenate(found)


def true_pairs(array: FloatArray) -> npt.NDArray[np.int64]:
    """(pairs, 2) of sampled rows with all rows."""
    asked = np.sort(np.random.default_rng(1).permutation(len(array))[:ASKED])
    found = []
    for start in range(0, len(array), 65_536):
        one, other = np.nonzero(array[asked] @ array[start : start + 65_536].T >= THRESHOLD)
        found.append(np.stack([asked[one], other + start], axis=1))
    pairs = np.concatenate(found)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def main() -> int:
    """Print the figures; 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--hash", action="store_true", help="also compare random picture hashes")
    given = parser.parse_args()
    array, family = make(given.rows, given.dim)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        place = home / "x.npy"
        if given.hash:
            place = home / "x.parquet"
            bits = np.random.default_rng(2).integers(0, 2**63, given.rows, dtype=np.uint64)[family]
            columns = {
                "id": [str(row) for row in range(given.rows)],
                "phash": [f"{one:016x}" for one in bits.tolist()],
                "embedding": pa.FixedSizeListArray.from_arrays(array.ravel(), given.dim),
            }
            pq.write_table(pa.table(columns), place)
            del columns
        else:
            np.save(place, array)
        command = [sys.executable, "-m", "multimodal_search", "duplicates", "--emb", str(place)]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--out", str(home / "out"), "--threshold", str(THRESHOLD)],
            env={**os.environ, "OMP_NUM_THREADS": "2"},
        )
        highest = [0.0, 0.0]
        watch = threading.Thread(target=peak_gb, args=(process, highest))
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.join()
        if process.returncode:
            return 1
        summary = json.loads((home / "out/summary.json").read_text())
        group = np.arange(given.rows) + given.rows
        with (home / "out/duplicates.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                group[int(row["id"])] = int(row["group"])
    print(
        f"{given.rows} x {given.dim}: {summary['n_groups']} groups, {summary['n_duplicates']} near-duplicates"
    )
    processor = usage.ru_utime + usage.ru_stime
    print(f"{'seconds':<34}{seconds:>9.0f}  (limit {LIMIT_SECONDS:.0f}; of the processor {processor:.0f})")
    print(f"{'GB, without the mapped file':<34}{highest[0]:>9.2f}  (limit {LIMIT_GB})")
    print(f"{'GB, with it':<34}{highest[1]:>9.2f}")
    print(f"{'recall of the graph, as printed':<34}{summary['recall']:>9.4f}")
    for name, pairs in (("planted", planted_pairs(array, family)), ("true, of a sample", true_pairs(array))):
        share = float((group[pairs[:, 0]] == group[pairs[:, 1]]).mean())
        print(f"{f'{name} pairs in one group':<34}{share:>9.4f}  of {len(pairs)}")
    return 0 if seconds <= LIMIT_SECONDS and highest[0] <= LIMIT_GB else 1


if __name__ == "__main__":
    raise SystemExit(main())
