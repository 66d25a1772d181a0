"""Where the moments of a bundle lie: on the map that somebody made of it, or on that of its scenes."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.analysis.cluster_files import CLUSTERS_FILE, cluster_labels
from multimodal_search.analysis.map_files import INFO_FILE, PARQUET_FILE, read_former
from multimodal_search.errors import DataError
from multimodal_search.export.scenes_map import FILE as SCENES_FILE
from multimodal_search.search.searcher import Searcher
from multimodal_search.serving.answers import ClusterName
from multimodal_search.types import FloatArray, IntArray, Modality

_log = logging.getLogger(__name__)

MAP_FOLDER, CLUSTERS_FOLDER = "map", "clusters"
_MOST_NAMES = 24
_GOLDEN = np.pi * (3 - np.sqrt(5))
_SPREAD = 0.35  # of the distance between neighbouring scenes: their moments do not mix
_FITTED_ROWS = 20_000


def places_of(searcher: Searcher, moments: pa.Table) -> FloatArray:
    """(moments, 2), NaN where a moment has no place.

    The bundle's own ``map/`` (``multimodal-search map --emb output --out output/map``) has every moment.
    Else its ``scenes_with_umap.json`` has every scene, whose moments lie around it in order of time. Without
    either, the two principal components of the vectors.
    """
    ids = moments["moment_id"].to_pylist()
    for found in (_mapped(searcher.folder / MAP_FOLDER, ids), _around_scenes(searcher.folder, moments)):
        if found is not None and np.isfinite(found).any():
            return found
    return _principal(searcher, ids)


def scene_texts(folder: Path) -> dict[str, list[str]]:
    """Scene -> its descriptions, as the bundle's map of scenes tells them."""
    return {
        str(one["scene_id"]): [text for text in str(one.get("description") or "").split(" / ") if text]
        for one in _scenes(folder)
        if "scene_id" in one
    }


