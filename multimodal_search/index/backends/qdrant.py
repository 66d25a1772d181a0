"""Qdrant through its client: a server or a cluster by its address, or its local mode in a folder."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from multimodal_search.errors import DataError, require
from multimodal_search.index.backends.base import Collection
from multimodal_search.index.backends.dialects import QdrantDialect
from multimodal_search.index.backends.engine import Condition, from_json, json_path, to_json
from multimodal_search.index.backends.payload import DIGEST, ID
from multimodal_search.types import FloatArray

_log = logging.getLogger(__name__)

MEMORY = ":memory:"
_ABOUT = "multimodal_search"
_SCROLL_ROWS = 1000
_METRICS = {"cosine": "COSINE", "l2": "EUCLID", "ip": "DOT"}
_INDEXED = ("keyword", "integer", "float", "bool", "datetime")
_TRIES = 4


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """How a new collection lies on a cluster; None leaves it to the cluster; one that is there stays.

    Attributes:
        shards: parts of the collection, spread over the nodes.
        replicas: copies of every part.
        quantize: search 8-bit copies of the vectors in memory and rescore with the vectors, kept on disk.
    """

    shards: int | None = None
    replicas: int | None = None
    quantize: bool = False


class QdrantEngine:
    """One collection of a Qdrant.

    Args:
        url: ``http(s)://host:port``, a folder for the client's local mode, or ``:memory:``.
        name: of the collection.
        api_key: of a server.
        timeout_seconds: for a single request.
        options: for a collection that is made here.

    Raises:
        DataError: a folder that cannot be opened.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 60.0,
        options: ClusterOptions | None = None,
    ) -> None:
        self._models = require("qdrant_client.models", extra="qdrant")
        self._name = name
        self._options = options or ClusterOptions()
        self._remote = url.startswith(("http://", "https://"))
        # A request to a server carries a row as some 10 bytes a number: 256 rows of 768 are 2 MB
        self.batch_rows = 256 if self._remote else 1000
        self.where = f"{url}, collection {name}"
        self.dialect = QdrantDialect(self._models)
        # Says nothing to a collection that is not quantised; the local mode knows no such thing
        rescored = self._models.QuantizationSearchParams(rescore=True, oversampling=2.0)
        self._params = self._models.SearchParams(quantization=rescored) if self._remote else None
        with self._told():
            self._client = self._connect(url, api_key, timeout_seconds)

    def _connect(self, url: str, api_key: str | None, timeout_seconds: float) -> Any:
        client = require("qdrant_client", extra="qdrant").QdrantClient
        if not self._remote:
            return client(location=MEMORY) if url == MEMORY else client(path=url)
        if api_key and url.startswith("http://"):
            _log.warning("the API key travels unencrypted to %s: use https:// outside a private network", url)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            return client(url=url, api_key=api_key, timeout=int(timeout_seconds), check_compatibility=False)

    def describe(self) -> Collection | None:
        with self._told():
            if not self._client.collection_exists(self._name):
                return None
            metadata = self._client.get_collection(self._name).config.metadata or {}
        try:
            return from_json(metadata[_ABOUT])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                "The collection does not say which encoder its vectors are of.",
                where=self.where,
                remedy="another program or a Qdrant before 1.16 made it: name another --collection",
            ) from error

    def create(self, collection: Collection) -> None:
        about = {_ABOUT: to_json(collection)}
        with self._told():
            if self._client.collection_exists(self._name):
                self._client.update_collection(self._name, metadata=about)
            else:
                self._client.create_collection(
                    self._name, self._vectors(collection), metadata=about, **self._layout()
                )
            if not self._remote:
                return  # the local mode has no indexes
            there = self._client.get_collection(self._name).payload_schema
            for name, kind in collection.fields.items():
                if kind in _INDEXED and json_path(name) not in there:
                    schema = self._models.PayloadSchemaType(kind)
                    self._client.create_payload_index(self._name, json_path(name), schema, wait=True)

    def digests(self, ids: Sequence[str]) -> dict[str, str]:
        with self._told():
            found = self._client.retrieve(self._name, list(ids), with_payload=[DIGEST], with_vectors=False)
        return {str(one.id): str((one.payload or {}).get(DIGEST)) for one in found}

    def upsert(self, ids: Sequence[str], vectors: FloatArray, payloads: Sequence[dict[str, Any]]) -> None:
        batch = self._models.Batch(ids=list(ids), vectors=vectors.tolist(), payloads=list(payloads))
        self._again(lambda: self._client.upsert(self._name, batch, wait=True))

    def settle(self) -> None:
        """A server builds its index by itself, while it already answers."""

    def nearest(
        self, queries: FloatArray, k: int, condition: Condition | None
    ) -> list[list[tuple[str, float]]]:
        asked = [
            self._models.QueryRequest(
                query=query,
                limit=k,
                filter=None if condition is None else self.dialect.every([condition]),
                with_payload=[ID],
                params=self._params,
            )
            for query in queries.tolist()
        ]
        with self._told():
            answers = self._client.query_batch_points(self._name, asked)
        return [[(str(hit.payload[ID]), float(hit.score)) for hit in one.points] for one in answers]

    def scroll(
        self, condition: Condition | None, fields: Sequence[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        wanted = None if condition is None else self.dialect.every([condition])
        # the client's local mode does not find quoted names, and has all payloads at hand
        names = [json_path(name) for name in fields] if self._remote else True
        offset = None
        while True:
            with self._told():
                rows, offset = self._client.scroll(
                    self._name,
                    scroll_filter=wanted,
                    limit=_SCROLL_ROWS,
                    offset=offset,
                    with_payload=names,
                    with_vectors=False,
                )
            yield from ((str(row.id), dict(row.payload or {})) for row in rows)
            if offset is None:
                return

    def count(self, condition: Condition | None = None) -> int:
        wanted = None if condition is None else self.dialect.every([condition])
        with self._told():
            return int(self._client.count(self._name, count_filter=wanted, exact=True).count)

    def delete(self, ids: Sequence[str]) -> None:
        points = self._models.PointIdsList(points=list(ids))
        self._again(lambda: self._client.delete(self._name, points, wait=True))

    def close(self) -> None:
        self._client.close()

    def _vectors(self, collection: Collection) -> Any:
        distance = self._models.Distance[_METRICS[collection.metric]]
        on_disk = True if self._options.quantize else None
        return self._models.VectorParams(size=collection.dim, distance=distance, on_disk=on_disk)

    def _layout(self) -> dict[str, Any]:
        layout: dict[str, Any] = {
            "shard_number": self._options.shards,
            "replication_factor": self._options.replicas,
        }
        if self._options.quantize:
            layout["quantization_config"] = self._models.ScalarQuantization(
                scalar=self._models.ScalarQuantizationConfig(
                    type=self._models.ScalarType.INT8, always_ram=True
                )
            )
        return layout

    def _again(self, call: Callable[[], Any]) -> None:
        """A write, tried again where the network or the server failed: writing twice is no harm."""
        for attempt in range(1, _TRIES + 1):
            try:
                with self._told():
                    call()
                return
            except UnreachableError as error:
                if attempt == _TRIES:
                    raise
                pause_seconds = error.retry_after_seconds or 2.0 ** (attempt - 1)
                _log.warning("%s; again in %g s", error.what, pause_seconds)
                time.sleep(pause_seconds)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The client's errors as ours."""
        failures = require("qdrant_client.http.exceptions", extra="qdrant")
        busy = require("qdrant_client.common.client_exceptions", extra="qdrant").ResourceExhaustedResponse
        try:
            yield
        except failures.ResponseHandlingException as error:
            raise UnreachableError(
                f"Qdrant did not answer: {error.source or error}.",
                where=self.where,
                remedy="check the address and the port (6333 by default), and that the server runs",
            ) from error
        except busy as error:
            raise UnreachableError(
                "Qdrant is too busy.", where=self.where, retry_after_seconds=float(error.retry_after_s)
            ) from error
        except failures.UnexpectedResponse as error:
            raise self._refused(error) from error
        except RuntimeError as error:  # the local mode's lock
            raise DataError(
                str(error), where=self.where, remedy="one process at a time in local mode"
            ) from error

    def _refused(self, error: Any) -> DataError:
        status = error.status_code
        said = error.content.decode(errors="replace")[:300].strip()
        if status in (401, 403):
            return DataError(
                f"Qdrant refuses the API key ({status}): {said or 'no reason given'}.",
                where=self.where,
                remedy="give --api-key or set QDRANT_API_KEY; a key for reading only cannot upload",
            )
        if status is not None and status >= 500:
            return UnreachableError(f"Qdrant failed ({status}): {said}.", where=self.where)
        return DataError(f"Qdrant refused the request ({status}): {said}.", where=self.where)


class UnreachableError(DataError):
    """A server that cannot be reached now, or is too busy; the same may work later."""

    def __init__(
        self,
        what: str,
        *,
        where: object | None = None,
        remedy: str | None = "try again later: an upload goes on where it was",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds
