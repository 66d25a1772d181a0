"""Settings of the search page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from multimodal_search.settings.models import Device, Folder, Place, S3Settings


class ServeSettings(S3Settings):
    """The search page and its API over a bundle."""

    bundle: Place = Field(description="what training wrote: a folder, or s3://bucket/prefix")
    host: str = Field("127.0.0.1", description="address to listen on; beyond this machine it needs --token")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    token: str | None = Field(
        None,
        min_length=16,
        description="what a client must show (default: MULTIMODAL_SEARCH_TOKEN: others can see a flag)",
    )
    images_root: Place | None = Field(
        None, description="folder or s3:// prefix of the pictures (default: the data's own)"
    )
    device: Device = Field("auto", description="where queries are encoded")
    workers: int = Field(1, ge=1, le=64, description="processes; vectors are shared between them")
    cache_dir: Folder | None = Field(
        None, description="where thumbnails are kept (default: the user's cache)"
    )
    cache_gb: float = Field(
        5.0, gt=0, allow_inf_nan=False, description="largest size of these; the longest unseen go first"
    )
    max_upload_mb: float = Field(20.0, gt=0, le=1000, description="largest upload")
    rate_per_second: float = Field(50.0, gt=0, description="requests a second of one address, in the mean")
    concurrency: int = Field(256, ge=1, description="requests at work at once; more are told to come again")
    cors_origin: list[str] = Field([], description="other origins whose pages may ask; none by default")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
