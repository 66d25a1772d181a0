"""What is in a store when a run begins: whole parts are kept, what a killed run left is used or removed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from multimodal_search.errors import OutputError
from multimodal_search.storage import is_s3
from multimodal_search.storage.store import Store
from multimodal_search.tables.format import (
    FAILURES,
    FAILURES_SUFFIX,
    MANIFEST,
    ROWS_SUFFIX,
    VECTORS_SUFFIX,
    WRITTEN,
    DamagedPartError,
    PartInfo,
    TableInfo,
    part_of_file,
    refuse_other_table,
)
from multimodal_search.tables.manifest import PartList, read_manifest
from multimodal_search.tables.parts import compare_checksums, compare_sizes, recognise_part

_log = logging.getLogger(__name__)

VERIFY_BYTES = 4 << 30  # a few seconds of reading
VERIFY_BYTES_S3 = 256 << 20
_THREADS = 16
_T = TypeVar("_T")
_R = TypeVar("_R")


def recover(store: Store, info: TableInfo, *, verify_bytes: int | None = None) -> PartList:
    """Take up what is there: the whole parts of a table like ``info``, with a manifest that lists them.

    Sizes are compared for all parts. Contents are compared for parts that no manifest lists (a killed run
    wrote them last), and for the newest of the listed ones, up to ``verify_bytes``: small tables are checked
    whole, large ones start at once. Damaged parts are removed with a warning; they are computed again.

    Raises:
        EncoderError: another encoder's table is there.
        BundleError: a table made with other settings, or in a newer format, is there.
        OutputError, DataError: the store cannot be read or written.
    """
    if verify_bytes is None:
        verify_bytes = VERIFY_BYTES_S3 if is_s3(store.url) else VERIFY_BYTES
    sizes = store.names("part-")
    listed = _listed(store, info)
    to_verify = _newest(listed, verify_bytes)

    def look(part: PartInfo) -> PartInfo | DamagedPartError:
        try:
            compare_sizes(part, sizes)
            if part.name in to_verify:
                compare_checksums(store, part)
        except DamagedPartError as error:
            return error
        return part

    whole = list(_without_damaged(store, [part.name for part in listed], in_threads(look, listed)))
    whole += _unlisted(store, info, sizes, {part.name for part in listed})
    _remove_incomplete(store, sizes)
    parts = PartList(store, info, sorted(whole, key=lambda part: part.order))
    if not listed or [part.name for part in listed] != [part.name for part in parts.sorted()]:
        parts.save()
    return parts


def clear(store: Store) -> None:
    """Remove a table's files, and nothing else."""
    store.remove(MANIFEST)  # first: without it there is no table
    store.remove(FAILURES)
    names = [name for name in store.names("part-") if part_of_file(name)]
    # a part counts while its rows are there
    for _ in in_threads(store.remove, sorted(names, key=lambda name: not name.endswith(ROWS_SUFFIX))):
        pass


def refuse_other_files(store: Store) -> None:
    """Raise OutputError for a place that holds files and no table: it is probably somebody's data."""
    if is_s3(store.url):
        names = set(store.names())
    else:
        folder = Path(store.url)
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    foreign = sorted(
        name
        for name in names - {MANIFEST, FAILURES, WRITTEN}
        if not part_of_file(name) and not name.startswith((".", "lease-"))
    )
    if foreign and MANIFEST not in names and not any(part_of_file(name) for name in names):
        raise OutputError(
            f"The output holds other files and no feature table, for example {foreign[0]!r}.",
            where=store.url,
            remedy="choose a new or empty folder",
        )


def in_threads(function: Callable[[_T], _R], arguments: Iterable[_T]) -> Iterator[_R]:
    """Results in order; few are in flight, so that results which are large do not pile up."""
    left = iter(arguments)
    with ThreadPoolExecutor(_THREADS) as pool:
        running = [pool.submit(function, one) for one in islice(left, _THREADS)]
        while running:
            yield running.pop(0).result()
            running += [pool.submit(function, one) for one in islice(left, 1)]


def _listed(store: Store, info: TableInfo) -> list[PartInfo]:
    try:
        found, listed = read_manifest(store)
    except FileNotFoundError:
        return []
    except DamagedPartError as error:
        _log.warning("%s: %s; it is written anew from the parts", store.url, error)
        return []
    refuse_other_table(store.url, found.binding, info)
    return listed


def _newest(parts: Sequence[PartInfo], verify_bytes: int) -> set[str]:
    chosen: set[str] = set()
    for part in reversed(parts):
        verify_bytes -= sum(size for _, size, _ in part.files)
        if verify_bytes < 0:
            _log.info("%d of %d parts are compared by content, all by size", len(chosen), len(parts))
            break
        chosen.add(part.name)
    return chosen


def _unlisted(store: Store, info: TableInfo, sizes: dict[str, int], listed: set[str]) -> Iterator[PartInfo]:
    """Whole parts that a killed run wrote after its last manifest."""
    names = [
        name
        for file_name in sizes
        if file_name.endswith(ROWS_SUFFIX) and (name := part_of_file(file_name)) and name not in listed
    ]

    def look(name: str) -> PartInfo | DamagedPartError:
        try:
            part, binding = recognise_part(store, name, sizes)
        except DamagedPartError as error:
            return error
        refuse_other_table(store.url, binding, info)
        return part

    return _without_damaged(store, names, in_threads(look, names))


def _without_damaged(
    store: Store, names: Iterable[str], looked: Iterable[PartInfo | DamagedPartError]
) -> Iterator[PartInfo]:
    for name, found in zip(names, looked, strict=True):
        if isinstance(found, PartInfo):
            yield found
            continue
        _log.warning("%s: %s; its rows are computed again", store.url, found)
        for suffix in (ROWS_SUFFIX, FAILURES_SUFFIX, VECTORS_SUFFIX):
            store.remove(name + suffix)


def _remove_incomplete(store: Store, sizes: dict[str, int]) -> None:
    """Files of parts without rows: their run was killed between a part's files."""
    for file_name in sizes:
        name = part_of_file(file_name)
        if name and name + ROWS_SUFFIX not in sizes:
            store.remove(file_name)
