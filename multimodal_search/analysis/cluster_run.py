"""``multimodal-search cluster``: vectors in, clusters with names out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.analysis.cluster import (
    Clusters,
    Points,
    cut,
    density_tree,
    k_means,
    normalised,
    reduce,
)
from multimodal_search.analysis.cluster_files import (
    CLUSTERS_FILE,
    SUMMARY_FILE,
    noise_ratio,
    read_labels,
    write_clusters,
)
from multimodal_search.analysis.cluster_score import SCORE, against_labels, cluster_means, score
from multimodal_search.analysis.naming import name_of, telling_terms
from multimodal_search.analysis.pca import write_report
from multimodal_search.analysis.rows import texts_of, usable_rows, write_left_out
from multimodal_search.errors import DataError, SettingsError
from multimodal_search.settings import ClusterSettings
from multimodal_search.storage import ensure_writable_folder, write_json
from multimodal_search.tables.vectors import VectorSet, open_vectors
from multimodal_search.types import FloatArray

_LOG = logging.getLogger(__name__)
_REPRESENTATIVES = 5


def run(settings: ClusterSettings) -> dict[str, Any]:
    """Cluster, and write ``clusters.csv`` and ``summary.json``.

    Returns:
        The summary.

    Raises:
        ProjectError: nothing to cluster, fewer rows than a cluster, labels of other rows, a full disk.
    """
    folder = ensure_writable_folder(settings.out)
    vectors, left = usable_rows(
        open_vectors(settings.embeddings, ids=settings.ids, modality=settings.modality)
    )
    truth = None if settings.labels is None else read_labels(settings.labels, vectors.ids)
    if settings.method == "hdbscan" and len(vectors) < settings.min_cluster_size:
        raise DataError(
            f"{len(vectors)} usable rows are fewer than one cluster of {settings.min_cluster_size}.",
            where=vectors.location,
            remedy="a smaller --min-cluster-size",
        )
    points = reduce(normalised(vectors.array(), settings.normalize), settings, settings.pca)
    if settings.pca_report is not None:
        components = points.components
        if components is None:
            raise SettingsError("--pca-report without --pca.", remedy="--pca 0.95, for example")
        write_report(settings.pca_report, components)
    clusters = group(points.reduced, settings)
    summary = summarise(vectors, points, clusters, settings, truth)
    summary = {"n_total": len(vectors), "n_left_out": len(left), **summary}
    write_clusters(folder / CLUSTERS_FILE, vectors.ids, clusters.labels, clusters.prob)
    write_left_out(folder, left)
    write_json(folder / SUMMARY_FILE, summary)
    _tell(folder, summary)
    return summary


def group(reduced: FloatArray, settings: ClusterSettings) -> Clusters:
    """Clusters of (n, dim) rows by the chosen method."""
    if settings.method == "kmeans":
        return k_means(reduced, settings.n_clusters, settings.seed, settings.metric)
    tree = density_tree(reduced, settings, settings.min_samples or settings.min_cluster_size)
    return cut(tree, settings.min_cluster_size, settings.cluster_selection_method)


def summarise(
    vectors: VectorSet,
    points: Points,
    clusters: Clusters,
    settings: ClusterSettings,
    truth: Sequence[str | None] | None,
) -> dict[str, Any]:
    """What ``summary.json`` holds."""
    labels, prob = clusters.labels, clusters.prob
    inside = labels >= 0
    found = {
        "n_noise": int((~inside).sum()),
        "noise_ratio": round(noise_ratio(labels), 6),
        "n_clusters": clusters.count,
        "mean_prob": round(float(prob[inside].mean()), 6) if inside.any() else 0.0,
        "score": round(score(points.scored, labels), 6),
        "score_is": SCORE,
        "n_dimensions": int(points.reduced.shape[1]),
    }
    if truth is not None:
        found["against_labels"] = against_labels(labels, truth)
    found["settings"] = settings.model_dump(mode="json", exclude={"out"}, exclude_none=True)
    found["clusters"] = _described(vectors, points, clusters)
    return found


def _described(vectors: VectorSet, points: Points, clusters: Clusters) -> list[dict[str, Any]]:
    if not clusters.count:
        return []
    texts = texts_of(vectors)
    terms: list[list[str]] = (
        [[] for _ in range(clusters.count)] if texts is None else telling_terms(texts, clusters.labels)
    )
    means = cluster_means(points.scored, clusters.labels)
    found = []
    for number in range(clusters.count):
        mine = np.flatnonzero(clusters.labels == number)
        away = np.square(points.scored[mine] - means[number]).sum(axis=1)
        nearest = mine[np.lexsort((mine, away))][:_REPRESENTATIVES]
        found.append(
            {
                "cluster_id": number,
                "size": len(mine),
                "name": name_of(terms[number]) or f"cluster {number}",
                "terms": terms[number],
                "mean_prob": round(float(clusters.prob[mine].mean()), 4),
                "representatives": [vectors.ids[row] for row in nearest.tolist()],
            }
        )
    return found


def _tell(folder: Path, summary: dict[str, Any]) -> None:
    for one in summary["clusters"][:20]:
        _LOG.info("%5d rows  %s: %s", one["size"], one["cluster_id"], one["name"])
    if summary["n_clusters"] > 20:
        _LOG.info("... and %d clusters more", summary["n_clusters"] - 20)
    if not summary["n_clusters"]:
        _LOG.warning("all rows are noise: try a smaller --min-cluster-size or --min-samples, or --umap")
    if summary["n_left_out"]:
        _LOG.warning("%d rows are in no cluster (zero or not finite): left_out.csv", summary["n_left_out"])
    if "against_labels" in summary:
        _LOG.info(
            "against labels: ARI %(ari).3f, NMI %(nmi).3f, purity %(purity).3f", summary["against_labels"]
        )
    _LOG.info(
        "%d clusters of %d rows, %.1f %% noise, mean probability %.3f, score %.3f (%s); in %s",
        summary["n_clusters"],
        summary["n_total"],
        100 * summary["noise_ratio"],
        summary["mean_prob"],
        summary["score"],
        SCORE,
        folder,
    )
