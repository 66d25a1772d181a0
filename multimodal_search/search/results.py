"""Hits as a file: CSV and Parquet with a row a moment, JSON with all that is known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import SettingsError
from multimodal_search.search.hits import Hit
from multimodal_search.storage import write_atomically

FORMATS = (".csv", ".json", ".parquet")
_SCHEMA = pa.schema(
    [
        ("rank", pa.int64()),
        ("id", pa.string()),
        ("scene_id", pa.string()),
        ("score", pa.float64()),
        ("start_us", pa.int64()),
        ("end_us", pa.int64()),
        ("timestamp_us", pa.int64()),
        ("frames", pa.list_(pa.string())),
        ("text", pa.string()),
        ("image_path", pa.string()),
        ("series_path", pa.string()),
        ("location", pa.string()),
        ("metadata", pa.string()),
    ]
)


def check_format(path: Path) -> None:
    """Refuse a name whose format is unknown, before anything is computed.

    Raises:
        SettingsError: it ends otherwise.
    """
    if path.suffix not in FORMATS:
        raise SettingsError(f"--out {path}: unknown format.", remedy=f"end the name in {', '.join(FORMATS)}")


def write_hits(path: Path, hits: Sequence[Hit]) -> Path:
    """Write the hits, best first; in CSV and Parquet the metadata is JSON.

    Raises:
        SettingsError: the format is unknown.
        OutputError: the file cannot be written.
    """
    check_format(path)
    with write_atomically(path) as file:
        file.write(hits_as(path.suffix, hits))
    return path


def hits_as(suffix: str, hits: Sequence[Hit]) -> bytes:
    """The content of such a file; ``suffix`` is one of ``FORMATS``."""
    if suffix == ".json":
        rows = [{"rank": rank, **hit.to_json()} for rank, hit in enumerate(hits, start=1)]
        return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")
    if suffix == ".parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(_rows(hits), schema=_SCHEMA), sink)
        return sink.getvalue()
    return _csv(_rows(hits)).encode("utf-8", "backslashreplace")


def _rows(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    return [
        {**hit.to_json(), "rank": rank, "metadata": json.dumps(hit.metadata, ensure_ascii=False)}
        for rank, hit in enumerate(hits, start=1)
    ]


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _SCHEMA.names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "frames": json.dumps(row["frames"], ensure_ascii=False)})
    return text.getvalue()
