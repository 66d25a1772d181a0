"""The page and its files, the form for the token, ``/docs``, ``/healthz``, ``/metrics``."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import threading
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from multimodal_search.serving.answers import Health
from multimodal_search.serving.documentation import page_of
from multimodal_search.serving.limits import Rate
from multimodal_search.serving.problems import Refused, Responses, documented
from multimodal_search.serving.queries import Login
from multimodal_search.serving.security import COOKIE, COOKIE_SECONDS
from multimodal_search.serving.services import Services

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
_PACKED = {".js", ".css", ".html", ".svg", ".json"}
_HTML: Responses = {200: {"description": "the page", "content": {"text/html": {}}}}
_LOGINS_PER_SECOND, _LOGINS_AT_ONCE = 0.2, 10.0  # of one address


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    packed: bytes | None
    media_type: str
    etag: str


class PageFiles:
    """The page's files, by name: read once, so that no request ever names a path."""

    def __init__(self) -> None:
        folder = Path(str(files("multimodal_search.serving"))) / "page"
        self._paths = {path.name: path for path in sorted(folder.glob("*")) if path.is_file()}
        self._read: dict[str, tuple[int, _File]] = {}
        self._reading = threading.Lock()

    def answer(self, name: str, request: Request) -> Response:
        """A file, or that the client has it already.

        Raises:
            Refused: there is none of this name (404).
        """
        if name not in self._paths:
            raise Refused(404, "The page has no such file.")
        with self._reading:
            file = self._file(name)
        headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(file.packed, media_type=file.media_type, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)

    def _file(self, name: str) -> _File:
        path = self._paths[name]
        changed = path.stat().st_mtime_ns
        kept = self._read.get(name)
        if kept is None or kept[0] != changed:
            content = path.read_bytes()
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
            packed = gzip.compress(content, 6, mtime=0) if path.suffix in _PACKED else None
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            kept = self._read[name] = (changed, _File(content, packed, kind, etag))
        return kept[1]


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["page"])
    page, logins = PageFiles(), Rate(_LOGINS_PER_SECOND, _LOGINS_AT_ONCE)

    @routes.get("/", response_class=Response, responses={**documented(304, 404), **_HTML})
    def index(request: Request) -> Response:
        """The search page."""
        return page.answer("index.html", request)

    @routes.get(
        "/page/{file}",
        response_class=Response,
        responses={**documented(304, 404, 422), 200: {"description": "a file", "content": {"*/*": {}}}},
    )
    def page_file(
        file: Annotated[str, PathParameter(min_length=1, max_length=100)], request: Request
    ) -> Response:
        """A file of the page."""
        return page.answer(file, request)

    @routes.post("/login", status_code=204, responses=documented(413, 422))
    def login(form: Login, request: Request, response: Response) -> None:
        """Show the token once; a cookie shows it from then on."""
        client = request.client.host if request.client else ""
        if wait := logins.wait_seconds(client):
            raise Refused(429, "Too many tries.", f"wait {int(wait) + 1} s")
        if services.keeper.locked and not services.keeper.knows(form.token):
            raise Refused(401, "This is not the token.")
        response.set_cookie(
            COOKIE,
            services.keeper.cookie,
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    @routes.get("/healthz", responses=documented())
    def health() -> Health:
        """Whether it answers."""
        return Health(status="ok", moments=services.opened.count)

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={**documented(), 200: {"description": "for Prometheus", "content": {"text/plain": {}}}},
    )
    def metrics() -> Response:
        """Counts and times."""
        return Response(services.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @routes.get("/docs", response_class=Response, responses={**documented(), **_HTML})
    def documentation(request: Request) -> Response:
        """What the API answers, as a page."""
        return Response(page_of(request.app.openapi()), media_type="text/html")

    return routes
