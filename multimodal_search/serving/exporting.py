"""Hits as a file to take away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from multimodal_search.search.hits import Hit
from multimodal_search.search.results import hits_as

Format = Literal["csv", "json", "parquet", "paths"]
MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "paths": "text/plain",
}


def exported(hits: Sequence[Hit], format: Format) -> bytes:
    """The file's content; ``paths``: the picture of each moment, one a line, as the bundle names it."""
    if format == "paths":
        paths = [hit.image_path for hit in hits if hit.image_path is not None]
        return "".join(f"{one}\n" for one in paths).encode("utf-8", "surrogateescape")
    return hits_as(f".{format}", hits)
