"""What a client gets: typed, so that ``/openapi.json`` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from multimodal_search.export.moments import jsonable
from multimodal_search.search.hits import Hit


class Answer(BaseModel):
    """A typed answer."""

    model_config = ConfigDict(ser_json_inf_nan="null")


class Problem(Answer):
    """What is wrong, and the way out."""

    error: str
    remedy: str | None = None


class Moment(Answer):
    """A moment; in a list of hits its score is the cosine between query and vector."""

    id: str
    scene_id: str
    score: float
    text: str
    texts: list[str]
    location: str | None
    timestamp_us: int | None
    start_us: int | None
    end_us: int | None
    frames: list[str]
    image_url: str | None
    thumbnail_url: str | None
    signal_url: str | None
    metadata: dict[str, Any]
    x: float | None
    y: float | None


class Found(Answer):
    """Hits, best first."""

    hits: list[Moment]
    took_ms: dict[str, float] = Field(description="step -> milliseconds")


class TimelineEntry(Answer):
    """A moment of the same scene."""

    id: str
    timestamp_us: int | None
    thumbnail_url: str | None


class Recording(Answer):
    """Links that open the moment elsewhere."""

    foxglove_url: str
    rerun_url: str


class MomentPage(Moment):
    """A moment with its scene."""

    timeline: list[TimelineEntry]
    recording: Recording | None


class Channel(Answer):
    """A channel of a signal."""

    name: str
    unit: str


class Signal(Answer):
    """A moment's signal; null where there is no value."""

    channels: list[Channel]
    seconds: list[float]
    values: list[list[float | None]] = Field(description="a row a time, a value a channel")


class FieldInfo(Answer):
    """A field that a filter may ask."""

    model_config = ConfigDict(ser_json_inf_nan="null")

    name: str
    type: Literal["text", "number", "time", "bool"]
    values: list[str] | None = Field(default=None, description="the most frequent ones, at most 50")
    more: bool = Field(default=False, description="whether there are other values, too")
    min: float | int | None = None
    max: float | int | None = None


class Config(Answer):
    """What the page needs to know before the first query."""

    title: str
    bundle: str
    moments: int
    fields: list[FieldInfo]
    modalities: list[str]
    channels: list[Channel]
    languages: list[str]
    map: bool


class Upload(Answer):
    """A picture or a signal that queries may name for a while."""

    upload_id: str
    kind: Literal["image", "series"]


class ClusterName(Answer):
    """Where a cluster's name stands on the map."""

    name: str
    x: float
    y: float
    count: int


class ScenarioInfo(Answer):
    """A saved scenario."""

    name: str
    words: str
    up: list[str]
    down: list[str]
    where: str | None


class Health(Answer):
    """Whether it answers."""

    status: Literal["ok"]
    moments: int


class PredictedScene(Answer):
    """A hit as older clients know it."""

    scene_id: str
    image_url: str | None
    description: str
    location: str | None
    similarity: float
    x: float | None
    y: float | None
    thumbnail_url: str | None
    metadata: dict[str, Any]


class Predicted(Answer):
    """Hits as older clients know them."""

    query: str | None = None
    results: list[PredictedScene]


class MappedScene(Answer):
    """A scene on the map as older clients know it."""

    scene_id: str
    image_url: str | None
    description: str
    location: str | None
    similarity: float | None = None
    x: float | None
    y: float | None
    thumbnail_url: str | None
    metadata: dict[str, Any]


def url_of(kind: str, one: str) -> str:
    """``/thumbnails/<id>``; ids hold slashes, which are encoded."""
    return f"/{kind}/{quote(one, safe='')}"


def moment_of(hit: Hit, place: tuple[float, float] | None, texts: list[str]) -> Moment:
    """A hit as a client gets it: without paths."""
    picture = hit.image_path is not None
    return Moment(
        id=hit.id,
        scene_id=hit.scene_id,
        score=hit.score,
        text=hit.text,
        texts=texts,
        location=hit.location,
        timestamp_us=hit.timestamp_us,
        start_us=hit.start_us,
        end_us=hit.end_us,
        frames=list(hit.frames),
        image_url=url_of("images", hit.id) if picture else None,
        thumbnail_url=url_of("thumbnails", hit.id) if picture else None,
        # other signals (a CAN bus folder, s3://) cannot be read moment by moment
        signal_url=url_of("signals", hit.id) if (hit.series_path or "").endswith(".npy") else None,
        metadata=_plain(hit.metadata),
        x=None if place is None else place[0],
        y=None if place is None else place[1],
    )


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): jsonable(value) for key, value in metadata.items()}
