"""Which specimens a folder holds: their ids keep its hierarchy."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from multimodal_search.errors import DataError
from multimodal_search.rendering.headers import SUFFIXES
from multimodal_search.storage import content_key


@dataclass(frozen=True, slots=True)
class Specimen:
    """A file of a folder.

    Attributes:
        id: its path in the folder without the suffix, with ``/``. Where two files of a folder differ only in
            their suffix, both keep it.
        file: where it is.
        key: changes when the file does.
    """

    id: str
    file: Path
    key: str


def list_specimens(root: Path) -> list[Specimen]:
    """All meshes of a folder and its subfolders, by id; hidden ones left out.

    Raises:
        DataError: there is no such folder, or no mesh in it.
    """
    if not root.is_dir():
        raise DataError("There is no such folder.", where=root, remedy="--in DIR, a folder of meshes")
    files: list[Path] = []
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        files += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    if not files:
        raise DataError("No meshes are here.", where=root, remedy=f"files ending in {', '.join(SUFFIXES)}")
    paths = [file.relative_to(root) for file in files]
    twice = {one for one, count in Counter(path.with_suffix("") for path in paths).items() if count > 1}
    found = []
    for path, file in zip(paths, files, strict=True):
        name = path if path.with_suffix("") in twice else path.with_suffix("")
        try:
            key = content_key(file)
        except OSError:  # a link to nothing: reading it says so
            key = ""
        found.append(Specimen(name.as_posix(), file, key))
    return sorted(found, key=lambda one: one.id)
