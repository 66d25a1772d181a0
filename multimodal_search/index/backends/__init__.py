"""The same table in other engines, and the same questions to them: Qdrant, Qdrant Edge, a local index."""

from __future__ import annotations

from multimodal_search.index.backends.base import Backend, Collection, Progress, Uploaded
from multimodal_search.index.backends.opening import collection_name, open_backend
from multimodal_search.index.backends.qdrant import ClusterOptions

__all__ = [
    "Backend",
    "ClusterOptions",
    "Collection",
    "Progress",
    "Uploaded",
    "collection_name",
    "open_backend",
]
