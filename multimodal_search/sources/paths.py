"""Paths written in a data file: kept inside its folder, and checked for existence without asking twice."""

from __future__ import annotations

import os
from pathlib import Path

from multimodal_search.errors import DataError
from multimodal_search.storage import is_s3


class DataFolder:
    """The folder that a source's paths are relative to.

    A path is followed through ``..`` and symbolic links: data files come from other people, and one that
    names ``../../.ssh/id_rsa`` must not make it into a table or onto a page.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().resolve()
        self._parents: dict[Path, bool] = {}  # folder -> whether it lies inside

    def relative(self, written: str, where: object) -> str:
        """The path as kept in items: relative to the root with forward slashes, or ``s3://`` as it is.

        Args:
            written: as found in the data; relative, or absolute and inside the root.
            where: the file and record, for the message.

        Raises:
            DataError: the path leaves the folder, or cannot be a path.
        """
        if is_s3(written):
            return written
        if "\0" in written:
            raise DataError(
                f"The path {written!r} holds a NUL character.", where=where, remedy="correct the path"
            )
        path = Path(os.path.normpath(self.root / written))
        if Path(written).is_absolute() and not path.is_relative_to(self.root):
            path = Path(written).resolve()  # written through a link to the folder
        if not path.is_relative_to(self.root):
            raise self._leaves(written, where)
        if not self._inside(path):
            raise self._leaves(written, where)
        return path.relative_to(self.root).as_posix()

    def file(self, path: str) -> Path:
        """The file behind a path that ``relative`` gave.

        Raises:
            DataError: the path leaves the folder.
        """
        return self.root / self.relative(path, "an item's path")

    def exists(self, path: str) -> bool:
        """Whether a regular file is there; ``s3://`` is taken on trust, since asking costs a request each."""
        if is_s3(path):
            return True
        try:
            return (self.root / path).is_file()
        except OSError:  # a name too long for the file system
            return False

    def _inside(self, path: Path) -> bool:
        parent = path.parent if path != self.root else path
        known = self._parents.get(parent)
        if known is None:
            known = parent.resolve().is_relative_to(self.root)
            self._parents[parent] = known
        try:
            linked = path.is_symlink()
        except OSError:
            return known
        return known and (not linked or path.resolve().is_relative_to(self.root))

    def _leaves(self, written: str, where: object) -> DataError:
        return DataError(
            f"The path {written!r} leaves the data folder {self.root}.",
            where=where,
            remedy="use paths inside the folder, and copy the files in; links that lead out are not followed",
        )
