"""``search-all``: the neighbours of every row, written so that a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimodal_search.analysis.graph import Graph, shared_graph
from multimodal_search.analysis.neighbors_cache import content_digest
from multimodal_search.analysis.neighbors_write import PARQUET, write_csvs, write_parquet
from multimodal_search.errors import OutputError
from multimodal_search.settings import SearchAllSettings
from multimodal_search.storage import ensure_writable_folder, write_json
from multimodal_search.tables import open_vectors

_log = logging.getLogger(__name__)

PROGRESS = "search_all.json"
LOG = "search_all.log"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Written:
    """What a run left: rows, those without neighbours, pairs in the Parquet file."""

    rows: int
    without_neighbours: int
    pairs: int
    graph: Graph


def search_all(settings: SearchAllSettings) -> Written:
    """Find and write the neighbours of every row.

    Raises:
        DataError: there are no vectors, or they cannot be read.
        OutputError: the folder holds something else, or cannot be written.
    """
    vectors = open_vectors(settings.embeddings, ids=settings.ids, modality=settings.modality)
    folder = ensure_writable_folder(settings.out)
    content = content_digest(vectors)
    progress = _Progress(folder, _key(content, vectors.ids, settings))
    started = time.monotonic()
    graph = shared_graph(
        vectors, settings.topk, settings.metric, exact=settings.exact, beside=folder, content=content
    )
    bare = int((graph.rows[:, 0] < 0).sum()) if len(vectors) else 0
    _log.info(
        "%d rows x %d, %s: %s in %.1f s",
        len(vectors),
        vectors.dim,
        settings.metric,
        "all pairs compared" if graph.exact else f"recall measured {graph.recall:.4f}",
        time.monotonic() - started,
    )
    if bare:
        _log.warning("%d rows have no neighbours (not finite, zero, or alone)", bare)
    if progress.pairs is None or not (folder / PARQUET).is_file():
        progress.note(pairs=write_parquet(folder / PARQUET, vectors.ids, graph))
    if settings.csv:
        _write_csvs(folder, vectors.ids, graph, progress)
    _log.info("%d pairs of %d rows -> %s", progress.pairs or 0, len(vectors), folder)
    return Written(len(vectors), bare, progress.pairs or 0, graph)


def _write_csvs(folder: Path, ids: Sequence[str], graph: Graph, progress: _Progress) -> None:
    if 0 < progress.csv_rows < len(ids):
        _log.info("going on after row %d of %d", progress.csv_rows, len(ids))
    for done in write_csvs(folder, ids, graph, first=progress.csv_rows):
        progress.note(csv_rows=done)
        if done < len(ids):
            _log.info("%d of %d CSV files", done, len(ids))


def _key(content: str, ids: Sequence[str], settings: SearchAllSettings) -> str:
    digest = hashlib.blake2b(content.encode(), digest_size=16)
    for one in ids:
        digest.update(one.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(f"{_FORMAT} {settings.topk} {settings.metric} {settings.exact}".encode())
    return digest.hexdigest()


class _Progress:
    """How far the run of these vectors and settings is in this folder."""

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / PROGRESS
        self._key = key
        self.pairs: int | None = None
        self.csv_rows = 0
        held = self._read()
        if held is None:
            self._refuse_others_files(folder)
        elif held.get("key") != key:
            raise OutputError(
                "Here are the neighbours of other vectors, or by other settings.",
                where=folder,
                remedy="name another --out, or remove this folder",
            )
        else:
            self.pairs, self.csv_rows = held.get("pairs"), int(held.get("csv_rows", 0))
        self.note()

    def note(self, *, pairs: int | None = None, csv_rows: int | None = None) -> None:
        self.pairs = self.pairs if pairs is None else pairs
        self.csv_rows = self.csv_rows if csv_rows is None else csv_rows
        write_json(self._path, {"key": self._key, "pairs": self.pairs, "csv_rows": self.csv_rows})

    def _read(self) -> dict[str, Any] | None:
        try:
            held = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return held if isinstance(held, dict) else None

    def _refuse_others_files(self, folder: Path) -> None:
        others = [
            one.name for one in folder.iterdir() if one.name[0] != "." and one.name not in (LOG, PROGRESS)
        ]
        if others:
            raise OutputError(
                f"The folder holds files that are not of a run of search-all, for example {min(others)!r}.",
                where=folder,
                remedy="name an empty folder",
            )
