"""A copy of an index elsewhere: an ``s3://`` prefix, or another folder.

The copy is ``<name>.faiss.files`` as it is here, with the Faiss file among the others, so that a plain copy
of that folder is an index again. Files never change under their names: those that are there are not sent
again. The JSON comes last, so that a copy that was cut off leaves the one before it whole.
"""

from __future__ import annotations

from pathlib import Path

from multimodal_search.errors import BundleError, OutputError
from multimodal_search.index.lock import writing
from multimodal_search.index.state import STATE, Files, State, parse_state
from multimodal_search.storage import (
    SUMS,
    FileSum,
    Store,
    Sums,
    ensure_writable,
    is_s3,
    open_store,
    parse_sums,
    sum_of,
)


def backup(path: str | Path, target: str | Path) -> int:
    """Copy an index to a prefix or folder; returns how many files were sent.

    Args:
        path: the Faiss file.
        target: gets ``<file name>.files/``.

    Raises:
        BundleError: there is no whole index.
        OutputError: the target cannot be written to, or holds something else than what was sent.
    """
    files = Files(path)
    if is_s3(str(target)):
        ensure_writable(str(target))
    store = _store(files, target)
    with writing(files):
        state = files.read()
        files.tidy(state)
        there = store.names()
        sums = _known(store) if SUMS in there else {}
        sent = 0
        for name, source in _sources(files, state).items():
            told = sum_of(source)
            if there.get(name) != told.size_bytes or sums.get(name) != told:
                store.write_file(name, source)
                sent += 1
            sums[name] = told
        # what a copy before knew stays listed until its JSON is replaced
        store.write(SUMS, Sums(sums).to_bytes())
        _compare_sizes(store, files, state)
        store.write(STATE, (files.folder / STATE).read_bytes())
    wanted = {STATE, SUMS, *_sources(files, state)}
    for name in store.names():
        if name not in wanted:
            store.remove(name)
    store.write(SUMS, Sums({name: one for name, one in sums.items() if name in wanted}).to_bytes())
    return sent


def restore(source: str | Path, path: str | Path) -> None:
    """Bring a copy back; every file's checksum is compared before the index that is there is replaced.

    Args:
        source: what ``backup`` was given.
        path: the Faiss file, of the same name as the one that was copied.

    Raises:
        BundleError: there is no whole copy, or a file of it is not what was sent.
    """
    files = Files(path)
    store = _store(files, source)
    try:
        content = store.read(STATE)
    except FileNotFoundError:
        raise BundleError(
            "There is no copy of an index of this name.", where=store.url, remedy="check prefix and name"
        ) from None
    sums = _known(store)
    with writing(files):
        state = parse_state(content, store.url)
        for name in _sources(files, state):
            target = files.folder / name
            if not (target.is_file() and sum_of(target) == sums.get(name)):
                _fetch(store, name, target, sums.get(name))
        files.commit(state)


def _store(files: Files, target: str | Path) -> Store:
    return open_store(f"{str(target).rstrip('/')}/{files.folder.name}")


def _sources(files: Files, state: State) -> dict[str, Path]:
    """Name in the copy -> file here."""
    beside = {name: files.folder / name for name in state.files()}
    return {state.index_file: files.faiss(state), **beside}


def _known(store: Store) -> dict[str, FileSum]:
    try:
        return dict(parse_sums(store.read(SUMS), store.url).files)
    except (FileNotFoundError, BundleError):
        return {}


def _compare_sizes(store: Store, files: Files, state: State) -> None:
    """S3 itself compares the checksum that boto3 sends with each piece."""
    there = store.names()
    for name, source in _sources(files, state).items():
        if there.get(name) != source.stat().st_size:
            raise OutputError(
                f"{name} did not arrive whole ({there.get(name)} bytes).",
                where=store.url,
                remedy="run the backup again",
            )


def _fetch(store: Store, name: str, target: Path, wanted: FileSum | None) -> None:
    try:
        store.read_file(name, target)
    except FileNotFoundError:
        raise _damaged(f"{name} is missing", store) from None
    if sum_of(target) != wanted:
        target.unlink()
        raise _damaged(f"{name} has another checksum than when it was sent", store)


def _damaged(reason: str, store: Store) -> BundleError:
    return BundleError(f"The copy is damaged: {reason}.", where=store.url, remedy="back the index up again")
