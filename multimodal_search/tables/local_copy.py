"""The local copy of a table on S3: parts are fetched when they are first read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from multimodal_search.errors import BundleError
from multimodal_search.storage import LocalStore, local_folder
from multimodal_search.storage.store import Store
from multimodal_search.tables.format import PartInfo, part_of_file


class LocalCopy:
    """A folder beside the feature tables, one for each prefix.

    Attributes:
        folder: where fetched files are.
    """

    def __init__(self, store: Store) -> None:
        self.folder = local_folder(store.url, "fetched")
        self._store = store
        self._copy = LocalStore(str(self.folder))
        self._there: set[str] = set()

    def fetch(self, part: PartInfo) -> None:
        """Bring a part's files here; only those that are missing, or are not what was written.

        Raises:
            BundleError: they are missing on S3 too, or are not what was written.
            DataError: S3 cannot be reached or refuses.
            OutputError: the copy cannot be written.
        """
        if part.name in self._there:
            return
        for file_name, size, sha256 in part.files:
            if self._is_here(file_name, size, sha256):
                continue
            try:
                content = self._store.read(file_name)
            except FileNotFoundError:
                raise self._damaged(f"{file_name} is missing") from None
            if hashlib.sha256(content).hexdigest() != sha256:
                raise self._damaged(f"{file_name} has another checksum than when it was written")
            self._copy.write(file_name, content)
        self._there.add(part.name)

    def remove_others(self, parts: Sequence[PartInfo]) -> None:
        """Remove parts that the table no longer has."""
        wanted = {part.name for part in parts}
        for file_name in self._copy.names("part-"):
            if (name := part_of_file(file_name)) and name not in wanted:
                self._copy.remove(file_name)

    def _is_here(self, file_name: str, size: int, sha256: str) -> bool:
        path = self.folder / file_name
        if not path.is_file() or path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def _damaged(self, reason: str) -> BundleError:
        return BundleError(
            f"A part is damaged: {reason}.",
            where=self._store.url,
            remedy="run the command that made it again: it computes the damaged parts anew",
        )
