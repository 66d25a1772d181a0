"""Opening a backend by its kind and address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from multimodal_search.errors import SettingsError
from multimodal_search.index.backends.edge import EdgeEngine
from multimodal_search.index.backends.points import PointBackend
from multimodal_search.index.backends.qdrant import ClusterOptions, QdrantEngine
from multimodal_search.index.metric import Metric

Kind = Literal["qdrant", "qdrant-edge"]
_NAME_LETTERS = 16


def open_backend(
    kind: Kind,
    url: str,
    *,
    collection: str | None = None,
    api_key: str | None = None,
    metric: Metric = "cosine",
    rows: Sequence[str] | None = None,
    timeout_seconds: float = 60.0,
    options: ClusterOptions | None = None,
) -> PointBackend:
    """Open an engine that is there, or will be.

    Args:
        kind: ``qdrant``: a server, a cluster, or the client's local mode; ``qdrant-edge``: in this process.
        url: ``http(s)://host:port``, or a folder; ``:memory:`` with ``qdrant`` for trying.
        collection: its name in ``qdrant``; see ``collection_name``.
        api_key: of a server.
        metric: of a collection that is made.
        rows: ids in the order that ``search``'s ``allowed`` and ``Found.rows`` number them.
        timeout_seconds: for a request to a server.
        options: how a new collection lies on a cluster.

    Raises:
        SettingsError: what the kind does not take.
        DataError: it cannot be opened, or holds something else.
        MissingDependencyError: the extra ``qdrant`` is not installed.
    """
    if kind == "qdrant-edge":
        if "://" in url or api_key is not None:
            raise SettingsError(
                f"Qdrant Edge is a folder of this machine, not {url!r}.",
                remedy="--backend qdrant asks a server",
            )
        return PointBackend(EdgeEngine(Path(url).expanduser()), metric=metric, rows=rows)
    if collection is None:
        raise SettingsError("A Qdrant has many collections.", remedy="name one with --collection")
    engine = QdrantEngine(url, collection, api_key=api_key, timeout_seconds=timeout_seconds, options=options)
    return PointBackend(engine, metric=metric, rows=rows)


def collection_name(fingerprint: str | None, given: str | None = None) -> str:
    """The given name, or one from the fingerprint.

    Raises:
        SettingsError: neither is there.
    """
    if given is not None:
        return given
    if fingerprint is None:
        raise SettingsError(
            "These vectors do not say which encoder made them, so that the collection has no name.",
            remedy="name it with --collection",
        )
    return f"multimodal-search-{fingerprint[:_NAME_LETTERS]}"
