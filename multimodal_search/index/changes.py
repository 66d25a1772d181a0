"""Rows appended and deleted without building the index anew; what returned is on the disk.

Appended rows lie in files of their own and are compared one by one. When they have become many, the index
takes them into its lists: neither the lists' centres nor the rows that were there are computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from multimodal_search.errors import DataError, EncoderError
from multimodal_search.index import engine, filling
from multimodal_search.index.lock import writing
from multimodal_search.index.names import Names, names_table, write_names, write_table
from multimodal_search.index.state import Files, Segment, State, new_file
from multimodal_search.index.stored import Stored, read_gone, read_prepared, with_masks, write_vectors
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import BoolArray

_log = logging.getLogger(__name__)

# As many rows as are compared in a millisecond, or a tenth of what the index has taken in
_TAIL_ROWS = 20_000
_TAIL_SHARE = 0.1
_TAIL_SEGMENTS = 32


def append(files: Files, vectors: VectorSet, *, skip_known: bool = False) -> int:
    """Add rows after those that are there; returns how many.

    Args:
        skip_known: leave out rows whose ids are there, instead of refusing them all.

    Raises:
        DataError: another dimension; ids that are there or come twice.
        EncoderError: the vectors are of another encoder.
        OutputError: the disk is full, or another run writes here.
    """
    with writing(files):
        state = files.read()
        files.tidy(state)
        gone = read_gone(files, state)
        names = Names([files.folder / one.names for one in state.segments])
        _refuse_strangers(files, state, names, vectors)
        if skip_known:
            vectors = _news(vectors, names, Stored(files, state), gone)
        else:
            names.refuse_known(vectors.ids, gone, files.public)
        if not len(vectors):
            return 0
        after = _appended(files, state, vectors, gone)
        files.commit(after)
        if _is_long(after):
            _log.info("taking %d appended rows into the index", after.rows - after.indexed)
            files.commit(_taken_in(files, after))
    return len(vectors)


def delete(files: Files, ids: Sequence[str]) -> int:
    """Let rows never be found again; returns how many.

    Raises:
        DataError: an id that is not there; nothing is deleted then.
        OutputError: the disk is full, or another run writes here.
    """
    with writing(files):
        state = files.read()
        files.tidy(state)
        gone = read_gone(files, state)
        names = Names([files.folder / one.names for one in state.segments])
        rows = names.rows_of(ids, gone)
        if (rows < 0).any():
            raise DataError(
                f"{int((rows < 0).sum())} of these ids are not in the index, "
                f"{ids[int(np.argmax(rows < 0))]!r} first; nothing was deleted.",
                where=files.public,
                remedy="leave them out",
            )
        if not len(rows):
            return 0
        gone = np.zeros(state.rows, np.bool_) if gone is None else gone
        gone[rows] = True
        files.commit(with_masks(files, replace(state, generation=state.generation + 1), gone, None))
    return len(set(rows.tolist()))


def left_out(names: Names, stored: Stored, gone: BoolArray | None) -> list[str]:
    """Ids of rows without a usable vector: they are stored as zeros, while a deleted row has its vector."""
    if gone is None:
        return []
    rows = np.flatnonzero(gone)
    parts = [rows[low : low + 8192] for low in range(0, len(rows), 8192)]
    unusable = [part[~stored.raw(part).any(axis=1)] for part in parts]
    return [str(one) for part in unusable for one in names.of(part)]


def _news(vectors: VectorSet, names: Names, stored: Stored, gone: BoolArray | None) -> VectorSet:
    """The rows whose ids are not there; those that were left out before count where they are usable now."""
    new = names.rows_of(vectors.ids, gone) < 0
    before = set(left_out(names, stored, gone))
    again = np.array([row for row, one in enumerate(vectors.ids) if one in before], dtype=np.int64)
    new[again] = vectors.select(again).usable() if len(again) else False
    return vectors.select(np.flatnonzero(new))


def _refuse_strangers(files: Files, state: State, names: Names, vectors: VectorSet) -> None:
    if vectors.dim != state.dim:
        raise DataError(
            f"Vectors of length {vectors.dim}; the index holds vectors of length {state.dim}.",
            where=files.public,
            remedy="append vectors of the encoder that made the index",
        )
    known = state.fingerprint
    if known is not None and vectors.fingerprint is not None and known != vectors.fingerprint:
        raise EncoderError(
            "These vectors are of another encoder than those of the index.",
            where=files.public,
            remedy="build an index of their own",
        )
    if len(set(vectors.ids)) != len(vectors):
        raise DataError("An id comes twice.", where=vectors.location, remedy="make ids unique")
    try:
        schemas = [names.table.schema, names_table(vectors.select(np.arange(0))).schema]
        pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"The metadata do not fit those of the index ({error}).",
            where=vectors.location,
            remedy="give each column the type that it has in the index",
        ) from error


def _appended(files: Files, state: State, vectors: VectorSet, gone: BoolArray | None) -> State:
    number = state.generation + 1
    segment = Segment(len(vectors), new_file("names", number, ".arrow"), new_file("vectors", number, ".npy"))
    unusable = np.zeros(len(vectors), np.bool_)
    write_names(files.folder / segment.names, vectors)
    blocks = read_prepared(vectors, state.metric, unusable)
    write_vectors(files.folder / str(segment.vectors), blocks, len(vectors), state.dim, state.dtype)
    before = np.zeros(state.rows, np.bool_) if gone is None else gone
    after = replace(state, generation=number, segments=(*state.segments, segment))
    return with_masks(files, after, np.concatenate([before, unusable]), None)


def _is_long(state: State) -> bool:
    tail = state.rows - state.indexed
    return tail > max(_TAIL_ROWS, _TAIL_SHARE * state.indexed) or _tail_segments(state) > _TAIL_SEGMENTS


def _tail_segments(state: State) -> int:
    """How many segments the main index does not know: they begin where it ends."""
    known, count = 0, 0
    for one in state.segments:
        count += known >= state.indexed and one.rows > 0
        known += one.rows
    return count


def _taken_in(files: Files, state: State) -> State:
    """The state with all rows in the main index, and the tail's files put together to one of each kind."""
    number = state.generation + 1
    stored = Stored(files, state)
    gone = read_gone(files, state)
    gone = np.zeros(state.rows, np.bool_) if gone is None else gone
    kept = list(state.segments)[: len(state.segments) - _tail_segments(state)]
    tail = list(state.segments)[len(kept) :]
    if state.kind == "flat":  # its file holds the vectors, so that all of it is written anew
        kept, tail = [], list(state.segments)
    first = sum(one.rows for one in kept)
    names = Names([files.folder / one.names for one in tail])
    segment = Segment(len(names), new_file("names", number, ".arrow"), None)
    write_table(files.folder / segment.names, names.table)
    lists = None
    if state.kind == "flat":
        index = engine.flat(state.dim, state.dtype, state.metric)
        for _, block in stored.blocks(0, state.rows):
            engine.add_stored(index, block)
    else:
        segment = replace(segment, vectors=new_file("vectors", number, ".npy"))
        rows = (block for _, block in stored.blocks(first, state.rows))
        write_vectors(files.folder / str(segment.vectors), rows, state.rows - first, state.dim, state.dtype)
        index = engine.read(files.faiss(state), mapped=False)
        if state.lists is not None:
            known = np.load(files.folder / state.lists)
            lists = np.concatenate([known, np.full(state.rows - len(known), index.nlist)]).astype(np.int64)
        filling.append(index, stored, gone, lists, state.indexed)
    after = replace(
        state,
        generation=number,
        index_file=new_file("index", number, ".faiss"),
        indexed=state.rows,
        segments=(*kept, segment),
    )
    engine.write(index, files.folder / after.index_file)
    return with_masks(files, after, gone, lists)
