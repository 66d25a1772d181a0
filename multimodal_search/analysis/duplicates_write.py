"""The files of ``duplicates``: groups, what to keep, leaks, and a summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal_search.analysis.rows import write_csv
from multimodal_search.settings import DuplicatesSettings
from multimodal_search.storage import write_atomically, write_json
from multimodal_search.tables import VectorSet
from multimodal_search.tables.files.npy import escaped

if TYPE_CHECKING:
    from multimodal_search.analysis.duplicates import Duplicates

GROUPS = "duplicates.csv"
KEEP = "keep.txt"
LEAKS = "leaks.csv"
SUMMARY = "duplicates_summary.json"


def write_results(
    folder: Path, vectors: VectorSet, found: Duplicates, settings: DuplicatesSettings
) -> dict[str, Any]:
    """Write all of them, ``duplicates_summary.json`` last; returns what it holds.

    Raises:
        OutputError: the disk is full or not writable.
    """
    (folder / SUMMARY).unlink(missing_ok=True)
    ids = vectors.ids
    rows = [
        (number, ids[row], ids[group.rows[0]], f"{cosine:.6f}" if found.graph is not None else "", by)
        for number, group in enumerate(found.groups)
        for row, cosine, by in zip(group.rows.tolist(), group.cosines.tolist(), group.by, strict=True)
    ]
    write_csv(folder / GROUPS, ["group", "id", "representative", "similarity", "by"], rows)
    keep = np.ones(len(ids), dtype=np.bool_)
    for group in found.groups:
        keep[group.rows[1:]] = False
    with write_atomically(folder / KEEP) as file:
        for row in np.flatnonzero(keep).tolist():
            file.write(f"{escaped(ids[row])}\n".encode("utf-8", "backslashreplace"))
    if found.leaks is None:
        (folder / LEAKS).unlink(missing_ok=True)
    else:
        leaks = [
            (ids[one.row], one.split, ids[one.other], one.other_split, f"{one.cosine:.6f}", one.by)
            for one in found.leaks
        ]
        write_csv(folder / LEAKS, ["id", "split", "other_id", "other_split", "similarity", "by"], leaks)
    summary = _summary(vectors, found, settings, int(keep.sum()))
    write_json(folder / SUMMARY, summary)
    return summary


def _summary(
    vectors: VectorSet, found: Duplicates, settings: DuplicatesSettings, kept: int
) -> dict[str, Any]:
    sizes = [len(group.rows) for group in found.groups]
    return {
        "n_total": len(vectors),
        "n_groups": len(sizes),
        "n_duplicates": sum(sizes) - len(sizes),
        "n_keep": kept,
        "n_unusable": int((~vectors.usable()).sum()),
        "largest_group": max(sizes, default=0),
        "n_pairs_seen": found.pairs,
        "n_leaks": None if found.leaks is None else len(found.leaks),
        "split_column": settings.split_column,
        "by": settings.by,
        "threshold": settings.threshold,
        "hash_distance": settings.hash_distance,
        "exact": None if found.graph is None else found.graph.exact,
        "recall": None if found.graph is None else round(found.graph.recall, 4),
        "fingerprint": vectors.fingerprint,
    }
