"""A million rows: memory stays flat while they are written, and while they become one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import threading
from pathlib import Path

import numpy as np
import psutil

from multimodal_search.tables import (
    PlannedTable, TableInfo, open_table, part_name, write_planned_part, write_single_file
)

INFO, ROWS, PER_PART, DIM = TableInfo("f" * 40, 64, dtype="float16"), 1_000_000, 4096, 64
folder = Path(sys.argv[1])


def megabytes():
    return psutil.Process().memory_info().rss / 1e6


def run():
    vectors, marks = np.ones((PER_PART, DIM), np.float16), []
    with PlannedTable(folder / "t", INFO) as table:
        for index, start in enumerate(range(0, ROWS, PER_PART)):
            ids = [f"folder/{i:09}.jpg" for i in range(start, min(start + PER_PART, ROWS))]
            keys = [f"{i}:1732423102" for i in range(len(ids))]
            name = part_name(ids, keys)
            if not table.has(name) and not table.known(ids, keys)[0].all():
                part = write_planned_part(
                    table.store, INFO, name, index, ids, keys, vectors[: len(ids)], {}, []
                )
                table.add(part, 0)
            marks.append(megabytes())
    return marks


marks = run()
print("written", marks[-1] - marks[len(marks) // 10])
before = megabytes()
with PlannedTable(folder / "t", INFO) as table:
    known, _ = table.known(["folder/000000007.jpg", "other"], ["", ""])
    assert known.tolist() == [True, False]
    print("index", table._index.nbytes / 1e6)
for suffix in (".npy", ".parquet"):
    peak, stop = [0.0], threading.Event()

    def watch():
        while not stop.wait(0.02):
            peak[0] = max(peak[0], megabytes())

    thread = threading.Thread(target=watch)
    thread.start()
    before = megabytes()
    write_single_file(open_table(folder / "t", verify=False), folder / f"x{suffix}")
    stop.set()
    thread.join()
    print(suffix, peak[0] - before)
"""


@pytest.mark.slow
def test_a_million_rows_in_flat_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    grown = {name: float(megabytes) for name, megabytes in map(str.split, done.stdout.splitlines())}
    assert grown["written"] < 20
    assert grown["index"] < 40
    assert grown[".npy"] < 150  # the table itself has 128 MB, and a row's number and hash take 24 bytes
    assert grown[".parquet"] < 250
