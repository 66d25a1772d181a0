"""Building an index: one pass over the vectors, then the kind that was asked for or chosen."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import BundleError, SettingsError
from multimodal_search.index import engine, filling
from multimodal_search.index.choice import Choice, choose
from multimodal_search.index.index import Index
from multimodal_search.index.lock import writing
from multimodal_search.index.metric import Metric
from multimodal_search.index.names import write_names
from multimodal_search.index.opened import open_state
from multimodal_search.index.state import Files, Segment, State, new_file
from multimodal_search.index.stored import Stored, read_prepared, with_masks, write_vectors
from multimodal_search.index.tuning import tuned
from multimodal_search.storage import ensure_writable_folder
from multimodal_search.tables.vectors import VectorSet

_log = logging.getLogger(__name__)

_FEWEST_ROWS = 40  # fewer teach no lists, and are compared one by one


def build(
    vectors: VectorSet,
    out: str | Path,
    *,
    kind: str = "auto",
    metric: Metric = "cosine",
    memory_budget_bytes: int | None = None,
    target_recall: float = 0.95,
    seed: int = 0,
) -> Index:
    """Build an index of all rows; one that is there is replaced when the new one is whole.

    Args:
        out: the Faiss file; ``<out>.files`` beside it gets ids, metadata and vectors.
        kind: ``auto``, ``flat``, ``hnsw``, ``ivfflat``, ``ivfpq`` or ``sq8``.
        metric: ``cosine``, ``l2`` or ``ip``.
        memory_budget_bytes: most memory that the index itself may take; vectors on the disk do not count.
        target_recall: recall@10 against exact search that ``nprobe`` or ``ef`` is tuned to.
        seed: of the samples that train and measure it.

    Raises:
        SettingsError: a kind that does not fit, a budget that nothing fits into.
        DataError: vectors that cannot be read.
        OutputError: the disk is full or not writable, or another run writes here.
        MissingDependencyError: Faiss is not installed.
    """
    engine.faiss()
    if not 0 < target_recall <= 1:
        raise SettingsError(f"The target recall must lie over 0 and at most at 1, not at {target_recall}.")
    choice = choose(len(vectors), vectors.dim, kind, metric, memory_budget_bytes)
    _log.info("%s: %s", choice.kind, choice.why)
    files = Files(out)
    ensure_writable_folder(files.public.parent)
    with writing(files):
        started = time.perf_counter()
        state = _written(files, vectors, choice, metric, seed)
        opened = open_state(files, state)
        measured: dict[str, Any] = {"recall": None, "milliseconds": None}
        if state.gone_rows < state.rows:
            opened, measured = tuned(opened, vectors, target_recall, seed)
        size = sum(path.stat().st_size for path in (files.faiss(state), *_beside(files, state)))
        info = {**measured, "why": choice.why, "seed": seed, "lists": choice.lists}
        info |= {"bytes": files.faiss(state).stat().st_size, "disk_bytes": size}
        info["card"] = None if vectors.card is None else vectors.card.to_json()
        info["build_seconds"] = round(time.perf_counter() - started, 1)
        files.commit(replace(opened.state, info=info))
    return Index.open(out)


def _written(files: Files, vectors: VectorSet, choice: Choice, metric: Metric, seed: int) -> State:
    """Every file of a first generation, none of which holds yet."""
    number = 1
    if files.is_there():
        with contextlib.suppress(BundleError):
            number = files.read().generation + 1
    unusable = np.zeros(len(vectors), dtype=np.bool_)
    blocks = read_prepared(vectors, metric, unusable)
    segment = Segment(len(vectors), new_file("names", number, ".arrow"), None)
    state = State(
        generation=number,
        index_file=new_file("index", number, ".faiss"),
        indexed=len(vectors),
        kind=choice.kind,
        metric=metric,
        dim=vectors.dim,
        dtype=choice.dtype,
        fingerprint=vectors.fingerprint,
        segments=(segment,),
    )
    write_names(files.folder / segment.names, vectors)
    lists = None
    if choice.kind != "flat":
        segment = replace(segment, vectors=new_file("vectors", number, ".npy"))
        path = files.folder / str(segment.vectors)
        write_vectors(path, blocks, len(vectors), vectors.dim, choice.dtype)
        if len(vectors) - unusable.sum() < _FEWEST_ROWS:
            choice, segment = replace(choice, kind="flat"), replace(segment, vectors=None)
            blocks = read_prepared(vectors, metric, unusable)
    state = replace(state, kind=choice.kind, segments=(segment,))
    if choice.kind == "flat":
        index = engine.flat(vectors.dim, choice.dtype, metric)
        for block in blocks:
            engine.add_stored(index, block.astype(choice.dtype))
    else:
        index, lists = filling.filled(Stored(files, state), unusable, choice, metric, seed)
    engine.write(index, files.folder / state.index_file)
    segment = replace(segment, left_out=int(unusable.sum()))
    state = replace(state, segments=(segment,))
    return with_masks(files, state, unusable, lists)


def _beside(files: Files, state: State) -> list[Path]:
    return [files.folder / name for name in state.files()]
