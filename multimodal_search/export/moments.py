"""Every moment's vectors in the common space, shared by the database, the map and the table of vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_search.types import FloatArray, IntArray, Item, Modality, MomentFeatures

Project = Callable[[Modality, FloatArray], FloatArray]

_BLOCK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class MomentVectors:
    """One modality in the common space.

    Attributes:
        vectors: (rows, dim) float32, each of length one.
        rows: (items,) the row of each item, -1 where it has none; several items may share a row.
    """

    vectors: FloatArray
    rows: IntArray


def project_moments(features: MomentFeatures, project: Project) -> dict[Modality, MomentVectors]:
    """Each item's primary row of each modality through its head, block by block.

    Rows that come out as zeros or not finite are left out: a zero vector is no answer to anything.
    """
    out = {}
    for modality, one in features.sets.items():
        primary = one.primary_rows(len(features.items))
        used, back = np.unique(primary[primary >= 0], return_inverse=True)
        blocks = [
            np.asarray(project(modality, one.vectors[used[start : start + _BLOCK_ROWS]]), dtype=np.float32)
            for start in range(0, len(used), _BLOCK_ROWS)
        ]
        if not blocks:
            continue
        vectors = np.concatenate(blocks)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        usable = np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)
        vectors /= np.where(usable[:, None], norms, 1.0)
        rows = np.full(len(features.items), -1, dtype=np.int64)
        rows[primary >= 0] = np.where(usable[back], back, -1).reshape(-1)
        out[modality] = MomentVectors(vectors, rows)
    return out


def describe(item: Item) -> dict[str, Any]:
    """What the bundle's files say of a moment besides its vector; JSON-ready."""
    known: dict[str, Any] = {
        "id": item.id,
        "scene_id": item.scene_id,
        "text": primary_text(item),
        "image_path": item.image_path,
    }
    if item.location is not None:
        known["location"] = item.location
    if item.timestamp_us is not None:
        known["timestamp_us"] = int(item.timestamp_us)
    if item.metadata:
        known["metadata"] = jsonable(item.metadata)
    return known


def primary_text(item: Item) -> str:
    """The first description, empty where there is none."""
    return item.text[0] if item.text else ""


def jsonable(value: Any) -> Any:
    """Values that any JSON reader takes: NaN and infinity become null, the unknown becomes text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [jsonable(one) for one in value]
    return str(value)
