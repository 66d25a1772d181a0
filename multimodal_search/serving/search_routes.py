"""``/search``, ``/uploads``, ``/export``, ``/config``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, File, Request, UploadFile
from fastapi import Query as Parameter
from starlette.datastructures import UploadFile as FormFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from multimodal_search.search.hits import Hit
from multimodal_search.serving import describing
from multimodal_search.serving.answers import Config, Found, Upload
from multimodal_search.serving.exporting import MEDIA_TYPES, Format, exported
from multimodal_search.serving.problems import Refused, documented
from multimodal_search.serving.queries import Chosen, Query
from multimodal_search.serving.services import Services, json_of
from multimodal_search.serving.state import Opened
from multimodal_search.types import EncoderCard, Modality

_MOST_QUERY_BYTES = 64 << 20  # a choice of a million moments
_LONG_QUERY_BYTES = 100_000
_FILES = ("image", "series")
SEARCH_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Query"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "description": "the JSON; its parts name @image, @series"},
                    "image": {"type": "string", "format": "binary"},
                    "series": {"type": "string", "format": "binary"},
                },
                "required": ["query"],
            }
        },
    },
}
EXPORT_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [{"$ref": "#/components/schemas/Query"}, {"$ref": "#/components/schemas/Chosen"}]
            }
        }
    },
}


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    @routes.get("/config", responses=documented())
    def config() -> Config:
        """What the page needs to know before the first query."""
        opened = services.opened
        if opened.config is None:
            opened.config = describing.config(opened, services.name)
        return opened.config

    @routes.post(
        "/search",
        response_model=Found,
        responses=documented(408, 413, 415, 422, 503),
        openapi_extra={"requestBody": SEARCH_BODY},
    )
    async def search(request: Request) -> Response:
        """The moments nearest to the query, best first.

        As JSON; or as multipart, where the field ``query`` holds the JSON and the files ``image`` and
        ``series`` are what its parts ``{"image": "@image"}`` and ``{"series": "@series"}`` mean.
        """
        started = time.perf_counter()
        opened = services.opened
        query, files = await _read(services, opened, request)

        def work() -> Found:
            took_ms: dict[str, float] = {}
            hits = services.asking.hits(opened, query, files, took_ms)
            with services.metrics.step("describe", took_ms):
                moments = describing.moments(opened, hits)
            took_ms["total"] = round(1000 * (time.perf_counter() - started), 3)
            return Found(hits=moments, took_ms=took_ms)

        return json_of(await services.search(work), request)

    @routes.post("/uploads", responses=documented(408, 413, 422, 503))
    async def upload(file: Annotated[UploadFile, File(description="a picture, .npy or CSV")]) -> Upload:
        """Keep a picture or a signal for an hour, so that queries can name it again and again."""
        content = await _content(file, services.max_upload_bytes)
        kept = await services.draw(lambda: services.uploads.keep(content, _card(services.opened)))
        return Upload(upload_id=kept.upload_id, kind=kept.kind)

    @routes.post(
        "/export",
        response_class=Response,
        responses={
            **documented(408, 413, 415, 422, 503),
            200: {
                "description": "the file",
                "content": {kind: {} for kind in dict.fromkeys(MEDIA_TYPES.values())},
            },
        },
        openapi_extra={"requestBody": EXPORT_BODY},
    )
    async def export(request: Request, format: Annotated[Format, Parameter()] = "csv") -> Response:
        """The hits of a query, or the moments of these ids, as a file."""
        opened = services.opened
        asked = _parsed(await request.body(), request)

        def work() -> bytes:
            return exported(_hits(services, opened, asked), format)

        name = "paths.txt" if format == "paths" else f"hits.{format}"
        return Response(
            await services.search(work),
            media_type=MEDIA_TYPES[format],
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    return routes


def _hits(services: Services, opened: Opened, asked: Query | Chosen) -> list[Hit]:
    if isinstance(asked, Query):
        return services.asking.hits(opened, asked, {}, {})
    try:
        return [opened.moment(one) for one in asked.ids]
    except Refused as error:
        raise Refused(422, error.what) from None


def _parsed(body: bytes, request: Request) -> Query | Chosen:
    if not _is(request, "application/json"):
        raise HTTPException(415, "Send JSON.")
    if b'"ids"' in body and b'"parts"' not in body:
        return Chosen.model_validate_json(body)
    return Query.model_validate_json(body)


async def _read(services: Services, opened: Opened, request: Request) -> tuple[Query, Mapping[str, Path]]:
    """The query, and the files that came with it: ``@image`` -> where it is kept."""
    if _is(request, "application/json"):
        return await _query(services, await request.body()), {}
    if not _is(request, "multipart/form-data"):
        raise HTTPException(415, "Send JSON, or multipart with the field 'query'.")
    files: dict[str, Path] = {}
    async with request.form(max_files=2, max_fields=1, max_part_size=_MOST_QUERY_BYTES) as form:
        text = form.get("query")
        if not isinstance(text, str):
            raise Refused(422, "The field 'query' is missing.", "it holds the query as JSON")
        query = await _query(services, text.encode("utf-8", "surrogatepass"))
        for kind in _FILES:
            sent = form.get(kind)
            if isinstance(sent, FormFile):
                content = await _content(sent, services.max_upload_bytes)
                files[f"@{kind}"] = await services.draw(partial(_kept, services, opened, content))
    for kind in cast("tuple[Literal['image', 'series'], ...]", _FILES):
        path = files.get(f"@{kind}")
        if path is not None and (path.suffix == ".npy") != (kind == "series"):
            raise Refused(422, f"The file {kind!r} is of another kind.")
    return query, files


async def _query(services: Services, body: bytes) -> Query:
    """A long one is read off the event loop."""
    if len(body) < _LONG_QUERY_BYTES:
        return Query.model_validate_json(body)
    return await services.search(partial(Query.model_validate_json, body))


def _kept(services: Services, opened: Opened, content: bytes) -> Path:
    return services.uploads.keep(content, _card(opened)).path


async def _content(file: Any, most_bytes: int) -> bytes:
    content: bytes = await file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise HTTPException(413, f"The file is too large: at most {most_bytes / 1e6:.0f} MB.")
    return content


def _card(opened: Opened) -> EncoderCard | None:
    known = opened.searcher.info.encoders.get(Modality.TIMESERIES)
    return None if known is None else known.card


def _is(request: Request, kind: str) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == kind
