"""``multimodal-search map``: every row as a point; near means alike."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.analysis.cluster_files import cluster_labels
from multimodal_search.analysis.colours import colouring
from multimodal_search.analysis.graph import shared_graph
from multimodal_search.analysis.layout import FEWEST_FOR_UMAP, compares_all, few_distinct, lay_out
from multimodal_search.analysis.map_adding import nearest_old, place, with_former
from multimodal_search.analysis.map_files import INFO_FILE, Former, Placed, read_former, write_rows
from multimodal_search.analysis.map_page import PAGE_FILE, write_page
from multimodal_search.analysis.map_picture import PICTURE_FILE, draw_map
from multimodal_search.analysis.rows import field_values, texts_of, usable_rows, write_left_out
from multimodal_search.settings import MapSettings
from multimodal_search.storage import ensure_writable_folder, write_json
from multimodal_search.tables.vectors import VectorSet, open_vectors

_LOG = logging.getLogger(__name__)


def run(settings: MapSettings) -> Path:
    """Draw the map and write its files.

    Returns:
        The file of rows: ``map.parquet`` or ``scenes_with_umap.json``.

    Raises:
        ProjectError: nothing to draw, an unknown field, a former map of other vectors, a full disk.
    """
    folder = ensure_writable_folder(settings.out)
    former = None if settings.add_to is None else read_former(settings.add_to)
    given = open_vectors(settings.embeddings, ids=settings.ids, modality=settings.modality)
    vectors, left = usable_rows(given)
    if former is not None:
        vectors = with_former(vectors, former)
        kept = {name: former.info[name] for name in ("n_neighbors", "min_dist", "metric", "seed")}
        settings = settings.model_copy(update=kept)
    # before the layout, which takes minutes: a wrong name is found in seconds
    clusters = None if settings.clusters is None else cluster_labels(settings.clusters, vectors.ids)
    if settings.color == "cluster" or (settings.color is None and clusters is not None):
        title, values = "cluster", clusters
    else:
        title = settings.color or ""
        values = None if settings.color is None else field_values(vectors.columns, settings.color)
    placed, info = _place(vectors, former, settings, clusters)
    file = write_rows(folder, placed, settings.format)
    _draw(folder, placed, title, values, str(info["method"]))
    write_left_out(folder, left)
    write_json(folder / INFO_FILE, {**info, "n_left_out": len(left)})
    if left:
        _LOG.warning("%d rows have no place (zero or not finite): left_out.csv", len(left))
    _LOG.info("%d rows in %s, and map.png beside it", len(vectors), file)
    return file


def _place(
    vectors: VectorSet, former: Former | None, settings: MapSettings, clusters: Sequence[str | None] | None
) -> tuple[Placed, dict[str, Any]]:
    began = time.perf_counter()
    array = vectors.array()
    by_pca = former is None and few_distinct(array)
    if by_pca:
        _LOG.info("fewer than %d distinct rows: drawn by PCA, UMAP has nothing to show", FEWEST_FOR_UMAP)
    k = min(settings.n_neighbors, len(array)) - 1
    graph = shared_graph(
        vectors,
        max(k, 1),
        settings.metric,
        beside=Path(settings.out),
        exact=compares_all(len(array)),
        seed=settings.seed,
    )
    graphed = time.perf_counter()
    added = None
    if former is None:
        coordinates = lay_out(
            array,
            settings.seed,
            n_neighbors=settings.n_neighbors,
            min_dist=settings.min_dist,
            metric=settings.metric,
            graph=graph,
        )
    else:
        place_of = {name: row for row, name in enumerate(former.ids)}
        old = np.array([place_of.get(name, -1) for name in vectors.ids], dtype=np.int64)
        added = old < 0
        coordinates = np.where(added[:, None], 0.0, former.coordinates[old])
        near, away = nearest_old(array[added], array[~added], settings.n_neighbors, settings.metric)
        coordinates[added] = place(near, away, coordinates[~added])
        _LOG.info("%d rows placed, %d stay where they were", added.sum(), (~added).sum())
    info = {
        "method": former.info["method"] if former else ("pca" if by_pca else "umap"),
        "n_rows": len(vectors),
        "n_added": 0 if added is None else int(added.sum()),
        **settings.model_dump(include={"n_neighbors", "min_dist", "metric", "seed"}),
        "graph_exact": graph.exact,
        "graph_recall": round(float(graph.recall), 4),
        "graph_seconds": round(graphed - began, 2),
        "layout_seconds": round(time.perf_counter() - graphed, 2),
        "fingerprint": vectors.fingerprint,
        "dim": vectors.dim,
        "embeddings": settings.embeddings if former is None else former.info["embeddings"],
        "ids": str(settings.ids) if settings.ids and former is None else (former and former.info["ids"]),
        "modality": settings.modality,
    }
    return Placed(vectors, coordinates, graph.rows, graph.distances, added, clusters), info


def _draw(folder: Path, placed: Placed, title: str, values: Sequence[Any] | None, method: str) -> None:
    colours = colouring(title, values, len(placed.vectors))
    heading = f"{len(placed.vectors)} rows ({method.upper()}; near means alike)"
    draw_map(folder / PICTURE_FILE, placed.coordinates, colours, heading)
    if find_spec("plotly") is None:
        _LOG.warning("no %s: it needs plotly: pip install 'multimodal-search[analysis]'", PAGE_FILE)
        return
    write_page(
        folder / PAGE_FILE,
        placed.coordinates,
        colours,
        title=heading,
        ids=placed.vectors.ids,
        texts=texts_of(placed.vectors),
    )
