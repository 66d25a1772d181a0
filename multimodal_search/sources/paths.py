"""Paths written in a data file: kept inside its folder or prefix, and checked for existence together."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from multimodal_search.errors import DataError
from multimodal_search.storage import content_key, content_keys, is_s3, parse_s3

Place = Path | str
"""A local path, or an ``s3://`` address."""


class Folder(Protocol):
    """What a source's paths are relative to: a local folder, or an ``s3://`` prefix."""

    @property
    def root(self) -> Place:
        """The folder itself."""
        ...

    def relative(self, written: str, where: object) -> str:
        """The path as kept in items: relative to the root with forward slashes, or ``s3://`` as it is.

        Args:
            written: as found in the data; relative, or absolute and inside the root.
            where: the file and record, for the message.

        Raises:
            DataError: the path leaves the folder, or cannot be a path.
        """
        ...

    def file(self, path: str) -> Place:
        """The file or object behind a path that ``relative`` gave.

        Raises:
            DataError: the path leaves the folder.
        """
        ...

    def present(self, paths: Iterable[str]) -> set[str]:
        """Those that are there as files or objects.

        ``s3://`` addresses are taken on trust: they may lie anywhere, and asking costs a request each.

        Raises:
            DataError: S3 cannot be reached or refuses.
        """
        ...

    def key(self, path: str) -> str:
        """What changes when the content does.

        Raises:
            OSError: it is not there, or cannot be looked at.
            SkipInput: S3 refuses this object.
            DataError: S3 cannot be reached or refuses.
        """
        ...


def open_folder(root: Place) -> Folder:
    """The folder of this name; nothing is asked for yet.

    Raises:
        SettingsError: it starts as an S3 address and is none.
    """
    return DataPrefix(str(root)) if is_s3(root) else DataFolder(root)


def below(folder: Place, name: str) -> Place:
    """A file of a folder; an ``s3://`` address stays what it is."""
    if is_s3(name):
        return name
    return f"{str(folder).rstrip('/')}/{name}" if is_s3(folder) else Path(folder) / name


def folder_of(file: Place) -> Place:
    """The folder of a file."""
    return str(file).rpartition("/")[0] if is_s3(file) else Path(file).parent


class DataFolder:
    """A local folder.

    A path is followed through ``..`` and symbolic links: data files come from other people, and one that
    names ``../../.ssh/id_rsa`` must not make it into a table or onto a page.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().resolve()
        self._parents: dict[Path, bool] = {}  # folder -> whether it lies inside

    def relative(self, written: str, where: object) -> str:
        """As ``Folder.relative``; also through links."""
        if is_s3(written):
            return written
        _refuse_nul(written, where)
        path = Path(os.path.normpath(self.root / written))
        if Path(written).is_absolute() and not path.is_relative_to(self.root):
            path = Path(written).resolve()  # written through a link to the folder
        if not path.is_relative_to(self.root):
            raise _leaves(written, self.root, where)
        if not self._inside(path):
            raise _leaves(written, self.root, where)
        return path.relative_to(self.root).as_posix()

    def file(self, path: str) -> Place:
        """As ``Folder.file``."""
        return below(self.root, self.relative(path, "an item's path"))

    def present(self, paths: Iterable[str]) -> set[str]:
        """Regular files, and what is on S3."""
        return {path for path in paths if is_s3(path) or self._is_file(path)}

    def key(self, path: str) -> str:
        """Size and time; of an object, size and entity tag."""
        return content_key(self.file(path), patient=True)

    def _is_file(self, path: str) -> bool:
        try:
            return (self.root / path).is_file()
        except (OSError, ValueError):  # a name too long for the file system, or half of a surrogate pair
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


class DataPrefix:
    """The objects below an ``s3://`` prefix, by the same relative paths as in a folder that was copied there.

    Args:
        root: ``s3://bucket/prefix``.

    Raises:
        SettingsError: it is no S3 address.
    """

    def __init__(self, root: str) -> None:
        bucket, prefix = parse_s3(root)
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self._keys: dict[str, str] = {}  # of what was found to be there

    def relative(self, written: str, where: object) -> str:
        """As ``Folder.relative``; a path of some machine's disk cannot be inside."""
        if is_s3(written):
            return written
        _refuse_nul(written, where)
        path = posixpath.normpath(written)
        if path == ".." or path.startswith(("../", "/")):
            raise _leaves(written, self.root, where)
        return path

    def file(self, path: str) -> Place:
        """The object's address."""
        return below(self.root, self.relative(path, "an item's path"))

    def present(self, paths: Iterable[str]) -> set[str]:
        """Found by listing, together with their keys."""
        asked = set(paths)
        inside = {path for path in asked if not is_s3(path)}
        found = content_keys(self.root, inside)
        self._keys |= found
        return (asked - inside) | found.keys()

    def key(self, path: str) -> str:
        """Size and entity tag, as they were when ``present`` asked."""
        return self._keys.get(path) or content_key(self.file(path), patient=True)


def _refuse_nul(written: str, where: object) -> None:
    if "\0" in written:
        raise DataError(
            f"The path {written!r} holds a NUL character.", where=where, remedy="correct the path"
        )


def _leaves(written: str, root: Place, where: object) -> DataError:
    return DataError(
        f"The path {written!r} leaves the data folder {root}.",
        where=where,
        remedy="use paths inside the folder, and copy the files in; links that lead out are not followed",
    )
