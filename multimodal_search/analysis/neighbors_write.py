"""The neighbours of every row as files: one Parquet, and a CSV a row."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.analysis.graph import Graph
from multimodal_search.analysis.neighbors_paths import file_paths
from multimodal_search.storage import output_error, write_atomically

PARQUET = "neighbors.parquet"
_BLOCK_ROWS = 65_536
_SYNC_ROWS = 16_384
_HEADER = "query_id,neighbor_id,distance\n"
_QUOTED = re.compile(r'[",\r\n]')


def write_parquet(path: Path, ids: Sequence[str], graph: Graph) -> int:
    """Columns ``query_id``, ``neighbor_id``, ``distance``, by row and nearest first; returns the count.

    Raises:
        OutputError: the disk is full or not writable.
    """
    schema = pa.schema(
        [("query_id", pa.string()), ("neighbor_id", pa.string()), ("distance", pa.float32())],
        {
            "metric": graph.metric,
            "topk": str(graph.rows.shape[1]),
            "exact": str(graph.exact).lower(),
            "recall": f"{graph.recall:.4f}",
        },
    )
    names = pa.array(ids, pa.string())
    count = 0
    with write_atomically(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, len(ids), _BLOCK_ROWS):
            near = graph.rows[start : start + _BLOCK_ROWS]
            own, place = np.nonzero(near >= 0)
            columns = [
                names.take(pa.array(own + start)),
                names.take(pa.array(near[own, place])),
                pa.array(graph.distances[start : start + _BLOCK_ROWS][own, place]),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            count += len(own)
    return count


def write_csvs(folder: Path, ids: Sequence[str], graph: Graph, *, first: int = 0) -> Iterator[int]:
    """A CSV a row, from row ``first`` on, in the ids' own folders.

    Yields:
        How many rows are on the disk for good, now and then and at the end: where to go on after a kill.

    Raises:
        OutputError: the disk is full or not writable.
    """
    paths = file_paths(ids, reserved=[PARQUET, "search_all.json", "search_all.log"])
    shown = [_field(one) for one in ids]
    made: set[str] = {"."}
    for start in range(first, len(ids), _SYNC_ROWS):
        stop = min(start + _SYNC_ROWS, len(ids))
        near, away = graph.rows[start:stop].tolist(), graph.distances[start:stop].tolist()
        for row in range(start, stop):
            own = shown[row]
            lines = [
                f"{own},{shown[other]},{distance:.7g}\n"
                for other, distance in zip(near[row - start], away[row - start], strict=True)
                if other >= 0
            ]
            _write(folder, paths[row], _HEADER + "".join(lines), made)
        os.sync()  # once for many: syncing each file of a million takes an hour
        yield stop


def _write(folder: Path, path: str, text: str, made: set[str]) -> None:
    parent = os.path.dirname(path)  # noqa: PTH120  a million of them: Path costs more than the writing
    target = f"{folder}/{path}"
    try:
        if parent not in made:
            os.makedirs(f"{folder}/{parent}", exist_ok=True)  # noqa: PTH103
            made.add(parent)
        # no temporary file: what a kill cuts short lies behind the noted row, and is written again
        with open(target, "wb", buffering=0) as file:  # noqa: PTH123
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise output_error(error, Path(target)) from error


def _field(one: str) -> str:
    return '"' + one.replace('"', '""') + '"' if _QUOTED.search(one) else one
