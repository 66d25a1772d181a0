"""``multimodal-search cluster-sweep``: a grid of HDBSCAN's settings, in parallel; goes on after a kill."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from multimodal_search.analysis.cluster import (
    cut,
    density_graph,
    density_tree,
    neighbours_for,
    normalised,
    reduce,
)
from multimodal_search.analysis.cluster_files import read_labels, write_clusters
from multimodal_search.analysis.cluster_score import SCORE
from multimodal_search.analysis.graph import Graph
from multimodal_search.analysis.neighbors_cache import content_digest
from multimodal_search.analysis.rows import usable_rows, write_csv, write_left_out
from multimodal_search.analysis.sweep_trials import FOLDER, Ledger, Task, Trial, grid, run_task
from multimodal_search.errors import DataError, ProjectError
from multimodal_search.settings import ClusterSettings, SweepSettings, dump_settings
from multimodal_search.storage import ensure_writable_folder, write_atomically, write_json
from multimodal_search.tables.vectors import VectorSet, open_vectors
from multimodal_search.types import FloatArray

_LOG = logging.getLogger(__name__)
RESULTS_FILE, CONFIG_FILE, CLUSTERS_FILE = "sweep_results.csv", "best_config.yaml", "best_clusters.csv"
SUMMARY_FILE, BEST_FOLDER = "sweep_summary.json", "best"
_SETTINGS = ("pca", "min_samples", "min_cluster_size", "cluster_selection_method")
_FIGURES = ("n_dimensions", "noise_ratio", "n_clusters", "mean_prob", "score")
_AGAINST = ("n_labelled", "ari", "nmi", "purity")


def run(settings: SweepSettings) -> dict[str, Any]:
    """Try what has not been tried, and write the results and the best.

    Returns:
        The summary: which settings are best by the score; with labels also, apart, which by ARI.

    Raises:
        ProjectError: nothing to cluster, no setting that works, labels of other rows, a full disk.
    """
    folder = ensure_writable_folder(settings.out)
    ensure_writable_folder(folder / FOLDER)
    vectors, left = usable_rows(
        open_vectors(settings.embeddings, ids=settings.ids, modality=settings.modality)
    )
    truth = None if settings.labels is None else read_labels(settings.labels, vectors.ids)
    scored = normalised(vectors.array(), settings.normalize)
    ledger = Ledger(folder, _content(vectors, truth), settings)
    trials = list(grid(settings))
    missing = [trial for trial in trials if ledger.read(trial) is None]
    _LOG.info("%d settings: %d known, %d to try", len(trials), len(trials) - len(missing), len(missing))
    refused: dict[Trial, str] = {}
    for pca in dict.fromkeys(trial.pca for trial in missing):
        mine = [trial for trial in missing if trial.pca == pca]
        try:
            refused |= _try(scored, mine, ledger, truth, settings)
        except ProjectError as error:
            refused |= dict.fromkeys(mine, error.what)
            _LOG.warning("--pca %g: %s", pca, error.what)
    rows = [{**_of(one), **(ledger.read(one) or {"error": refused.get(one, "")})} for one in trials]
    _write_results(folder / RESULTS_FILE, rows, against=truth is not None)
    write_left_out(folder, left)
    return _write_best(folder, rows, scored, vectors, settings, against=truth is not None)


def _try(
    scored: FloatArray,
    trials: Sequence[Trial],
    ledger: Ledger,
    truth: Sequence[str | None] | None,
    settings: SweepSettings,
) -> dict[Trial, str]:
    """All trials of one reduction: the graph here, where every core helps; trees and cuts in processes.

    Returns:
        What could not be tried, and why.
    """
    reduced = reduce(scored, settings, trials[0].pca).reduced
    tasks: list[Task] = []
    graphs: dict[int, Graph] = {}
    refused: dict[Trial, str] = {}
    for min_samples in dict.fromkeys(trial.min_samples for trial in trials):
        mine = [one for one in trials if one.min_samples == min_samples]
        try:
            k = neighbours_for(min_samples, len(reduced))
        except DataError as error:
            refused |= dict.fromkeys(mine, error.what)
            continue
        if k not in graphs:
            graphs[k] = density_graph(reduced, settings, k)
        wanted = [(one, ledger.path(one)) for one in mine]
        tasks.append(Task(scored, reduced, graphs[k], min_samples, truth, wanted))
    if not tasks:
        return refused
    parallel = Parallel(n_jobs=min(settings.num_processes, len(tasks)), return_as="generator_unordered")
    done = 0
    for count in parallel(delayed(run_task)(task) for task in tasks):
        done += count
        _LOG.info("--pca %g: %d of %d", trials[0].pca, done, len(trials))
    return refused


def _write_best(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    scored: FloatArray,
    vectors: VectorSet,
    settings: SweepSettings,
    *,
    against: bool,
) -> dict[str, Any]:
    tried = [row for row in rows if "score" in row]
    if not tried:
        raise DataError(
            f"None of the {len(rows)} settings works: {rows[0].get('error')}",
            where=vectors.location,
            remedy="smaller --min-cluster-sizes and --min-samples-values",
        )
    best = max(tried, key=lambda row: (row["score"], -row["noise_ratio"]))
    chosen = ClusterSettings(
        **settings.model_dump(
            exclude={
                "min_cluster_sizes",
                "min_samples_values",
                "methods",
                "pcas",
                "num_processes",
                "labels",
                "out",
            }
        ),
        **{name: best[name] for name in _SETTINGS},
        out=str(folder / BEST_FOLDER),
    )
    tree = density_tree(reduce(scored, chosen, chosen.pca).reduced, chosen, best["min_samples"])
    clusters = cut(tree, chosen.min_cluster_size, chosen.cluster_selection_method)
    write_clusters(folder / CLUSTERS_FILE, vectors.ids, clusters.labels, clusters.prob)
    how = f"chosen by score: {SCORE}; no label had a say"
    with write_atomically(folder / CONFIG_FILE, "w") as file:
        file.write(f"# {how}\n{dump_settings(chosen)}")
    summary: dict[str, Any] = {"n_settings": len(rows), "chosen_by": how, "best": best}
    _LOG.info("best by score: %s", _said(best))
    if best["n_clusters"] < 2:
        _LOG.warning("no setting found two clusters: try smaller sizes, or --umap")
    if against:
        by_ari = max(tried, key=lambda row: row["ari"])
        summary["best_by_ari"] = by_ari
        _LOG.info("best by ARI (for comparison; not what best_config.yaml holds): %s", _said(by_ari))
    write_json(folder / SUMMARY_FILE, summary)
    return summary


def _write_results(path: Path, rows: Sequence[dict[str, Any]], *, against: bool) -> None:
    columns = [*_SETTINGS, *_FIGURES, *(_AGAINST if against else ()), "error"]
    write_csv(path, columns, [[row.get(name, "") for name in columns] for row in rows])


def _content(vectors: VectorSet, truth: Sequence[str | None] | None) -> str:
    labels = hashlib.blake2b(repr(truth).encode(), digest_size=8).hexdigest() if truth else ""
    return content_digest(vectors) + labels


def _of(trial: Trial) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in _SETTINGS}


def _said(row: dict[str, Any]) -> str:
    names = [*_SETTINGS, "n_clusters", "noise_ratio", "score", *(["ari"] if "ari" in row else [])]
    return ", ".join(f"{name} {row[name]}" for name in names)
