"""The settings of a sweep: each tried once, its figures in a file of its own, so that a rerun goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multimodal_search.analysis.cluster import cut
from multimodal_search.analysis.cluster_files import noise_ratio
from multimodal_search.analysis.cluster_score import against_labels, score
from multimodal_search.analysis.cluster_tree import spanning_tree
from multimodal_search.analysis.graph import Graph
from multimodal_search.errors import DataError
from multimodal_search.settings import SweepSettings
from multimodal_search.settings.analysis import Selection
from multimodal_search.storage import write_json
from multimodal_search.types import FloatArray

FOLDER = "trials"
_FORMAT = 1  # another one where the same settings would give other figures


@dataclass(frozen=True, slots=True)
class Trial:
    """One point of the grid."""

    pca: float
    min_samples: int
    min_cluster_size: int
    cluster_selection_method: Selection


def grid(settings: SweepSettings) -> Iterator[Trial]:
    """All combinations, each once."""
    for pca in dict.fromkeys(settings.pcas):
        for min_samples in dict.fromkeys(settings.min_samples_values):
            for size in dict.fromkeys(settings.min_cluster_sizes):
                for method in dict.fromkeys(settings.methods):
                    yield Trial(pca, min_samples, size, method)


class Ledger:
    """``trials/<hash>.json``: figures by what they depend on: vectors, labels, all settings."""

    def __init__(self, folder: Path, content: str, settings: SweepSettings) -> None:
        shared = settings.model_dump(
            mode="json",
            include={"normalize", "metric", "seed", "umap", "umap_n_components", "umap_n_neighbors"},
        )
        if not settings.umap:
            shared.pop("umap_n_components"), shared.pop("umap_n_neighbors")
        self._shared = {"format": _FORMAT, "content": content, **shared}
        self._folder = folder / FOLDER

    def path(self, trial: Trial) -> Path:
        """Where a trial's figures are."""
        what = json.dumps({**self._shared, **asdict(trial)}, sort_keys=True)
        return self._folder / f"{hashlib.blake2b(what.encode(), digest_size=10).hexdigest()}.json"

    def read(self, trial: Trial) -> dict[str, Any] | None:
        """The figures; None where the trial is still to do."""
        try:
            found = json.loads(self.path(trial).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


@dataclass(frozen=True, slots=True)
class Task:
    """Trials that share one tree.

    Attributes:
        scored: (n, dim) where clusters are scored.
        reduced: (n, reduced dim) what is clustered.
        truth: a label a row.
        wanted: the trials, and where their figures go.
    """

    scored: FloatArray
    reduced: FloatArray
    graph: Graph
    min_samples: int
    truth: Sequence[str | None] | None
    wanted: Sequence[tuple[Trial, Path]]


def run_task(task: Task) -> int:
    """Make the tree, cut it for each trial, and write each one's figures as soon as they are known.

    Returns:
        How many trials were done.
    """
    tree = spanning_tree(task.reduced, task.graph, task.min_samples)
    for trial, path in task.wanted:
        figures: dict[str, Any] = {**asdict(trial), "n_dimensions": int(task.reduced.shape[1])}
        try:
            clusters = cut(tree, trial.min_cluster_size, trial.cluster_selection_method)
        except DataError as error:
            write_json(path, {**figures, "error": error.what})
            continue
        inside = clusters.labels >= 0
        figures |= {
            "noise_ratio": round(noise_ratio(clusters.labels), 6),
            "n_clusters": clusters.count,
            "mean_prob": round(float(clusters.prob[inside].mean()), 6) if inside.any() else 0.0,
            "score": round(score(task.scored, clusters.labels), 6),
        }
        if task.truth is not None:
            figures |= against_labels(clusters.labels, task.truth)
        write_json(path, figures)
    return len(task.wanted)
