"""``duplicates``: groups of near-duplicates, what to keep, and what leaks between splits."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multimodal_search.analysis.duplicates_groups import Group, find_groups
from multimodal_search.analysis.duplicates_hash import parse_hashes
from multimodal_search.analysis.duplicates_leaks import Leak, find_leaks
from multimodal_search.analysis.duplicates_pairs import Likeness, pairs_of_graph, pairs_of_hashes
from multimodal_search.analysis.duplicates_write import write_results
from multimodal_search.analysis.graph import Graph, neighbour_graph, shared_graph
from multimodal_search.errors import DataError, SettingsError
from multimodal_search.filters.fields import flatten
from multimodal_search.settings import DuplicatesSettings
from multimodal_search.storage import ensure_writable_folder
from multimodal_search.tables import VectorSet, open_vectors
from multimodal_search.types import IntArray

_log = logging.getLogger(__name__)

_K = 16
_PHASH = "phash"
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found among the rows.

    Attributes:
        groups: in the order of their lowest rows; a row is in one at most.
        pairs: how many near-duplicate pairs were seen.
        leaks: pairs of near-duplicates in different splits; None where no split was named.
        graph: None where embeddings were not compared.
    """

    groups: list[Group]
    pairs: int
    leaks: list[Leak] | None
    graph: Graph | None


def find_and_write(settings: DuplicatesSettings) -> Duplicates:
    """Read vectors, find near-duplicates, write the folder.

    Raises:
        DataError: there are no vectors, or hashes that are none.
        SettingsError: hashes or a split that the rows do not have.
        OutputError: the folder cannot be written.
    """
    vectors = open_vectors(settings.embeddings, ids=settings.ids, modality=settings.modality)
    folder = ensure_writable_folder(settings.out)
    started = time.monotonic()
    found = find_duplicates(vectors, settings)
    summary = write_results(folder, vectors, found, settings)
    _log.info(
        "%d rows: %d groups with %d near-duplicates, %d to keep, in %.1f s -> %s",
        len(vectors),
        len(found.groups),
        summary["n_duplicates"],
        summary["n_keep"],
        time.monotonic() - started,
        folder,
    )
    if summary["n_unusable"]:
        _log.warning("%d rows are zero or not finite, and were not compared", summary["n_unusable"])
    if found.leaks:
        _log.warning("%d pairs leak between splits: leaks.csv", len(found.leaks))
    return found


def find_duplicates(vectors: VectorSet, settings: DuplicatesSettings) -> Duplicates:
    """Groups of rows whose cosine reaches ``threshold``, or whose hashes are ``hash_distance`` bits apart.

    Raises:
        DataError: hashes that are none.
        SettingsError: hashes or a split that the rows do not have.
    """
    likeness = _likeness(vectors, settings)
    splits = None if settings.split_column is None else _splits(vectors, settings.split_column)
    graph = None
    first, second = np.empty(0, np.int64), np.empty(0, np.int64)
    if likeness.vectors is not None and len(vectors):
        graph = shared_graph(vectors, _K, "cosine", exact=settings.exact, beside=Path(settings.out))
        if not graph.exact:
            _log.info("recall of the neighbours, measured: %.4f", graph.recall)
        first, second = pairs_of_graph(graph, settings.threshold)
    if likeness.hashes is not None:
        first, second = _joined(
            len(vectors),
            (first, second),
            pairs_of_hashes(likeness.hashes, likeness.hashed, likeness.most_bits),
        )
    groups = find_groups(len(vectors), first, second, likeness)
    if graph is not None:
        first, second, groups = _join_crowds(vectors, graph, (first, second), groups, likeness)
    leaks = None if splits is None else find_leaks(splits, first, second, groups, likeness)
    return Duplicates(groups, len(first), leaks, graph)


def _join_crowds(
    vectors: VectorSet,
    graph: Graph,
    pairs: tuple[IntArray, IntArray],
    groups: list[Group],
    likeness: Likeness,
) -> tuple[IntArray, IntArray, list[Group]]:
    """Rows with more near-duplicates than the graph holds: their representatives are compared once more."""
    crowded = graph.distances[:, -1] <= 1 - likeness.threshold + 1e-6
    for _ in range(_ROUNDS):
        centres = np.array([group.rows[0] for group in groups if crowded[group.rows].any()], dtype=np.int64)
        if len(centres) < 2:
            break
        near = neighbour_graph(vectors.select(centres), _K, "cosine")
        one, other = pairs_of_graph(near, likeness.threshold)
        more = _joined(len(vectors), pairs, (centres[one], centres[other]))
        if len(more[0]) == len(pairs[0]):
            break
        pairs = more
        groups = find_groups(len(vectors), *pairs, likeness)
    return *pairs, groups


def _joined(
    n: int, some: tuple[IntArray, IntArray], others: tuple[IntArray, IntArray]
) -> tuple[IntArray, IntArray]:
    first, second = (np.concatenate(both) for both in zip(some, others, strict=True))
    codes = np.unique(np.minimum(first, second) * n + np.maximum(first, second))
    return codes // max(n, 1), codes % max(n, 1)


def _likeness(vectors: VectorSet, settings: DuplicatesSettings) -> Likeness:
    names = [] if vectors.columns is None else vectors.columns.column_names
    if settings.by == "phash" and _PHASH not in names:
        raise SettingsError(
            "These rows have no perceptual hashes.",
            where=vectors.location,
            remedy="embed with --hash phash, or compare embeddings: --by embedding",
        )
    hashes, hashed = None, np.zeros(len(vectors), dtype=np.bool_)
    if settings.by != "embedding" and vectors.columns is not None and _PHASH in names:
        hashes, hashed = parse_hashes(vectors.columns[_PHASH].to_pylist(), where=vectors.location)
    return Likeness(
        None if settings.by == "phash" else vectors,
        settings.threshold,
        hashes,
        hashed,
        settings.hash_distance,
    )


def _splits(vectors: VectorSet, name: str) -> list[str | None]:
    if vectors.columns is None:
        raise DataError(
            f"These vectors have no metadata, so no {name!r}.",
            where=vectors.location,
            remedy="name a feature table, a bundle or a Parquet file with this column",
        )
    column = flatten(vectors.columns).column(name)
    found: list[str | None] = [None] * len(vectors)
    for values in column.kinds.values():
        for row, value in enumerate(values.to_pylist()):
            if value is not None:
                found[row] = str(value)
    return found
