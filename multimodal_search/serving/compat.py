"""``/predict/*``: the routes and fields that clients of the first demonstration know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from multimodal_search.serving.answers import MappedScene, Moment, Predicted, PredictedScene
from multimodal_search.serving.describing import moments
from multimodal_search.serving.problems import documented
from multimodal_search.serving.queries import MAX_HITS, AskedPart, Query, Text
from multimodal_search.serving.services import Services, packed
from multimodal_search.serving.state import Opened

Count = Annotated[int, Form(ge=1, le=MAX_HITS)]


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/predict", tags=["older clients"])

    async def hits_of(query: Query, files: Mapping[str, Path]) -> list[PredictedScene]:
        opened = services.opened
        found = await services.search(lambda: moments(opened, services.asking.hits(opened, query, files, {})))
        return [PredictedScene(similarity=round(one.score, 4), **_described(one)) for one in found]

    @routes.post("/text", responses=documented(408, 413, 422, 503))
    async def by_text(
        query: Annotated[Text, Form(min_length=1, max_length=2000)], top_k: Count = 5
    ) -> Predicted:
        """Scenes by words."""
        asked = Query(parts=[AskedPart(text=query)], k=top_k)
        return Predicted(query=query, results=await hits_of(asked, {}))

    @routes.post("/image", responses=documented(408, 413, 422, 503))
    async def by_image(file: Annotated[UploadFile, File()], top_k: Count = 5) -> Predicted:
        """Scenes by a picture."""
        content = await file.read(services.max_upload_bytes + 1)
        if len(content) > services.max_upload_bytes:
            raise HTTPException(413, "The file is too large.")
        kept = await services.draw(lambda: services.uploads.keep(content, None))
        asked = Query(parts=[AskedPart(image="@image")], k=top_k)
        return Predicted(results=await hits_of(asked, {"@image": kept.path}))

    @routes.get("/vector_db", response_model=list[MappedScene], responses=documented())
    def vector_db(request: Request) -> Response:
        """Every scene and its place on the map, as JSON; ``/map`` is the quick way."""
        opened = services.opened
        return packed(opened.map.kept("scenes", lambda: _scenes(opened)), "application/json", request)

    return routes


def _scenes(opened: Opened) -> bytes:
    """JSON: each scene by its first moment."""
    first: dict[str, str] = {}
    for one, scene in zip(opened.map.ids, opened.map.moments["scene_id"].to_pylist(), strict=True):
        first.setdefault(scene, one)
    described = moments(opened, [opened.moment(one) for one in first.values()])
    scenes = [MappedScene(**_described(one)).model_dump(mode="json") for one in described]
    return json.dumps(scenes, ensure_ascii=False).encode()


def _described(one: Moment) -> dict[str, Any]:
    return {
        "scene_id": one.scene_id,
        "image_url": one.image_url,
        "description": one.text,
        "location": one.location,
        "x": one.x,
        "y": one.y,
        "thumbnail_url": one.thumbnail_url,
        "metadata": one.metadata,
    }
