"""``/scenarios``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from multimodal_search.serving import describing
from multimodal_search.serving.answers import Found, ScenarioInfo
from multimodal_search.serving.judging import Judging
from multimodal_search.serving.problems import documented
from multimodal_search.serving.queries import Again, Vote
from multimodal_search.serving.services import Services, json_of

Name = Annotated[str, Path(min_length=1, max_length=200)]


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["scenarios"])
    judging = Judging(services.asking)

    @routes.get("/scenarios", responses=documented(503))
    def scenarios() -> list[ScenarioInfo]:
        """All scenarios, by name."""
        return judging.known(services.opened)

    @routes.post("/scenarios", responses=documented(408, 413, 422, 503))
    def save(vote: Vote) -> ScenarioInfo:
        """Make a scenario, or add votes to it; what is answered with 200 is on the disk."""
        return judging.save(services.opened, vote)

    @routes.post(
        "/scenarios/{name:path}/run", response_model=Found, responses=documented(404, 408, 413, 422, 503)
    )
    async def run(name: Name, request: Request, again: Again | None = None) -> Response:
        """The moments of a scenario, in the data of today."""
        opened = services.opened
        k = (again or Again()).k

        def work() -> Found:
            took_ms: dict[str, float] = {}
            with services.metrics.step("search", took_ms):
                hits = judging.run(opened, name, k)
            return Found(hits=describing.moments(opened, hits), took_ms=took_ms)

        return json_of(await services.search(work), request)

    @routes.delete("/scenarios/{name:path}", status_code=204, responses=documented(404, 422, 503))
    def delete(name: Name) -> None:
        """Remove a scenario."""
        judging.delete(services.opened, name)

    return routes
