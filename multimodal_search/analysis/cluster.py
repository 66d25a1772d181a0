"""Rows grouped by density (HDBSCAN) or around centres (k-means)."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.cluster import HDBSCAN, KMeans

from multimodal_search.analysis.cluster_tree import Tree, spanning_tree
from multimodal_search.analysis.graph import Graph
from multimodal_search.analysis.layout import lay_out, near_graph
from multimodal_search.analysis.pca import Components, principal_components
from multimodal_search.errors import DataError
from multimodal_search.settings.analysis import ClusteringSettings
from multimodal_search.settings.search import Metric
from multimodal_search.types import FloatArray, IntArray

_LOG = logging.getLogger(__name__)
_STARTS = 4
_LEAST_NEIGHBOURS, _MORE_NEIGHBOURS = 32, 16


@dataclass(frozen=True, slots=True)
class Points:
    """Vectors made ready for clustering.

    Attributes:
        scored: (n, dim) normalised as asked, not reduced: where clusters are scored.
        reduced: (n, reduced dim) what is clustered.
        components: of PCA; None without it.
    """

    scored: FloatArray
    reduced: FloatArray
    components: Components | None


@dataclass(frozen=True, slots=True)
class Clusters:
    """Attributes:
    labels: (n,) int64 from 0, the largest cluster first; -1 is noise.
    prob: (n,) how surely a row belongs: HDBSCAN's membership; for k-means 1 - (own / next centre's distance).
    """

    labels: IntArray
    prob: FloatArray

    @property
    def count(self) -> int:
        return int(self.labels.max()) + 1


def normalised(vectors: FloatArray, normalize: Literal["l2", "none"]) -> FloatArray:
    """(n, dim) float32, of length one where asked."""
    if normalize == "none":
        return np.asarray(vectors, dtype=np.float32)
    large = np.abs(vectors).max(axis=1, keepdims=True)  # squares of tiny or huge values leave float32
    scaled = vectors / large
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True), dtype=np.float32)


def reduce(scored: FloatArray, settings: ClusteringSettings, pca: float) -> Points:
    """PCA, then UMAP, each where asked.

    Raises:
        SettingsError: more components than there are.
        DataError: rows that PCA leaves without a direction, and cosine distance.
    """
    reduced, components = scored, None
    if pca:
        components = principal_components(scored)
        reduced = components.apply(scored, components.count_for(pca))
    if settings.umap:
        reduced = lay_out(
            reduced,
            settings.seed,
            n_neighbors=settings.umap_n_neighbors,
            min_dist=0.0,
            metric=_metric(settings),
            n_components=settings.umap_n_components,
        ).astype(np.float32)
    if settings.metric == "cosine" and not reduced.any(axis=1).all():
        raise DataError(
            f"{int((~reduced.any(axis=1)).sum())} rows are zero after PCA and have no cosine.",
            remedy="--metric euclidean, or more components",
        )
    return Points(scored, reduced, components)


def density_tree(reduced: FloatArray, settings: ClusteringSettings, min_samples: int) -> Tree:
    """The tree that HDBSCAN cuts: one for all ``min_cluster_size`` and both selection methods.

    Raises:
        DataError: fewer rows than ``min_samples``.
    """
    graph = density_graph(reduced, settings, neighbours_for(min_samples, len(reduced)))
    return spanning_tree(reduced, graph, min_samples)


def neighbours_for(min_samples: int, n: int) -> int:
    """How many others a tree's graph has: at least 32, and 16 beyond ``min_samples``.

    Raises:
        DataError: fewer rows than ``min_samples``.
    """
    if min_samples > n:
        raise DataError(f"{n} rows are fewer than --min-samples {min_samples}.", remedy="a smaller one")
    return min(max(_LEAST_NEIGHBOURS, min_samples + _MORE_NEIGHBOURS), n - 1)


def density_graph(reduced: FloatArray, settings: ClusteringSettings, k: int) -> Graph:
    """The graph that a tree is made from."""
    return near_graph(reduced, k, _metric(settings), settings.seed)


def cut(tree: Tree, min_cluster_size: int, method: Literal["eom", "leaf"]) -> Clusters:
    """Clusters of a tree by HDBSCAN (Campello, Moulavi and Sander, 2013), with scikit-learn's own condensing.

    Raises:
        DataError: fewer rows than a cluster has.
    """
    if tree.n < min_cluster_size:
        raise DataError(
            f"{tree.n} rows are fewer than one cluster of {min_cluster_size}.",
            remedy=f"--min-cluster-size of at most {max(2, tree.n // 4)}",
        )
    # min_samples=1: the core distances are in the tree's lengths already
    model = HDBSCAN(
        min_cluster_size=min_cluster_size,
        min_samples=1,
        metric="precomputed",
        cluster_selection_method=method,
        copy=False,
    ).fit(tree.matrix())
    return _by_size(model.labels_, model.probabilities_)


def k_means(reduced: FloatArray, n_clusters: int, seed: int, metric: str) -> Clusters:
    """Lloyd's k-means, the best of four starts by k-means++; by cosine: on rows of length one.

    Raises:
        DataError: fewer rows than clusters.
    """
    if len(reduced) < n_clusters:
        raise DataError(
            f"{len(reduced)} rows cannot make {n_clusters} clusters.", remedy="a smaller --n-clusters"
        )
    points = normalised(reduced, "l2") if metric == "cosine" else reduced
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than clusters: told below
        model = KMeans(n_clusters, n_init=_STARTS, random_state=seed, copy_x=True).fit(points)
    away = np.sort(model.transform(points), axis=1)
    prob = np.where(away[:, 1] > 0, 1.0 - away[:, 0] / np.where(away[:, 1] > 0, away[:, 1], 1.0), 1.0)
    found = _by_size(model.labels_, prob)
    if found.count < n_clusters:
        _LOG.warning("%d clusters, not %d: the rows have no more distinct values", found.count, n_clusters)
    return found


def _by_size(labels: Any, prob: Any) -> Clusters:
    """Numbers by size, the largest first; of equal size, the one that appears first."""
    labels = np.asarray(labels, dtype=np.int64)
    names, first, sizes = np.unique(labels[labels >= 0], return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.full(int(names.max()) + 2 if len(names) else 1, -1, dtype=np.int64)
    number[names[order]] = np.arange(len(names))
    # -1 takes the last place, which is -1
    return Clusters(number[labels], np.nan_to_num(np.asarray(prob, dtype=np.float64), nan=0.0))


def _metric(settings: ClusteringSettings) -> Metric:
    return "cosine" if settings.metric == "cosine" else "l2"
