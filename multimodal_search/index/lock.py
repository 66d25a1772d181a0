"""One writer an index at a time; a lock that the system frees when its process dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from multimodal_search.index.state import Files
from multimodal_search.storage import ensure_writable_folder
from multimodal_search.tables.lock import FolderLock


@contextmanager
def writing(files: Files) -> Iterator[None]:
    """Wait for another writer of this index, then be the one.

    Raises:
        OutputError: nothing can be written there.
    """
    ensure_writable_folder(files.folder)
    lock = FolderLock(files.folder)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
