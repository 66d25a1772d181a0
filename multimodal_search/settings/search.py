"""Settings of the index and of search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from multimodal_search.settings.models import BundleSettings, Folder, Place, S3Settings, Settings

Metric = Literal["cosine", "l2", "ip"]


class VectorSettings(S3Settings):
    """Which vectors a command reads: a feature table, a bundle, a Parquet file, or .npy with its ids."""

    embeddings: str = Field(
        description="a feature table, a bundle, .parquet, or .npy; local or s3://",
        json_schema_extra={"flags": ["--emb"]},
    )
    ids: Folder | None = Field(None, description="with .npy: one id a line (default: the .ids.txt beside it)")


class EngineSettings(Settings):
    """Another engine than a local index."""

    backend: Literal["faiss", "qdrant", "qdrant-edge"] = Field("faiss", description="which engine holds it")
    url: str | None = Field(None, description="of a Qdrant (or a folder, for its local mode and qdrant-edge)")
    api_key: str | None = Field(None, description="of a Qdrant (default: $QDRANT_API_KEY)")
    collection: str | None = Field(None, description="name in Qdrant (default: by fingerprint)")


class IndexSettings(EngineSettings, S3Settings):
    """Build an index, change or copy one, or load the vectors into an engine that is there."""

    embeddings: str | None = Field(
        None,
        description="a feature table, a bundle, .parquet, or .npy; local or s3://",
        json_schema_extra={"flags": ["--emb"]},
    )
    ids: Folder | None = Field(None, description="with .npy: one id a line (default: the .ids.txt beside it)")
    out: str | None = Field(
        None,
        description="the index file, for example moments.faiss, local or s3:// "
        "(of a bundle: its vectors/index.faiss)",
    )
    type: Literal["auto", "flat", "hnsw", "ivfflat", "ivfpq", "sq8"] = Field(
        "auto", description="kind of index; auto chooses by count, dimension and memory, and measures"
    )
    metric: Metric = Field("cosine", description="what near means")
    memory_budget: str | None = Field(None, description="most memory for the index, for example 2GB")
    target_recall: float = Field(0.95, gt=0, le=1, description="recall@10 against exact search to tune for")
    seed: int = Field(0, ge=0, description="seed of training and measuring")
    append: bool = Field(False, description="add the rows that --out lacks, without building it again")
    delete: Folder | None = Field(None, description="ids that --out shall never find again, one a line")
    backup: str | None = Field(None, description="s3://bucket/prefix that receives index and metadata")
    restore: str | None = Field(None, description="bring --out back from what --backup was given")
    shards: int | None = Field(None, ge=1, description="parts of a new collection on a Qdrant cluster")
    replicas: int | None = Field(None, ge=1, description="copies of each part on a Qdrant cluster")
    quantize: bool = Field(False, description="a new Qdrant collection searches 8-bit copies, then rescores")
    format: Literal["index", "lancedb", "cosmos"] = Field(
        "index", description="an index, or plain Parquet (id, embedding, metadata) for another program"
    )


def _one_or_more(value: Any) -> Any:
    """YAML may say ``text: rain`` as well as a list."""
    return [value] if isinstance(value, str | Path) else value


_REPEATED: dict[str, Any] = {"repeated": True}
Words = Annotated[list[str], BeforeValidator(_one_or_more)]


class SearchSettings(BundleSettings, EngineSettings):
    """Ask a bundle, or plain vectors, by words, a picture, a signal, an id, a vector, or several of these."""

    index: str | None = Field(
        None, description="instead of a bundle: an index file, a feature table, .parquet, or .npy with ids"
    )
    ids: Folder | None = Field(None, description="with --index x.npy: one id a line")
    text: Words = Field(
        [], description="words, in any language the text encoder knows", json_schema_extra=_REPEATED
    )
    image: Words = Field([], description="a picture", json_schema_extra=_REPEATED)
    series: Words = Field(
        [], description="a signal: .npy of shape (T, D), channels as in the data", json_schema_extra=_REPEATED
    )
    id: Words = Field([], description="more like this moment", json_schema_extra=_REPEATED)
    vector: Words = Field([], description="a vector: .npy of shape (D,)", json_schema_extra=_REPEATED)
    not_text: Words = Field([], description="away from these words", json_schema_extra=_REPEATED)
    not_image: Words = Field([], description="away from this picture", json_schema_extra=_REPEATED)
    not_id: Words = Field([], description="away from this moment", json_schema_extra=_REPEATED)
    weights: list[str] = Field(
        [], description="of the parts in their order, for example text=2 or text=1:0.5, not-text=0.3"
    )
    where: str | None = Field(
        None, description="a filter on metadata: \"location == 'tokyo' and speed_max > 10\""
    )
    after: str | None = Field(None, description="first time that counts: ISO 8601 or microseconds")
    before: str | None = Field(None, description="first time that does not: ISO 8601 or microseconds")
    modality: Literal["image", "text", "timeseries"] | None = Field(
        None,
        description="which of the moments' vectors to compare with (default: by what the query is)",
        json_schema_extra={"flags": ["--against"]},
    )
    k: int = Field(10, ge=1, description="how many moments", json_schema_extra={"flags": ["-k", "--topk"]})
    metric: Metric | None = Field(None, description="what near means (default: the index's own, or cosine)")
    per_scene: int | None = Field(None, ge=1, description="at most so many moments of one scene")
    diverse: bool = Field(False, description="choose moments that differ from each other")
    merge_seconds: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="frames of a scene this near in time are one moment (default: 2.5 intervals of the data)",
    )
    out: Place | None = Field(
        None, description="write the hits to a .csv, .json or .parquet file, local or s3://"
    )
    montage: Place | None = Field(
        None, description="draw the hits of a bundle on a sheet: .png or .jpg, local or s3://"
    )
    json_output: bool = Field(False, description="print JSON lines instead of a table")


class SearchAllSettings(VectorSettings):
    """The neighbours of every row."""

    out: Place = Field(description="folder or s3:// prefix for one CSV a row, neighbors.parquet and a log")
    topk: int = Field(10, ge=1, le=1000, description="neighbours a row, itself left out")
    metric: Metric = Field("cosine", description="what near means")
    exact: bool | None = Field(None, description="compare all pairs (default: up to 200,000 rows)")
    csv: bool = Field(True, description="write a CSV a row; --no-csv writes the Parquet file alone")
    modality: Literal["image", "text", "timeseries"] | None = Field(
        None, description="of a bundle: only rows of this kind"
    )


class ScenarioSettings(BundleSettings):
    """Named scenarios of a bundle: a query and judged hits, which find more of their kind."""

    name: str | None = Field(None, description="of the scenario; without one, all are listed")
    text: Words = Field([], description="words that it grows from", json_schema_extra=_REPEATED)
    image: Words = Field([], description="a picture that it grows from", json_schema_extra=_REPEATED)
    up: Words = Field([], description="id of a moment that belongs to it", json_schema_extra=_REPEATED)
    down: Words = Field([], description="id of a moment that does not", json_schema_extra=_REPEATED)
    withdraw: Words = Field(
        [], description="id of a moment whose vote is taken back", json_schema_extra=_REPEATED
    )
    where: str | None = Field(None, description="a filter on metadata")
    modality: Literal["image", "text", "timeseries"] | None = Field(
        None, description="which of the moments' vectors to compare with (default: by what the query is)"
    )
    k: int = Field(10, ge=1, description="how many moments", json_schema_extra={"flags": ["-k", "--topk"]})
    delete: bool = Field(False, description="remove the scenario")
    json_output: bool = Field(False, description="print JSON lines instead of a table")
