"""What the routes share."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from multimodal_search.serving.asking import Asking
from multimodal_search.serving.measuring import Metrics
from multimodal_search.serving.pictures import Pictures
from multimodal_search.serving.security import Keeper
from multimodal_search.serving.state import Opened, Served
from multimodal_search.serving.uploads import Uploads

T = TypeVar("T")
_PACKED_FROM_BYTES = 4096
_SEARCHES_AT_ONCE = max(8, 4 * (os.cpu_count() or 2))  # more threads only wait for each other
_PICTURES_AT_ONCE = max(2, (os.cpu_count() or 2) // 2)


@dataclass
class Services:
    """The parts of one server.

    Attributes:
        name: of the bundle, for people.
        max_upload_bytes: of one file.
    """

    served: Served
    uploads: Uploads
    pictures: Pictures
    asking: Asking
    metrics: Metrics
    keeper: Keeper
    name: str
    max_upload_bytes: int
    _searches: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_SEARCHES_AT_ONCE))
    _drawing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_PICTURES_AT_ONCE))

    @property
    def opened(self) -> Opened:
        """The bundle of this request; take it once."""
        return self.served.current

    async def search(self, work: Callable[[], T]) -> T:
        """Off the event loop, among searches."""
        return await anyio.to_thread.run_sync(work, limiter=self._searches)

    async def draw(self, work: Callable[[], T]) -> T:
        """Off the event loop, among pictures: they never take the threads of searches."""
        return await anyio.to_thread.run_sync(work, limiter=self._drawing)


def json_of(model: BaseModel, request: Request) -> Response:
    """A typed answer, packed where it is long and the client can unpack it."""
    return packable(model.model_dump_json().encode(), "application/json", request)


def packable(content: bytes, media_type: str, request: Request) -> Response:
    """An answer, packed where it is long and the client can unpack it."""
    headers = {"Vary": "Accept-Encoding"}
    if len(content) >= _PACKED_FROM_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, 1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=media_type, headers=headers)


def packed(content: bytes, media_type: str, request: Request) -> Response:
    """What is packed already, unpacked for a client that cannot."""
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "private, no-cache"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, media_type=media_type, headers=headers)
