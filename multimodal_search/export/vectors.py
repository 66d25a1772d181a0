"""``vectors/``: the database as a feature table, and as a faiss index where faiss is there."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.export.moments import MomentVectors, jsonable, primary_text
from multimodal_search.index import build, file_folder
from multimodal_search.projectors.bundle import BundleInfo
from multimodal_search.tables import TableInfo, open_vectors, write_table
from multimodal_search.types import FloatArray, Item, Modality

VECTORS_FOLDER = "vectors"
INDEX_FILE = "index.faiss"
_BLOCK_ROWS = 16_384

Block = tuple[Sequence[str], FloatArray, Mapping[str, Sequence[Any]]]


def write_vectors(
    folder: Path,
    items: Sequence[Item],
    vectors: Mapping[Modality, MomentVectors],
    info: BundleInfo,
    heads: Sequence[Path] = (),
) -> int:
    """Write one row a modality a moment: all of one modality, in the order of items, then of the next.

    A row's id is ``<modality>:<item id>``; its columns are ``type``, ``moment_id``, ``scene_id``, ``text``,
    ``image_path``, ``series_path``, ``location``, ``timestamp_us`` and ``metadata`` (JSON). ``index.faiss``
    is one index of all rows, numbered as they are: a search among one modality's rows names those, which lie
    together and cost no more than they do alone.

    Args:
        heads: the files of the heads that made the vectors; other heads give another fingerprint.

    Returns:
        How many rows were written.

    Raises:
        OutputError: the disk is full or not writable.
    """
    dim = next((one.vectors.shape[1] for one in vectors.values()), 0)
    (folder / INDEX_FILE).unlink(missing_ok=True)
    shutil.rmtree(file_folder(folder / INDEX_FILE), ignore_errors=True)
    table = write_table(
        folder,
        TableInfo(fingerprint=_fingerprint(info, heads), dim=dim, source=dict(info.data)),
        _blocks(items, vectors),
    )
    if len(table) and find_spec("faiss") is not None:
        build(open_vectors(folder), folder / INDEX_FILE)
    return len(table)


def _fingerprint(info: BundleInfo, heads: Sequence[Path]) -> str:
    """Of all encoders and heads together: the common space has no single one."""
    each = {modality.value: one.fingerprint for modality, one in info.encoders.items()}
    each |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in heads}
    return hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest()


def _blocks(items: Sequence[Item], vectors: Mapping[Modality, MomentVectors]) -> Iterator[Block]:
    for modality, one in vectors.items():
        present = np.flatnonzero(one.rows >= 0)
        for start in range(0, len(present), _BLOCK_ROWS):
            some = present[start : start + _BLOCK_ROWS]
            mine = [items[index] for index in some]
            yield (
                [f"{modality.value}:{item.id}" for item in mine],
                one.vectors[one.rows[some]],
                _columns(modality, mine),
            )


def _columns(modality: Modality, items: Sequence[Item]) -> dict[str, Sequence[Any]]:
    return {
        "type": [modality.value] * len(items),
        "moment_id": [item.id for item in items],
        "scene_id": [item.scene_id for item in items],
        "text": [primary_text(item) for item in items],
        "image_path": [item.image_path for item in items],
        "series_path": [item.series_path for item in items],
        "location": [item.location for item in items],
        "timestamp_us": [item.timestamp_us for item in items],
        "metadata": [json.dumps(jsonable(item.metadata), ensure_ascii=False) for item in items],
    }
