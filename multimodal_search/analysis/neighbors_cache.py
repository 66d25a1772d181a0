"""Graphs on the disk, beside the outputs that were made from them: whole or absent."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from multimodal_search.errors import OutputError
from multimodal_search.storage import write_atomically
from multimodal_search.tables.vectors import VectorSet
from multimodal_search.types import FloatArray

_log = logging.getLogger(__name__)

FOLDER = ".neighbours"
_FORMAT = 1
_KEPT = 8


def content_digest(vectors: VectorSet) -> str:
    """Of the values, whatever file they are in."""
    digest = hashlib.blake2b(f"{_FORMAT} {len(vectors)} {vectors.dim}".encode(), digest_size=16)
    for _, block in vectors.blocks():
        digest.update(np.ascontiguousarray(block, dtype="<f4").data)
    return digest.hexdigest()


class GraphCache:
    """Graphs of one content and one way of searching, by how many neighbours they hold."""

    def __init__(self, beside: Path, key: str) -> None:
        self._folder = beside.absolute().parent / FOLDER
        self._key = key

    def read(self, k: int) -> tuple[npt.NDArray[np.int32], FloatArray, float] | None:
        """(rows, distances, recall) of the smallest graph that holds k neighbours, or None."""
        for held, path in sorted(self._files()):
            if held >= k:
                try:
                    with np.load(path, allow_pickle=False) as file:
                        return file["rows"][:, :k], file["distances"][:, :k], float(file["recall"])
                except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                    _log.warning("%s cannot be read (%s), and is made again", path, error)
        return None

    def write(self, rows: npt.NDArray[np.int32], distances: FloatArray, recall: float) -> None:
        """Keep a graph for other commands; a folder that cannot be written costs them time, no more."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with write_atomically(self._folder / f"{self._key}-{rows.shape[1]}.npz") as file:
                np.savez(file, rows=rows, distances=distances, recall=recall)
            self._forget_old()
        except (OSError, OutputError) as error:
            _log.warning("the graph of neighbours is not kept for other commands: %s", error)

    @property
    def checkpoint(self) -> Path:
        """Where the search for a graph of this key keeps how far it is."""
        return self._folder / f"{self._key}.part"

    def _files(self) -> list[tuple[int, Path]]:
        found = self._folder.glob(f"{self._key}-*.npz")
        return [(int(count), path) for path in found if (count := path.stem.rpartition("-")[2]).isdigit()]

    def _forget_old(self) -> None:
        graphs = sorted(self._folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
        for path in graphs[:-_KEPT]:
            path.unlink(missing_ok=True)
