"""An index of ours as the ranking of a search: in a bundle, or on its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from multimodal_search.index import Index, is_index, load
from multimodal_search.index.backends.base import Searchable
from multimodal_search.index.metric import prepared
from multimodal_search.search.ranking import ExactRanking, IndexRanking
from multimodal_search.search.rows import Ranker
from multimodal_search.tables import FeatureTable
from multimodal_search.types import BoolArray, FloatArray, IntArray

logger = logging.getLogger(__name__)

INDEX_FILE = "index.faiss"
_COMPARED = 16
_ALIKE = 0.99  # an index may keep vectors in few bits
_NONE: IntArray = np.empty(0, dtype=np.int64)


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
    if not _same_rows(index, table):
        logger.warning(
            "%s is of other rows than the bundle's vectors and is not used; "
            "'multimodal-search index --embeddings %s' makes a new one.",
            path,
            folder.parent,
        )
        return None
    return index


def _same_rows(index: Index, table: FeatureTable) -> bool:
    """Whether the ids are the same, and a few of the vectors: other heads over one encoder make others."""
    if index.dim != table.info.dim or index.columns["id"].to_pylist() != table.ids:
        return False
    few = np.unique(np.linspace(0, len(table) - 1, _COMPARED).astype(np.int64)) if len(table) else _NONE
    few = few[index.usable[few]]
    own, other = (prepared(one, "cosine") for one in (index.vectors(few), table.gather(few)))
    return bool((np.einsum("ij,ij->i", own, other) > _ALIKE).all())


def ranker_of(index: Searchable | None, rows: IntArray) -> Ranker | None:
    """An index over these of its rows, for ``Rows``; None without one."""
    if index is None:
        return None
    return lambda query, allowed, scan: index_ranking(index, query, allowed, scan, rows)


def index_ranking(
    index: Searchable,
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
