"""``--image-dir DIR``: the pictures below a folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from multimodal_search.errors import DataError
from multimodal_search.sources.inputs.listing import Listing, list_images
from multimodal_search.types import Failure, Input, Modality

_log = logging.getLogger(__name__)


class FolderInputs:
    """Names are listed once, when they are first needed; files are looked at one by one while iterating.

    Args:
        folder: the folder.
        views: take only ``<id>_viewNN.<suffix>``, by folder, id and number.
    """

    modality = Modality.IMAGE

    def __init__(self, folder: str, *, views: bool = False) -> None:
        self.kind = "views" if views else "images"
        self.root = str(Path(folder).expanduser().resolve())
        self._views = views

    @property
    def failures(self) -> list[Failure]:
        """What could not be listed."""
        return self._listing.failures

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return self._listing.count

    def __iter__(self) -> Iterator[Input]:
        """By path components.

        Raises:
            DataError: the folder is absent or unreadable, or holds no picture.
        """
        root = self.root.rstrip("/") + "/"
        for path in self._listing:
            location = root + path
            yield Input(path, file_key(location), location)

    @cached_property
    def _listing(self) -> Listing:
        try:
            found = list_images(self.root, views=self._views)
        except OSError as error:
            raise self._unreadable(error) from error
        wanted = "pictures named <id>_viewNN.<suffix>" if self._views else "pictures"
        if not found.count:
            there = [str(found.others)] if found.others.total else []
            there += [f"{one.path}: {one.reason}" for one in found.failures[:3]]
            raise DataError(
                f"No {wanted} below this folder; found: {'; '.join(there) or 'nothing'}.",
                where=self.root,
                remedy="name the folder that holds the pictures (.jpg, .png, .webp, ...)",
            )
        if found.others.total:
            _log.info("%s left out: they are no %s", found.others, wanted)
        for one in found.failures[:5]:
            _log.warning("%s: %s", one.path, one.reason)
        return found

    def _unreadable(self, error: OSError) -> DataError:
        path = Path(self.root)
        if isinstance(error, NotADirectoryError):
            return DataError(
                "This is a file, not a folder of pictures.",
                where=f"--image-dir {self.root}",
                remedy="name its folder, or give a list of paths with --path-file",
            )
        if isinstance(error, FileNotFoundError):
            parent = next(one for one in path.parents if one.exists())
            return DataError(
                f"The folder does not exist (what exists of it: {parent}).",
                where=f"--image-dir {self.root}",
                remedy="check the path",
            )
        return DataError(
            f"The folder cannot be read ({error.strerror}).",
            where=f"--image-dir {self.root}",
            remedy="check its permissions",
        )


def file_key(path: str) -> str:
    """Size and time of a file, as ``storage.content_key`` gives them; empty where it cannot be looked at.

    A file that is gone is left to the reading, which lists it with its reason.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  a Path each would double the time
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"
