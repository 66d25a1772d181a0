"""``multimodal-search specimens``: render, embed, pool, search-all, cluster-sweep, cluster, map, page.

Each step is the command of its name, so that each goes on where it was; all that is made is theirs to read.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from multimodal_search.analysis import cluster_run, sweep
from multimodal_search.analysis import map as mapping
from multimodal_search.analysis.cluster_files import CLUSTERS_FILE
from multimodal_search.analysis.neighbors_all import search_all
from multimodal_search.analysis.rows import write_csv
from multimodal_search.embedding import bulk, pool
from multimodal_search.errors import DataError, OutputError
from multimodal_search.rendering import run as rendering
from multimodal_search.settings import (
    ClusterSettings,
    EmbedSettings,
    MapSettings,
    PoolSettings,
    RenderSettings,
    SearchAllSettings,
    SpecimensSettings,
    SweepSettings,
    ViewSettings,
    check,
    read_config,
)
from multimodal_search.specimens.page import write_page
from multimodal_search.specimens.places import Places
from multimodal_search.storage import ensure_writable_folder
from multimodal_search.tables.files.npy import read_ids

_log = logging.getLogger(__name__)

FOLDERS_AS_LABELS = "folder"
_FEWEST_TO_CLUSTER = 4


def run(settings: SpecimensSettings) -> Path:
    """Do what is missing, and write the page.

    Returns:
        ``index.html``.

    Raises:
        ProjectError: a step's own; what the steps before it made is kept.
    """
    places = Places(ensure_writable_folder(settings.out))
    rendered = _step("render", lambda: rendering.run(_render_settings(settings, places)))
    _step("embed", lambda: bulk.run(_embed_settings(settings, places)))
    _forget_others(places.features, set(rendered.ids))
    _step("pool", lambda: _pool(settings, places))
    ids = read_ids(places.embeddings / pool.IDS_FILE)
    _step("search-all", lambda: _neighbours(settings, places, len(ids)))
    clustered = len(ids) >= _FEWEST_TO_CLUSTER
    if clustered:
        _step("cluster", lambda: _cluster(settings, places, ids))
    else:
        _log.warning("%d specimens are too few to cluster", len(ids))
    _step("map", lambda: _map(places, clustered=clustered))
    page = write_page(places, settings.title, failed=rendered.failed)
    _log.info("the page: %s", page)
    return page


def _step(name: str, work: Callable[[], Any]) -> Any:
    began = time.monotonic()
    _log.info("== %s", name)
    done = work()
    _log.info("== %s: %.1f s", name, time.monotonic() - began)
    return done


def _render_settings(settings: SpecimensSettings, places: Places) -> RenderSettings:
    shared = settings.model_dump(include=set(ViewSettings.model_fields))
    return check(RenderSettings, {**shared, "input": settings.input, "out": places.renders})


def _embed_settings(settings: SpecimensSettings, places: Places) -> EmbedSettings:
    return check(
        EmbedSettings,
        {
            "image_dir": str(places.renders),
            "views": True,
            "out": str(places.features),
            "encoder": settings.encoder,
            "weights": settings.weights,
            "pool": settings.encoder_pool,
            "batch_size": settings.batch_size,
            "device": settings.device,
            "overwrite": settings.overwrite,
            "dtype": "float32",
            "resize": "squash",  # views are square: nothing is cut or distorted
        },
    )


def _forget_others(features: Path, ids: set[str]) -> None:
    """Arrays of specimens whose files are gone or fail now: the page is of those with views."""
    for name, file in pool.list_arrays(features):
        if name not in ids:
            file.unlink()


def _pool(settings: SpecimensSettings, places: Places) -> None:
    values = {"features": places.features, "out": places.embeddings, "pool": settings.pool}
    pool.run(check(PoolSettings, values))


def _neighbours(settings: SpecimensSettings, places: Places, count: int) -> None:
    topk = min(settings.topk, max(1, count - 1))
    wanted = check(SearchAllSettings, {"embeddings": places.vectors, "out": places.neighbors, "topk": topk})
    try:
        search_all(wanted)
    except OutputError:  # the folder is ours, and holds the neighbours of other vectors
        shutil.rmtree(places.neighbors, ignore_errors=True)
        search_all(wanted)


def _cluster(settings: SpecimensSettings, places: Places, ids: list[str]) -> None:
    """A sweep, and the clusters of its best settings, named and summarised."""
    labels = _labels(settings, places, ids)
    sizes = [one for one in settings.min_cluster_sizes if one <= len(ids) // 2] or [2]
    samples = [one for one in settings.min_samples_values if one < len(ids)] or [1]
    wanted = {
        "embeddings": places.vectors,
        "out": places.sweep,
        "min_cluster_sizes": sizes,
        "min_samples_values": samples,
        "pcas": settings.pcas,
        "umap": settings.umap,
        "labels": labels,
        "num_processes": settings.num_processes or 2,
    }
    sweep.run(check(SweepSettings, wanted))
    best = read_config(places.sweep / sweep.CONFIG_FILE, tuple(ClusterSettings.model_fields))
    cluster_run.run(check(ClusterSettings, {**best, "out": places.clusters, "labels": labels}))


def _labels(settings: SpecimensSettings, places: Places, ids: list[str]) -> Path | None:
    """The file of labels; ``--labels folder`` makes one of the ids' folders."""
    if settings.labels is None:
        return None
    if str(settings.labels) != FOLDERS_AS_LABELS:
        return settings.labels
    path = places.out / "labels.csv"
    rows = [[one, one.rpartition("/")[0]] for one in ids]
    if not any(label for _, label in rows):
        raise DataError(
            "--labels folder, but all specimens lie in one folder.",
            where=settings.input,
            remedy="a CSV of id,label",
        )
    write_csv(path, ["id", "label"], rows)
    return path


def _map(places: Places, *, clustered: bool) -> None:
    clusters = places.clusters / CLUSTERS_FILE if clustered else None
    mapping.run(check(MapSettings, {"embeddings": places.vectors, "out": places.map, "clusters": clusters}))
