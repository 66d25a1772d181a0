"""What a client may ask: JSON, checked, and made into what a ``Searcher`` takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_HITS = 1000
MAX_PARTS = 32
MAX_IDS = 1_000_000


def _encodable(value: str) -> str:
    """JSON may hold half a character, which no encoder takes."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("half of a character (a lone surrogate)") from None
    return value


Text = Annotated[str, AfterValidator(_encodable)]
Name = Annotated[Text, Field(min_length=1, max_length=1000)]
Words = Annotated[Text, Field(min_length=1, max_length=2000)]


class Asked(BaseModel):
    """What comes from a client; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Stretch(Asked):
    """A part of a moment's signal, in the seconds of ``/signals``."""

    id: Name
    start_seconds: float
    end_seconds: float


class AskedPart(Asked):
    """One part of a query: exactly one of its kinds, and a weight; a negative one leads away from it."""

    text: Words | None = None
    id: Name | None = Field(default=None, description="more like this moment")
    image: Name | None = Field(
        default=None, description="an upload_id, or @image for the file of this request"
    )
    series: Name | None = Field(
        default=None, description="an upload_id, or @series for the file of this request"
    )
    series_of: Stretch | None = None
    weight: float = Field(default=1.0, ge=-100, le=100)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [
            kind for kind in ("text", "id", "image", "series", "series_of") if getattr(self, kind) is not None
        ]
        if len(given) != 1:
            raise ValueError("a part has exactly one of text, id, image, series, series_of")
        return self


class Query(Asked):
    """A whole query."""

    parts: list[AskedPart] = Field(
        max_length=MAX_PARTS, description="none: the moments that the filters leave, in the order of the data"
    )
    where: Annotated[Text, Field(max_length=4000)] | None = Field(
        default=None, description="a condition on metadata: weather == 'rain' and speed_max > 10"
    )
    after: Annotated[Text, Field(max_length=40)] | int | None = Field(
        default=None, description="first time that counts: ISO 8601, or microseconds since the epoch"
    )
    before: Annotated[Text, Field(max_length=40)] | int | None = Field(
        default=None, description="first time that does not count"
    )
    modality: Literal["image", "text", "timeseries"] | None = Field(
        default=None, description="which of the moments' vectors to compare with"
    )
    per_scene: int | None = Field(
        default=None, ge=1, le=MAX_HITS, description="at most so many moments of a scene"
    )
    diverse: bool = Field(default=False, description="hits that differ from each other")
    within: list[Name] | None = Field(default=None, max_length=MAX_IDS, description="only these moments")
    k: int = Field(default=10, ge=1, le=MAX_HITS)


class Chosen(Asked):
    """Moments by their ids."""

    ids: list[Name] = Field(min_length=1, max_length=100_000)


class Vote(Asked):
    """A scenario to be made or corrected."""

    name: Annotated[Text, Field(min_length=1, max_length=200, pattern=r"\S")]
    query: Query | None = Field(default=None, description="what it grows from; absent keeps the old one")
    up: list[Name] = Field(default=[], max_length=1000, description="moments that belong to it")
    down: list[Name] = Field(default=[], max_length=1000, description="moments that do not")
    withdraw: list[Name] = Field(
        default=[], max_length=1000, description="moments whose votes are taken back"
    )


class Again(Asked):
    """A scenario asked again."""

    k: int = Field(default=10, ge=1, le=MAX_HITS)


class Login(Asked):
    """The page's form."""

    token: Annotated[Text, Field(min_length=1, max_length=1000)]


def references(query: Query) -> set[str]:
    """The uploads that a query names."""
    return {name for part in query.parts for name in (part.image, part.series) if name is not None}


def json_schema_of(model: type[BaseModel], known: dict[str, Any]) -> dict[str, Any]:
    """A reference to the model's schema, which goes into ``known`` with all that it needs."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    known.update(schema.pop("$defs", {}))
    known[model.__name__] = schema
    return {"$ref": f"#/components/schemas/{model.__name__}"}
