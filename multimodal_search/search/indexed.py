"""An index of ours as the ranking of a search: in a bundle, or on its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from multimodal_search.index import Index, is_index, load
from multimodal_search.search.ranking import ExactRanking, IndexRanking
from multimodal_search.tables import FeatureTable
from multimodal_search.types import BoolArray, FloatArray, IntArray

logger = logging.getLogger(__name__)

INDEX_FILE = "index.faiss"


def index_of(folder: Path, table: FeatureTable) -> Index | None:
    """The index beside a bundle's vectors; None where there is none, or none that knows these rows.

    Raises:
        EncoderError: its vectors are of other encoders than the bundle's.
        BundleError: it is damaged.
    """
    path = folder / INDEX_FILE
    if not is_index(path):
        return None
    if find_spec("faiss") is None:
        logger.info("The bundle's index is not used: faiss is not installed (extra: index).")
        return None
    index = load(path)
    index.verify_fingerprint(table.info.fingerprint)
    if index.dim != table.info.dim or index.columns["id"].to_pylist() != table.ids:
        logger.warning(
            "%s is of other rows than the bundle's vectors and is not used; "
            "'multimodal-search index --embeddings %s' makes a new one.",
            path,
            folder.parent,
        )
        return None
    return index


def index_ranking(
    index: Index,
    query: FloatArray,
    allowed: BoolArray | None,
    scan: Callable[[], ExactRanking],
    rows: IntArray | None = None,
) -> IndexRanking:
    """Rank a query's rows through an index.

    Args:
        allowed: over the rows that are numbered here; None allows all.
        scan: the exact ranking of the same rows.
        rows: ascending, the index' numbers of the rows that are numbered 0 .. n - 1 here; None: the same.
    """
    mask = allowed
    if rows is not None and len(rows) < len(index):
        mask = np.zeros(len(index), dtype=np.bool_)
        mask[rows if allowed is None else rows[allowed]] = True
    there = int(np.count_nonzero(index.usable if mask is None else index.usable & mask))

    def ask(count: int) -> tuple[IntArray, FloatArray]:
        found = index.search(query, count, allowed=mask)
        likenesses = -np.square(found.scores) if index.metric == "l2" else found.scores
        local = found.rows if rows is None else np.searchsorted(rows, found.rows)
        return np.asarray(local, dtype=np.int64), likenesses

    return IndexRanking(ask, scan, there)
