"""``/moments``, ``/thumbnails``, ``/images``, ``/signals``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from multimodal_search.serving import describing
from multimodal_search.serving.answers import MomentPage, Signal, TimelineEntry, url_of
from multimodal_search.serving.pictures import LARGEST_PX, width_for
from multimodal_search.serving.problems import Refused, Responses, documented
from multimodal_search.serving.services import Services, json_of

_LONGEST_TIMELINE = 2000
_JPEG: Responses = {200: {"description": "the picture", "content": {"image/jpeg": {}}}}
Id = Annotated[str, Path(min_length=1, max_length=1000, description="of the moment, percent-encoded")]


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["moments"])

    @routes.get("/moments/{id:path}", responses=documented(404, 422))
    def moment(id: Id) -> MomentPage:
        """A moment, and the time line of its scene."""
        opened = services.opened
        hit = opened.moment(id)
        described = describing.moments(opened, [hit])[0]
        timeline = [
            TimelineEntry(
                id=one.id,
                timestamp_us=one.timestamp_us,
                thumbnail_url=url_of("thumbnails", one.id) if one.image_path is not None else None,
            )
            for one in (opened.moment(name) for name in opened.scene(id)[:_LONGEST_TIMELINE])
        ]
        return MomentPage(**described.model_dump(), timeline=timeline, recording=describing.recording(hit))

    @routes.get("/signals/{id:path}", response_model=Signal, responses=documented(404, 422))
    def signal(id: Id, request: Request) -> Response:
        """A moment's signal."""
        opened = services.opened
        found = describing.signal(opened, opened.moment(id))
        if found is None:
            raise Refused(404, "This moment has no signal.")
        return json_of(found, request)

    @routes.get(
        "/thumbnails/{id:path}", response_class=Response, responses={**documented(304, 404, 422), **_JPEG}
    )
    async def thumbnail(
        id: Id, request: Request, w: Annotated[int, Query(ge=1, le=640, description="width in pixels")] = 320
    ) -> Response:
        """A small picture of the moment."""
        return await _picture(services, id, width_for(w), request)

    @routes.get(
        "/images/{id:path}", response_class=Response, responses={**documented(304, 404, 422), **_JPEG}
    )
    async def image(id: Id, request: Request) -> Response:
        """The picture of the moment, made anew and at most 1600 px wide."""
        return await _picture(services, id, LARGEST_PX, request)

    return routes


async def _picture(services: Services, id: str, width_px: int, request: Request) -> Response:
    opened = services.opened

    def work() -> tuple[bytes | None, str]:
        hit, root = opened.moment(id), opened.searcher.root
        etag = services.pictures.etag(hit.image_path, root, width_px)
        if f'"{etag}"' in request.headers.get("if-none-match", ""):
            return None, etag
        with services.metrics.step("picture"):
            return services.pictures.jpeg(hit.image_path, root, width_px, etag), etag

    content, etag = await services.draw(work)
    headers = {"ETag": f'"{etag}"', "Cache-Control": "private, max-age=300"}
    if content is None:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="image/jpeg", headers=headers)
