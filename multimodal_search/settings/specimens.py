"""Settings of 3D specimens: rendering, pooling, and the chain from meshes to a page."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from multimodal_search.settings.models import Device, Folder, Place, S3Settings

Renderer = Literal["zbuffer", "vtk"]
ViewPool = Literal["mean", "max", "gem", "concat"]
Degrees = Annotated[float, Field(ge=-90, le=90)]


class ViewSettings(S3Settings):
    """How a specimen is looked at."""

    views: int = Field(12, ge=1, le=100, description="pictures a specimen")
    size: int = Field(768, ge=32, le=4096, description="side of a picture in pixels")
    seed: int = Field(0, ge=0, description="turns all cameras together; the same for every specimen")
    elevations: list[Degrees] = Field(
        [], description="rings of cameras at these degrees over the horizon (default: evenly on the sphere)"
    )
    background: str = Field("white", description="white, black, grey or #rrggbb")
    up: Literal["x", "y", "z"] = Field("z", description="which axis of the files points up")
    align: Literal["none", "principal"] = Field(
        "none", description="principal: turn each specimen to its own axes, where files lie in any position"
    )
    renderer: Renderer = Field(
        "zbuffer", description="zbuffer: needs nothing but pip; vtk: needs the package vtk and OpenGL"
    )
    num_processes: int | None = Field(None, ge=1, description="specimens at a time (default: one a core)")
    timeout_seconds: float = Field(
        300.0,
        gt=0,
        allow_inf_nan=False,
        description="most time for one specimen; then it is listed as failed",
    )
    memory_gb: float = Field(
        4.0, ge=0.5, allow_inf_nan=False, description="most memory for one specimen (on Linux)"
    )
    overwrite: bool = Field(False, description="make all anew, also by other settings than before")


class RenderSettings(ViewSettings):
    """Meshes and point clouds in, pictures from all sides out."""

    input: Folder = Field(
        description="a folder of .ply, .obj, .stl and .off, searched with its subfolders",
        json_schema_extra={"flags": ["--in"]},
    )
    out: Place = Field(description="folder or s3:// prefix for <category>/<specimen>_viewNN.png")
    format: Literal["png", "jpg"] = Field("png", description="of the pictures")


class PoolSettings(S3Settings):
    """Views' vectors in, a vector a specimen out."""

    features: Folder = Field(description="folder of (views, dim) .npy files: what 'embed --views' wrote")
    out: Place = Field(
        description="folder or s3:// prefix for embeddings.npy, ids.txt and embeddings.parquet"
    )
    pool: ViewPool = Field(
        "mean", description="mean, max, generalised mean, or all views one after the other"
    )
    gem_power: float = Field(3.0, gt=0, le=100, description="of gem: 1 is the mean, large values the maximum")
    normalize: bool = Field(True, description="L2-normalise what comes out")


class SpecimensSettings(ViewSettings):
    """Meshes in, a page of look-alikes out: render, embed, pool, search-all, cluster-sweep, cluster, map."""

    input: Folder = Field(
        description="a folder of .ply, .obj, .stl and .off, searched with its subfolders",
        json_schema_extra={"flags": ["--in"]},
    )
    out: Place = Field(description="folder or s3:// prefix for all that is made; index.html is the page")
    encoder: str = Field("hf/facebook/dinov2-small", description="family/model, as of 'embed'")
    weights: str | None = Field(None, description="a published tag, a local file or folder, or 'random'")
    encoder_pool: Literal["default", "cls", "mean"] = Field(
        "default", description="the model's own embedding, the class token, or the mean of patches"
    )
    batch_size: int = Field(32, ge=1, description="views a forward pass")
    device: Device = Field("auto", description="where the encoder runs")
    pool: ViewPool = Field("mean", description="how a specimen's views become one vector")
    topk: int = Field(10, ge=1, le=100, description="neighbours a specimen")
    min_cluster_sizes: list[Annotated[int, Field(ge=2)]] = Field(
        [3, 5, 10], min_length=1, description="of HDBSCAN, to try"
    )
    min_samples_values: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 3, 5], min_length=1, description="of HDBSCAN, to try"
    )
    pcas: list[Annotated[float, Field(ge=0)]] = Field(
        [0], min_length=1, description="values of 'cluster --pca' to try"
    )
    umap: bool = Field(False, description="reduce by UMAP before clusters are sought")
    labels: Folder | None = Field(
        None, description="CSV of id,label: ARI, NMI and purity of the clusters ('folder': the categories)"
    )
    title: str = Field("Specimens", description="of the page")
