"""New rows on a map that is there: each at its neighbours, which stay where they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from multimodal_search.analysis.map_files import Former
from multimodal_search.errors import DataError, EncoderError, ProjectError
from multimodal_search.settings.search import Metric
from multimodal_search.tables.vectors import VectorSet, open_vectors
from multimodal_search.types import FloatArray, IntArray

_BLOCK_FLOATS = 1 << 25
_STEPS = 20


def with_former(vectors: VectorSet, former: Former) -> VectorSet:
    """The rows of the new map: those given, if the former map's are among them; else the former's first.

    Raises:
        EncoderError: the vectors are of another encoder.
        DataError: the former's vectors are needed, and are not where they were.
    """
    made_by = former.info.get("fingerprint")
    if former.info["dim"] != vectors.dim or (
        vectors.fingerprint and made_by and vectors.fingerprint != made_by
    ):
        raise EncoderError(
            f"The map was drawn of other vectors: {former.info['dim']} dimensions, encoder {made_by}; these "
            f"have {vectors.dim}, encoder {vectors.fingerprint}.",
            where=vectors.location,
            remedy="embed with the map's encoder, or draw a map anew",
        )
    known = set(former.ids)
    if any(name in known for name in vectors.ids):
        return vectors
    source = former.info["embeddings"]
    try:
        old = open_vectors(source, ids=former.info["ids"], modality=former.info["modality"])
    except ProjectError as error:
        raise DataError(
            f"None of these rows is on the map, and the map's own vectors cannot be read: {error.what}",
            where=source,
            remedy="give --embeddings that hold the old rows and the new ones",
        ) from error
    mine = [row for row, name in enumerate(old.ids) if name in known]
    return _joined(old.select(np.array(mine, dtype=np.int64)), vectors)


def _joined(first: VectorSet, second: VectorSet) -> VectorSet:
    count = len(first)

    def gather(rows: IntArray) -> FloatArray:
        found = np.empty((len(rows), first.dim), dtype=np.float32)
        early = rows < count
        found[early] = first.gather(rows[early])
        found[~early] = second.gather(rows[~early] - count)
        return found

    tables = [
        pa.table({"id": one.ids}) if one.columns is None else one.columns.append_column("id", [one.ids])
        for one in (first, second)
    ]
    columns = pa.concat_tables(tables, promote_options="permissive").drop_columns(["id"])
    return VectorSet(
        first.location,
        [*first.ids, *second.ids],
        first.dim,
        gather,
        fingerprint=first.fingerprint,
        columns=columns if columns.num_columns else None,
    )


def nearest_old(new: FloatArray, old: FloatArray, k: int, metric: Metric) -> tuple[IntArray, FloatArray]:
    """(m, k) rows of ``old`` that are nearest to each row of ``new``, nearest first, and their distances.

    All are compared: ``cosine`` gives 1 - cosine, ``l2`` the Euclidean distance, ``ip`` minus the product.
    """
    if metric == "cosine":
        new, old = _unit(new), _unit(old)
    halves = np.einsum("nd,nd->n", old, old) / 2 if metric == "l2" else np.zeros(len(old), dtype=np.float32)
    k = min(k, len(old))
    near, away = np.empty((len(new), k), dtype=np.int64), np.empty((len(new), k), dtype=np.float32)
    step = max(1, _BLOCK_FLOATS // max(1, len(old)))
    for start in range(0, len(new), step):
        some = new[start : start + step]
        scores = some @ old.T - halves
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(scores, best, axis=1)
        order = np.lexsort((best, -found), axis=1)
        near[start : start + step] = np.take_along_axis(best, order, axis=1)
        found = np.take_along_axis(found, order, axis=1)
        if metric == "l2":
            squared = np.einsum("nd,nd->n", some, some)[:, None] - 2 * found
            away[start : start + step] = np.sqrt(np.maximum(squared, 0))
        else:
            away[start : start + step] = np.maximum(1 - found, 0) if metric == "cosine" else -found
    return near, away


def place(near: IntArray, away: FloatArray, coordinates: FloatArray) -> FloatArray:
    """(m, 2) places of new rows, from their old neighbours' places.

    The geometric median (Weiszfeld, 1937) of the neighbours, weighted as UMAP weighs them (membership
    ``exp(-(d - nearest) / scale)``): a mean falls between two islands where a few neighbours lie on another,
    the median stays with the most. UMAP's own transform starts from that mean and needs the fitted model.
    """
    past = away - away[:, :1]
    scale = np.maximum(past.mean(axis=1, keepdims=True), 1e-12)
    weights = np.exp(-past / scale)
    points = coordinates[near]
    spread = max(float(np.ptp(coordinates, axis=0).max()), 1e-12) if len(coordinates) else 1.0
    found = _mean(points, weights)
    for _ in range(_STEPS):
        lengths = np.linalg.norm(points - found[:, None], axis=2)
        found = _mean(points, weights / np.maximum(lengths, 1e-6 * spread))
    return found


def _mean(points: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray((points * weights[:, :, None]).sum(axis=1) / weights.sum(axis=1, keepdims=True))


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
