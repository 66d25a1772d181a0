"""Qdrant Edge: Qdrant's engine in this process, in a folder; every confirmed row survives kill -9."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from multimodal_search.errors import DataError, OutputError, require
from multimodal_search.index.backends.base import Collection
from multimodal_search.index.backends.dialects import EdgeDialect
from multimodal_search.index.backends.engine import Condition, from_json, json_path, to_json
from multimodal_search.index.backends.payload import DIGEST, ID
from multimodal_search.storage import write_atomically
from multimodal_search.types import FloatArray

_ABOUT = "collection.json"
_SHARD = "shard"
_SCROLL_ROWS = 4096
_METRICS = {"cosine": "Cosine", "l2": "Euclid", "ip": "Dot"}
_INDEXES = {
    "keyword": "Keyword",
    "integer": "Integer",
    "float": "Float",
    "bool": "Bool",
    "datetime": "Datetime",
}


class EdgeEngine:
    """One collection in a folder; one process at a time has it open (the engine's own lock).

    Args:
        folder: where it is or will be; nothing else may be in it.

    Raises:
        DataError: the folder holds something else, or another process has it open.
    """

    batch_rows = 1000

    def __init__(self, folder: Path) -> None:
        self._edge = require("qdrant_edge", extra="qdrant")
        self._folder = folder
        self.where = str(folder)
        self.dialect = EdgeDialect(self._edge)
        self._about = _read_about(folder)
        self._open: Any = None
        if self._about is not None and (folder / _SHARD).is_dir():
            self._open = self._load()

    def describe(self) -> Collection | None:
        return self._about if self._open is not None else None

    def create(self, collection: Collection) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with write_atomically(self._folder / _ABOUT) as file:
                file.write(json.dumps(to_json(collection), indent=1, ensure_ascii=False).encode())
        except OSError as error:
            raise OutputError(
                f"The folder cannot be written: {error.strerror}.", where=self._folder
            ) from error
        if self._open is None:
            self._open = self._make(collection)
        there = self._open.info().payload_schema
        for name, kind in collection.fields.items():
            if kind in _INDEXES and json_path(name) not in there:
                schema = getattr(self._edge.PayloadSchemaType, _INDEXES[kind])
                self._update(self._edge.UpdateOperation.create_field_index(json_path(name), schema))
        self._about = collection

    def digests(self, ids: Sequence[str]) -> dict[str, str]:
        found = self._shard.retrieve(list(ids), [DIGEST], False)
        return {str(one.id): str((one.payload or {}).get(DIGEST)) for one in found}

    def upsert(self, ids: Sequence[str], vectors: FloatArray, payloads: Sequence[dict[str, Any]]) -> None:
        points = [
            self._edge.Point(one, vector, payload)
            for one, vector, payload in zip(ids, vectors.tolist(), payloads, strict=True)
        ]
        self._update(self._edge.UpdateOperation.upsert_points(points))

    def settle(self) -> None:
        self._shard.optimize()
        self._shard.flush()

    def nearest(
        self, queries: FloatArray, k: int, condition: Condition | None
    ) -> list[list[tuple[str, float]]]:
        edge = self._edge
        asked = [
            edge.QueryRequest(
                limit=k,
                query=edge.Query.Nearest(query),
                filter=None if condition is None else self.dialect.every([condition]),
                with_payload=[ID],
            )
            for query in queries.tolist()
        ]
        answers = self._shard.query_batch(edge.QueryBatchRequest(asked))
        return [[(str(hit.payload[ID]), float(hit.score)) for hit in hits] for hits in answers]

    def scroll(
        self, condition: Condition | None, fields: Sequence[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        wanted = None if condition is None else self.dialect.every([condition])
        names = [json_path(name) for name in fields]
        offset = None
        while True:
            rows, offset = self._shard.scroll(
                self._edge.ScrollRequest(
                    offset=offset, limit=_SCROLL_ROWS, filter=wanted, with_payload=names, with_vector=False
                )
            )
            yield from ((str(row.id), dict(row.payload or {})) for row in rows)
            if offset is None:
                return

    def count(self, condition: Condition | None = None) -> int:
        wanted = None if condition is None else self.dialect.every([condition])
        return int(self._shard.count(self._edge.CountRequest(exact=True, filter=wanted)))

    def delete(self, ids: Sequence[str]) -> None:
        self._update(self._edge.UpdateOperation.delete_points(list(ids)))

    def close(self) -> None:
        if self._open is not None:
            self._open.flush()
            self._open.close()
            self._open = None

    @property
    def _shard(self) -> Any:
        if self._open is None:
            raise DataError("There is no collection here.", where=self._folder, remedy="upload vectors first")
        return self._open

    def _make(self, collection: Collection) -> Any:
        edge = self._edge
        distance = getattr(edge.Distance, _METRICS[collection.metric])
        config = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=collection.dim, distance=distance))
        # Under another name until it is whole: a kill in between leaves no half shard
        unfinished = self._folder / f"{_SHARD}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        edge.EdgeShard.create(str(unfinished), config).close()
        unfinished.rename(self._folder / _SHARD)
        return self._load()

    def _load(self) -> Any:
        try:
            return self._edge.EdgeShard.load(str(self._folder / _SHARD))
        except Exception as error:  # the engine raises plain Exception
            busy = "WouldBlock" in str(error)
            raise DataError(
                "Another process has this collection open." if busy else f"It cannot be opened: {error}.",
                where=self._folder,
                remedy="one process at a time" if busy else "upload into a new folder",
            ) from error

    def _update(self, operation: Any) -> None:
        try:
            self._shard.update(operation)
        except Exception as error:  # the engine raises plain Exception
            raise OutputError(f"Writing failed: {error}.", where=self._folder) from error


def _read_about(folder: Path) -> Collection | None:
    file = folder / _ABOUT
    if file.is_file():
        try:
            return from_json(json.loads(file.read_bytes()))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError("The collection's description cannot be read.", where=file) from error
    # Hidden files: what a kill left of a description that was being written
    if folder.is_file() or (folder.is_dir() and any(one.name[0] != "." for one in folder.iterdir())):
        raise DataError(
            "This holds something else than a collection.", where=folder, remedy="name an empty folder"
        )
    return None
