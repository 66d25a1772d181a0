"""A copy of an index elsewhere: an ``s3://`` prefix, or another folder.

The copy is ``<name>.faiss.files`` as it is here, with the Faiss file among the others, so that a plain copy
of that folder is an index again. Files never change under their names: those that are there are not sent
again. The JSON comes last, so that a copy that was cut off leaves the one before it whole.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from multimodal_search.errors import BundleError, OutputError
from multimodal_search.index.lock import writing
from multimodal_search.index.state import STATE, Files, State, parse_state
from multimodal_search.storage import Store, ensure_bucket, is_s3, open_store, write_atomically

SUMS = "checksums.json"


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
        ensure_bucket(str(target))
    store = _store(files, target)
    with writing(files):
        state = files.read()
        files.tidy(state)
        there = store.names()
        sums = _sums(store) if SUMS in there else {}
        sent = 0
        for name, source in _sources(files, state).items():
            size = source.stat().st_size
            if there.get(name) != size or name not in sums:
                store.write_file(name, source)
                sent += 1
            sums[name] = _sha256(source)
        # what a copy before knew stays listed until its JSON is replaced
        store.write(SUMS, (json.dumps(sums, indent=1) + "\n").encode())
        _compare_sizes(store, files, state)
        store.write(STATE, (files.folder / STATE).read_bytes())
    wanted = {STATE, SUMS, *_sources(files, state)}
    for name in store.names():
        if name not in wanted:
            store.remove(name)
    left = {name: one for name, one in sums.items() if name in wanted}
    store.write(SUMS, (json.dumps(left, indent=1) + "\n").encode())
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
    sums = _sums(store)
    with writing(files):
        state = parse_state(content, store.url)
        for name in _sources(files, state):
            target = files.folder / name
            if not (target.is_file() and _sha256(target) == sums.get(name)):
                _fetch(store, name, target, sums.get(name))
        files.commit(state)


def _store(files: Files, target: str | Path) -> Store:
    return open_store(f"{str(target).rstrip('/')}/{files.folder.name}")


def _sources(files: Files, state: State) -> dict[str, Path]:
    """Name in the copy -> file here."""
    beside = {name: files.folder / name for name in state.files()}
    return {state.index_file: files.faiss(state), **beside}


def _sums(store: Store) -> dict[str, str]:
    try:
        known = json.loads(store.read(SUMS))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(value) for name, value in known.items()}


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


def _fetch(store: Store, name: str, target: Path, sha256: str | None) -> None:
    try:
        content = store.read(name)
    except FileNotFoundError:
        raise _damaged(f"{name} is missing", store) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _damaged(f"{name} has another checksum than when it was sent", store)
    with write_atomically(target) as file:
        file.write(content)


def _damaged(reason: str, store: Store) -> BundleError:
    return BundleError(f"The copy is damaged: {reason}.", where=store.url, remedy="back the index up again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
