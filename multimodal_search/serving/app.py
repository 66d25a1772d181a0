"""The application: parts, routes, and what stands before them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from multimodal_search import __version__
from multimodal_search.serving import (
    compat,
    map_routes,
    moment_routes,
    page_routes,
    problems,
    scenario_routes,
    search_routes,
)
from multimodal_search.serving.asking import Asking
from multimodal_search.serving.kept_files import KeptFiles
from multimodal_search.serving.limits import Limits, Rate
from multimodal_search.serving.measuring import Metrics
from multimodal_search.serving.pictures import Pictures
from multimodal_search.serving.queries import Chosen, Query, json_schema_of
from multimodal_search.serving.security import Guard, Keeper
from multimodal_search.serving.services import Services
from multimodal_search.serving.state import Served
from multimodal_search.serving.uploads import Uploads
from multimodal_search.settings.serving import ServeSettings
from multimodal_search.storage import user_cache_dir

_BURST_SECONDS = 8.0  # a page shows many thumbnails at once


def build(settings: ServeSettings, uploads: Path | None = None) -> tuple[ASGIApp, Services]:
    """The application and its parts.

    Args:
        uploads: a folder that all workers share; by default one of its own.

    Raises:
        BundleError: the folder holds no whole bundle.
        EncoderError, SettingsError: as ``Searcher.open``.
    """
    metrics = Metrics()
    folder = uploads or Path(tempfile.mkdtemp(prefix="multimodal-search-uploads-"))
    served = Served(Path(settings.bundle), settings.device, metrics)
    kept = Uploads(folder)
    services = Services(
        served=served,
        uploads=kept,
        pictures=Pictures(
            settings.images_root,
            KeptFiles(settings.cache_dir or user_cache_dir() / "thumbnails", int(settings.cache_gb * 1e9)),
        ),
        asking=Asking(kept, metrics),
        metrics=metrics,
        keeper=Keeper(settings.token),
        name=Path(settings.bundle).resolve().name,
        max_upload_bytes=int(settings.max_upload_mb * 1e6),
    )
    app: ASGIApp = _routes(services)
    each = settings.rate_per_second / settings.workers
    app = Limits(
        app,
        metrics,
        Rate(each, max(1.0, each * _BURST_SECONDS)),
        max(1, settings.concurrency // settings.workers),
        services.max_upload_bytes,
    )
    app = Guard(app, services.keeper, settings.host, settings.cors_origin)
    if settings.cors_origin:
        app = CORSMiddleware(
            app,
            allow_origins=settings.cors_origin,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return app, services


def _routes(services: Services) -> FastAPI:
    @asynccontextmanager
    async def watched(_: FastAPI) -> AsyncIterator[None]:
        stop = services.served.watch()
        try:
            yield
        finally:
            stop()

    app = _Described(
        title="multimodal-search",
        version=__version__,
        description="Find driving moments by words, by pictures and by vehicle signals.",
        docs_url=None,  # FastAPI's own pages load scripts from another host
        redoc_url=None,
        lifespan=watched,
    )
    problems.install(app)
    for module in (search_routes, moment_routes, map_routes, scenario_routes, page_routes, compat):
        app.include_router(module.router(services))
    return app


class _Described(FastAPI):
    """Its description has the types of bodies, too, that routes read themselves."""

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        known = schema.setdefault("components", {}).setdefault("schemas", {})
        for model in (Query, Chosen):
            json_schema_of(model, known)
        return schema
