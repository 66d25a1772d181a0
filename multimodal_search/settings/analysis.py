"""Settings of maps, clusters and duplicates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from multimodal_search.settings.models import Folder, Place
from multimodal_search.settings.search import Metric, VectorSettings

Modality = Literal["image", "text", "timeseries"]
Selection = Literal["eom", "leaf"]
Size = Annotated[int, Field(ge=2)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0)]


class MapSettings(VectorSettings):
    """A flat map of the vectors."""

    out: Place = Field(description="folder or s3:// prefix for the map's files")
    n_neighbors: int = Field(15, ge=2, le=200, description="neighbours that UMAP keeps near")
    min_dist: float = Field(0.1, ge=0, le=1, description="how tightly UMAP packs points")
    metric: Metric = Field("cosine", description="what near means")
    seed: int = Field(0, ge=0, description="seed of the layout")
    color: str | None = Field(None, description="column or metadata field that colours the points")
    clusters: Folder | None = Field(None, description="clusters.csv of 'cluster': colours and names points")
    modality: Modality | None = Field(None, description="of a bundle: only rows of this kind")
    add_to: Folder | None = Field(None, description="a former map: place new rows, move none of the old")
    format: Literal["json", "parquet"] = Field("parquet", description="scenes_with_umap.json or map.parquet")


class ClusteringSettings(VectorSettings):
    """What is done before clusters are sought."""

    normalize: Literal["l2", "none"] = Field("l2", description="bring vectors to length 1")
    metric: Literal["euclidean", "cosine"] = Field("euclidean", description="of HDBSCAN")
    seed: int = Field(0, ge=0, description="seed of k-means, PCA and UMAP")
    umap: bool = Field(False, description="reduce by UMAP first")
    umap_n_components: int = Field(15, ge=2, description="dimensions that UMAP leaves")
    umap_n_neighbors: int = Field(30, ge=2, description="UMAP's neighbourhood")
    labels: Folder | None = Field(None, description="CSV of id,label: also print ARI, NMI and purity")
    modality: Modality | None = Field(None, description="of a bundle: only rows of this kind")


class ClusterSettings(ClusteringSettings):
    """Group the vectors."""

    out: Place = Field(description="folder or s3:// prefix for clusters.csv and summary.json")
    method: Literal["hdbscan", "kmeans"] = Field("hdbscan", description="how")
    pca: float = Field(0, ge=0, description="keep so many components, or this share of variance; 0: all")
    min_cluster_size: int = Field(10, ge=2, description="of HDBSCAN")
    min_samples: int | None = Field(None, ge=1, description="of HDBSCAN (default: as --min-cluster-size)")
    cluster_selection_method: Selection = Field("eom", description="of HDBSCAN")
    n_clusters: int = Field(20, ge=2, description="of k-means")
    pca_report: Folder | None = Field(None, description="CSV of the variance that each component explains")


class SweepSettings(ClusteringSettings):
    """Try a grid of settings of HDBSCAN."""

    out: Place = Field(
        description="folder or s3:// prefix for sweep_results.csv, best_config.yaml, best_clusters.csv"
    )
    min_cluster_sizes: list[Size] = Field([5, 10, 20, 50], min_length=1, description="to try")
    min_samples_values: list[Count] = Field([1, 5, 10], min_length=1, description="to try")
    methods: list[Selection] = Field(["eom", "leaf"], min_length=1, description="cluster selections to try")
    pcas: list[Share] = Field([0], min_length=1, description="values of 'cluster --pca' to try")
    num_processes: int = Field(2, ge=1, description="settings tried at the same time")


class DuplicatesSettings(VectorSettings):
    """Near-duplicates, by embedding and by perceptual hash."""

    out: Place = Field(description="folder or s3:// prefix for duplicates.csv, keep.txt and the rest")
    threshold: float = Field(0.98, gt=0, le=1, description="cosine from which two rows count as the same")
    hash_distance: int = Field(4, ge=0, le=16, description="bits in which perceptual hashes may differ")
    split_column: str | None = Field(None, description="column whose values are splits: leaks are flagged")
    by: Literal["auto", "embedding", "phash"] = Field(
        "auto", description="what to compare; auto: embeddings, and the column phash where there is one"
    )
    exact: bool | None = Field(None, description="compare all pairs (default: up to 200,000 rows)")
    modality: Modality | None = Field(None, description="of a bundle: only rows of this kind")
