"""``clusters.csv`` and ``summary.json``: which row is in which cluster, and what the clusters are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.analysis.colours import NOISE
from multimodal_search.analysis.rows import read_by_id, write_csv
from multimodal_search.errors import DataError
from multimodal_search.types import FloatArray, IntArray

CLUSTERS_FILE, SUMMARY_FILE = "clusters.csv", "summary.json"


def write_clusters(path: Path, ids: Sequence[str], labels: IntArray, prob: FloatArray) -> None:
    """``specimen_id, cluster_id, prob``; -1 is noise.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = [
        [name, label, f"{share:.4f}"]
        for name, label, share in zip(ids, labels.tolist(), prob.tolist(), strict=True)
    ]
    write_csv(path, ["specimen_id", "cluster_id", "prob"], rows)


def read_labels(path: Path, ids: Sequence[str], column: str = "label") -> list[str | None]:
    """A label a row from ``id,label``; None where the file does not know the row.

    Raises:
        DataError: no such file or columns; none of the ids is known.
    """
    known = read_by_id(path, column)
    found = [known.get(name) for name in ids]
    if all(one is None for one in found):
        raise DataError(
            f"None of the {len(known)} ids is among the {len(ids)} rows.",
            where=path,
            remedy=f"ids here are such as {ids[0]!r}, there such as {next(iter(known), '')!r}",
        )
    return found


def cluster_labels(path: Path, ids: Sequence[str]) -> list[str | None]:
    """``3: rain, night`` a row, from a ``clusters.csv`` and the ``summary.json`` beside it.

    Raises:
        DataError: no such file or columns; none of the ids is known.
    """
    names = _names(path.with_name(SUMMARY_FILE))
    labels = read_labels(path, ids, "cluster_id")
    return [one if one is None else NOISE if one == "-1" else names.get(one, one) for one in labels]


def _names(path: Path) -> dict[str, str]:
    try:
        clusters: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["clusters"]
        return {str(one["cluster_id"]): f"{one['cluster_id']}: {one['name']}" for one in clusters}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # names are an addition; without them clusters have their numbers


def noise_ratio(labels: IntArray) -> float:
    """Share of rows in no cluster."""
    return float(np.mean(labels < 0)) if len(labels) else 0.0
