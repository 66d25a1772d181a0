"""``/map``: points, ids, columns and names."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from multimodal_search.serving.answers import ClusterName
from multimodal_search.serving.problems import Responses, documented
from multimodal_search.serving.services import Services, packed

_BINARY = "application/octet-stream"
_COLUMNS: Responses = {200: {"description": "little-endian columns", "content": {_BINARY: {}}}}


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["map"])

    @routes.get("/map", response_class=Response, responses={**documented(), **_COLUMNS})
    def points(request: Request) -> Response:
        """Where every moment lies: ``MMSMAP01``, uint32 n, float32 x[n], float32 y[n]."""
        return packed(services.opened.map.points(), _BINARY, request)

    @routes.get("/map/ids", response_model=list[str], responses=documented())
    def ids(request: Request) -> Response:
        """The moments' ids, in the order of the points."""
        return packed(services.opened.map.id_list(), "application/json", request)

    @routes.get("/map/clusters", responses=documented())
    def clusters() -> list[ClusterName]:
        """Names that stand on the map."""
        return services.opened.map.clusters

    @routes.get(
        "/map/column/{field}", response_class=Response, responses={**documented(404, 422), **_COLUMNS}
    )
    def column(field: Annotated[str, Path(min_length=1, max_length=200)], request: Request) -> Response:
        """A field of every moment, to colour by, or ``cluster``.

        ``MMSCOL01``, uint32 kind, uint32 n. Kind 0: float32 values[n], NaN where there is none. Kind 1:
        uint16 codes[n], 65535 where there is none, two bytes of padding if n is odd, uint32 length, and the
        names as JSON.
        """
        return packed(services.opened.map.column(field), _BINARY, request)

    return routes