def _scenes(folder: Path) -> list[dict[str, object]]:
    try:
        found = json.loads((folder / SCENES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _mapped(folder: Path, ids: Sequence[str]) -> FloatArray | None:
    if not (folder / INFO_FILE).is_file():
        return None
    try:
        former = read_former(folder)
    except DataError as error:
        _log.warning("the bundle's map cannot be read: %s", error)
        return None
    row_of = {_moment_of(one): row for row, one in enumerate(former.ids)}
    rows = np.array([row_of.get(one, -1) for one in ids], dtype=np.int64)
    places: FloatArray = np.where((rows >= 0)[:, None], former.coordinates[rows], np.nan)
    return places


def _moment_of(row_id: str) -> str:
    """A bundle's vectors are called ``image:<moment>``."""
    kind, _, rest = row_id.partition(":")
    return rest if kind in {one.value for one in Modality} else row_id


def _around_scenes(folder: Path, moments: pa.Table) -> FloatArray | None:
    scenes = {
        str(one["scene_id"]): one["umap_coords"]
        for one in _scenes(folder)
        if "scene_id" in one and isinstance(one.get("umap_coords"), list)
    }
    if not scenes:
        return None
    try:
        centres = np.array(list(scenes.values()), dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        _log.warning("the places of the scenes cannot be read: %s", folder / SCENES_FILE)
        return None
    number = {name: row for row, name in enumerate(scenes)}
    owner = np.array([number.get(one, -1) for one in moments["scene_id"].to_pylist()], dtype=np.int64)
    places: FloatArray = np.where((owner >= 0)[:, None], centres[owner], np.nan)
    order, size = _within(owner, moments["timestamp_us"].cast(pa.float64()).to_numpy(zero_copy_only=False))
    radius = np.where(size > 1, _SPREAD * _apart(centres) * np.sqrt(order / np.maximum(size, 1)), 0.0)
    angle = order * _GOLDEN
    places += radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return places


def _within(owner: IntArray, times: FloatArray) -> tuple[IntArray, IntArray]:
    """Each moment's place in its scene by time, and how many the scene has."""
    by_scene = np.lexsort((times, owner))
    counts = np.bincount(owner + 1)
    starts = np.cumsum(counts) - counts
    order = np.empty(len(owner), dtype=np.int64)
    order[by_scene] = np.arange(len(owner)) - starts[owner[by_scene] + 1]
    return order, counts[owner + 1].astype(np.int64)


def _apart(centres: FloatArray) -> float:
    """The usual distance between a scene and the nearest other one."""
    from scipy.spatial import cKDTree

    distinct = np.unique(centres, axis=0)
    if len(distinct) < 2:
        return 1.0
    return float(np.median(cKDTree(distinct).query(distinct, k=2)[0][:, 1]))


def _principal(searcher: Searcher, ids: Sequence[str]) -> FloatArray:
    places = np.full((len(ids), 2), np.nan)
    for one in (Modality.IMAGE, Modality.TEXT, Modality.TIMESERIES):
        if one.value not in searcher.columns["type"].unique().to_pylist():
            continue
        rows = searcher.rows(one)
        has = np.array([rows.has(name) for name in ids], dtype=np.bool_)
        vectors = rows.vectors([name for name, there in zip(ids, has, strict=True) if there])
        centred = vectors - vectors.mean(axis=0)
        some = centred[:: max(1, len(centred) // _FITTED_ROWS)]
        axes = np.linalg.eigh(some.T @ some)[1][:, -2:]
        places[has] = centred @ axes[:, ::-1]
        return places
    return places


def clusters_of(
    searcher: Searcher, moments: pa.Table, places: npt.NDArray[np.float32]
) -> tuple[list[str | None], list[ClusterName]]:
    """Each moment's cluster, and where the names of the largest stand.

    From the bundle's ``map/`` (made with ``--clusters``) or ``clusters/``; else areas of the map, named by
    what the texts there say more often than others.
    """
    ids = moments["moment_id"].to_pylist()
    folder = searcher.folder
    labels = _labels_of_map(folder / MAP_FOLDER, ids) or _labels_of_file(
        folder / CLUSTERS_FOLDER / CLUSTERS_FILE, ids
    )
    if labels is None:
        labels = _areas(places, moments["text"].to_pylist())
    by_name: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        if label is not None:
            by_name.setdefault(label, []).append(row)
    largest = sorted(by_name.items(), key=lambda one: (-len(one[1]), one[0]))[:_MOST_NAMES]
    named = []
    for name, rows in largest:
        middle = np.nanmedian(places[rows], axis=0) if np.isfinite(places[rows]).any() else (np.nan, np.nan)
        if np.isfinite(middle).all() and name != "noise":
            named.append(ClusterName(name=name, x=float(middle[0]), y=float(middle[1]), count=len(rows)))
    return labels, named


def _labels_of_map(folder: Path, ids: Sequence[str]) -> list[str | None] | None:
    try:
        table = pq.read_table(folder / PARQUET_FILE, columns=["id", "cluster"])
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None
    label_of = {
        _moment_of(one): label
        for one, label in zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True)
    }
    return [label_of.get(one) for one in ids]


def _labels_of_file(path: Path, ids: Sequence[str]) -> list[str | None] | None:
    if not path.is_file():
        return None
    for prefix in ("", *(f"{one.value}:" for one in Modality)):
        try:
            return cluster_labels(path, [prefix + one for one in ids])
        except DataError:
            continue
    return None


def _areas(places: npt.NDArray[np.float32], texts: Sequence[str | None]) -> list[str | None]:
    # scikit-learn is slow to import, and the first answer does not need it
    from sklearn.cluster import KMeans

    from multimodal_search.analysis.naming import name_of, telling_terms

    there = np.flatnonzero(np.isfinite(places).all(axis=1))
    count = int(np.clip(np.sqrt(len(there) / 8), 1, 14))
    if len(there) < 2 * count:
        return [None] * len(places)
    some = there[:: max(1, len(there) // _FITTED_ROWS)]
    fitted = KMeans(count, n_init=1, random_state=0).fit(places[some])
    numbers = np.full(len(places), -1, dtype=np.int64)
    numbers[there] = fitted.predict(places[there])
    names = [name_of(terms) for terms in telling_terms([text or "" for text in texts], numbers)]
    return [None if one < 0 or not names[one] else names[one] for one in numbers.tolist()]
