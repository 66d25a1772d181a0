"""The names below a folder, in an order that depends on nothing but the names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from multimodal_search.sources.inputs.names import Others, View, is_hidden, is_image, view
from multimodal_search.types import Failure

_SEPARATOR = b"\0"  # the one byte, with the slash, that no file name holds


class Run(NamedTuple):
    """Consecutive files of one folder; a name costs its bytes and one more."""

    folder: str  # below the root, with a slash at its end; empty for the root
    names: bytes


@dataclass(slots=True)
class Listing:
    """The pictures below a folder, by path components; UTF-8 bytes order names, on every machine.

    Attributes:
        count: pictures.
        failures: folders that cannot be read, links that lead nowhere, names that are not UTF-8.
        others: files that are no pictures (or, among views, not named so).
    """

    runs: list[Run] = field(default_factory=list)
    count: int = 0
    failures: list[Failure] = field(default_factory=list)
    others: Others = field(default_factory=Others)

    def __iter__(self) -> Iterator[str]:
        """Paths below the root, with ``/``."""
        for folder, names in self.runs:
            start = 0
            while (end := names.find(_SEPARATOR, start)) >= 0:
                yield folder + names[start:end].decode()
                start = end + 1

    def add(self, folder: str, names: list[bytes]) -> None:
        """Take in consecutive files of a folder; forgets nothing but the list."""
        if names:
            self.runs.append(Run(folder, _SEPARATOR.join(names) + _SEPARATOR))
            self.count += len(names)


def list_images(root: str, *, views: bool = False) -> Listing:
    """List the pictures below ``root``; names only, no file is looked at.

    Links to files are followed, and links to folders that lie outside, each once. Hidden files and folders
    are left out.

    Args:
        root: an absolute path, resolved.
        views: take only ``<id>_viewNN.<suffix>``, by folder, id and number.

    Raises:
        OSError: the root itself cannot be read.
    """
    return _Walk(root, views).run()


class _Walk:
    def __init__(self, root: str, views: bool) -> None:
        self._root = os.fsencode(root)
        self._views = views
        self._linked: set[tuple[int, int]] = set()  # folders entered by a link
        self._found = Listing()

    def run(self) -> Listing:
        # a stack of our own: trees may be deeper than Python's
        stack: list[Iterator[bytes]] = [self._folder(b"")]
        while stack:
            below = next(stack[-1], None)
            if below is None:
                stack.pop()
                continue
            try:
                stack.append(self._folder(below))
            except OSError as error:
                self._fail(below, f"the folder cannot be read: {error.strerror}")
        return self._found

    def _folder(self, below: bytes) -> Iterator[bytes]:
        """Read a folder now; the sub-folders come out, in order, as their turn comes."""
        files, folders = self._entries(below)
        try:
            folder = below.decode()
        except UnicodeDecodeError:
            self._fail(below, "the folder's name is not UTF-8")
            return iter(())
        if self._views:
            self._found.add(folder, self._in_view_order(folder, files))
            return iter(folders)
        files.sort()
        return self._in_name_order(folder, files, folders)

    def _in_name_order(self, folder: str, files: list[bytes], folders: list[bytes]) -> Iterator[bytes]:
        start = 0
        for one in folders:
            name = one[:-1].rpartition(b"/")[2]
            end = start
            while end < len(files) and files[end] < name:
                end += 1
            self._found.add(folder, files[start:end])
            start = end
            yield one
        self._found.add(folder, files[start:] if start else files)

    def _entries(self, below: bytes) -> tuple[list[bytes], list[bytes]]:
        """Names of the folder's pictures, and its sub-folders as paths below the root, sorted by name."""
        files: list[bytes] = []
        folders: list[bytes] = []
        with os.scandir(os.path.join(self._root, below)) as entries:  # noqa: PTH118  bytes: any name will do
            for entry in entries:
                name = os.fsdecode(entry.name)
                if is_hidden(name):
                    continue
                kind = self._kind(entry, below)
                if kind == stat.S_IFDIR:
                    folders.append(entry.name)
                elif kind == stat.S_IFREG:
                    self._take(name, entry.name, below, files)
        folders.sort()
        return files, [below + name + b"/" for name in folders]

    def _take(self, name: str, raw: bytes, below: bytes, files: list[bytes]) -> None:
        if not is_image(name) or (self._views and view(name) is None):
            self._found.others.add(name)
            return
        try:
            raw.decode()
        except UnicodeDecodeError:
            self._fail(below + raw, "the file's name is not UTF-8")
        else:
            files.append(raw)

    def _kind(self, entry: os.DirEntry[bytes], below: bytes) -> int:
        """``S_IFREG``, ``S_IFDIR``, or 0 for what is neither or was seen before; most need no question."""
        try:
            if not entry.is_symlink():
                if entry.is_file(follow_symlinks=False):
                    return stat.S_IFREG
                return stat.S_IFDIR if entry.is_dir(follow_symlinks=False) else 0
            status = entry.stat()
        except OSError as error:
            self._fail(below + entry.name, f"the link leads nowhere: {error.strerror}")
            return 0
        if not stat.S_ISDIR(status.st_mode):
            return stat.S_IFMT(status.st_mode)
        place = (status.st_dev, status.st_ino)
        if self._is_listed(os.path.realpath(entry.path)) or place in self._linked:
            return 0
        self._linked.add(place)
        return stat.S_IFDIR

    def _is_listed(self, folder: bytes) -> bool:
        """Whether a folder is listed at its own place; a link to it would double its pictures."""
        below = os.path.join(folder, b"").removeprefix(os.path.join(self._root, b""))  # noqa: PTH118
        return not below.startswith(b"/") and not any(map(is_hidden, os.fsdecode(below).split("/")))

    def _in_view_order(self, folder: str, files: list[bytes]) -> list[bytes]:
        ordered: dict[View, bytes] = {}
        for name in sorted(files):
            one = view(name.decode())
            assert one is not None
            if one in ordered:
                self._fail(folder.encode() + name, f"{ordered[one].decode()} is view {one.number} already")
            else:
                ordered[one] = name
        return [ordered[one] for one in sorted(ordered)]

    def _fail(self, path: bytes, reason: str) -> None:
        shown = path.decode("utf-8", "backslashreplace").rstrip("/")
        self._found.failures.append(Failure(shown, shown, reason))
