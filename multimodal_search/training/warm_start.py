"""The heads before training: the encoders themselves where they share a space, closed forms elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from multimodal_search import closed_form
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.types import FeatureSet, FloatArray, IntArray, Modality, MomentFeatures

SIGNAL_PENALTIES = (0.01, 0.1, 0.3, 1.0)
_MOST_STATISTICS_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Start:
    """Heads before training.

    Attributes:
        pre_aligned: image and text come from one encoder, whose own space is kept.
        notes: how each head was made.
    """

    heads: dict[Modality, Projector]
    pre_aligned: bool
    notes: tuple[str, ...]


def is_pre_aligned(sets: Mapping[Modality, FeatureSet]) -> bool:
    """Whether image and text encoders share one embedding space."""
    image, text = sets.get(Modality.IMAGE), sets.get(Modality.TEXT)
    if image is None or text is None or image.card.dim != text.card.dim:
        return False
    return image.card.space is not None and image.card.space == text.card.space


def start_heads(features: MomentFeatures, dim: int, seed: int) -> Start:
    """Heads for every modality of the training items; deterministic.

    Image and text: residual heads that start as the identity when pre-aligned; otherwise regularised CCA, its
    penalty chosen by cross-validation grouped by log. A signal is mapped into the space of the others by a
    two-sided ridge onto their projected embeddings, orthogonal to these embeddings' means.
    A modality that is alone keeps its principal axes.

    Args:
        features: the training items.
        dim: length of the common embedding; a pre-aligned pair keeps its own.
    """
    torch.manual_seed(seed)
    sets = {modality: one for modality, one in features.sets.items() if len(one.item_index)}
    names = ", ".join(modality.value for modality in sets)
    if is_pre_aligned(features.sets):
        # also where no training scene has a picture (a partial download): the encoder's own space serves
        heads = {modality: _identity(features.sets[modality]) for modality in (Modality.IMAGE, Modality.TEXT)}
        note = "image and text start as their encoders' own shared space (identity)"
    else:
        anchors = [modality for modality in Modality if modality in sets][:2]
        heads, note = _closed_form_pair(features, sets, anchors, dim, seed)
    notes = [note] if sets else [f"no features to start from ({names or 'no modality'})"]
    if Modality.TIMESERIES in sets and Modality.TIMESERIES not in heads:
        anchored = {modality: head for modality, head in heads.items() if modality in sets}
        heads[Modality.TIMESERIES] = _signal_head(features, sets, anchored, seed)
        notes.append("timeseries starts from a two-sided ridge onto the projected images and texts")
    return Start(heads, is_pre_aligned(features.sets), tuple(notes))


def statistics(one: FeatureSet) -> tuple[FloatArray, FloatArray]:
    """(dim,) mean and standard deviation over the linked rows, each once; read in chunks."""
    rows = np.unique(one.row_index)
    if not len(rows):
        return np.zeros(one.vectors.shape[1]), np.ones(one.vectors.shape[1])
    if len(rows) > _MOST_STATISTICS_ROWS:
        rows = rows[:: -(-len(rows) // _MOST_STATISTICS_ROWS)]
    total, squares, shift = 0.0, 0.0, np.asarray(one.vectors[rows[0]], dtype=np.float64)
    for start in range(0, len(rows), 1024):
        part = np.asarray(one.vectors[rows[start : start + 1024]], dtype=np.float64) - shift
        total, squares = total + part.sum(axis=0), squares + np.square(part).sum(axis=0)
    mean = np.asarray(total) / len(rows)
    variance = np.maximum(np.asarray(squares) / len(rows) - mean**2, 0)
    # what is constant up to rounding is not blown up
    scale = np.sqrt(np.where(variance > 1e-10 * np.maximum(np.square(mean), variance.max()), variance, 0))
    return mean + shift, np.where(scale > 0, scale, 1.0)


def paired_rows(
    features: MomentFeatures, one: FeatureSet, two: FeatureSet
) -> tuple[IntArray, IntArray, list[str]]:
    """Each item's primary row of ``one`` with every row of ``two``, and the log that each pair belongs to."""
    primary = one.primary_rows(len(features.items))
    kept = np.flatnonzero(primary[two.item_index] >= 0)
    items = two.item_index[kept]
    logs = [features.items[item].group or features.items[item].scene_id for item in items.tolist()]
    return primary[items], two.row_index[kept], logs


def _identity(one: FeatureSet) -> Projector:
    return Projector(HeadSpec("residual", one.card.dim, one.card.dim), *statistics(one))


def _linear(one: FeatureSet, dim: int, *, likeness: bool = False) -> Projector:
    return Projector(HeadSpec("linear", one.vectors.shape[1], dim, likeness), *statistics(one))


def _closed_form_pair(
    features: MomentFeatures,
    sets: Mapping[Modality, FeatureSet],
    anchors: list[Modality],
    dim: int,
    seed: int,
) -> tuple[dict[Modality, Projector], str]:
    heads = {modality: _linear(sets[modality], dim) for modality in anchors}
    pairs: tuple[IntArray, IntArray, list[str]] = (np.zeros(0, np.int64), np.zeros(0, np.int64), [])
    if len(anchors) == 2:
        pairs = paired_rows(features, sets[anchors[0]], sets[anchors[1]])
    if len(set(pairs[2])) < 2 or len(np.unique(pairs[1])) < 2:
        for modality, head in heads.items():
            _set(head, *_principal_axes(sets[modality], dim), sets[modality].vectors)
        return heads, "no two modalities to align: heads keep the features' principal axes"
    x_rows, y_rows, logs = pairs
    x, y = sets[anchors[0]].vectors, sets[anchors[1]].vectors
    a, mx, b, my = closed_form.fit_cca(
        x, y, dim, groups=logs, x_rows=x_rows, y_rows=y_rows, folds=3, seed=seed
    )
    _set(heads[anchors[0]], a, -mx @ a, x[x_rows[:4096]])
    _set(heads[anchors[1]], b, -my @ b, y[y_rows[:4096]])
    return heads, f"{anchors[0].value} and {anchors[1].value} start from regularised CCA, {a.shape[1]}-d"


def _principal_axes(one: FeatureSet, dim: int) -> tuple[FloatArray, FloatArray]:
    """Principal axes of the standardised features: (in_dim, k) and (k,)."""
    mean, scale = statistics(one)
    rows = np.unique(one.row_index)[:8192]
    standard = (np.asarray(one.vectors[rows], dtype=np.float64) - mean) / scale
    _, axes = np.linalg.eigh(standard.T @ standard)
    weight = axes[:, ::-1][:, :dim] / scale[:, None]
    return weight, -mean @ weight


def _signal_head(
    features: MomentFeatures,
    sets: Mapping[Modality, FeatureSet],
    heads: Mapping[Modality, Projector],
    seed: int,
) -> Projector:
    """A linear head into the space of the others."""
    signals = sets[Modality.TIMESERIES]
    targets, means = _targets(features, sets, heads)
    dim = targets.shape[1]
    head = _linear(signals, dim, likeness=True)
    primary = signals.primary_rows(len(features.items))
    kept = np.flatnonzero((primary >= 0) & ~np.isnan(targets[:, 0]))
    logs = [features.items[item].group or features.items[item].scene_id for item in kept.tolist()]
    if len(set(logs)) < 2:
        _set(head, *_principal_axes(signals, dim), signals.vectors)
        return head
    weight, bias, spread = closed_form.fit_two_sided(
        signals.vectors, targets, logs, x_rows=primary[kept], y_rows=kept, seed=seed
    )
    # what all targets have in common says nothing of a moment: without it, texts and images, whose means
    # differ, rank signals by the same rule
    basis = np.linalg.qr(np.stack(means, axis=1))[0]
    weight, bias = weight - weight @ basis @ basis.T, bias - bias @ basis @ basis.T
    head.set_likeness(spread)
    _set(head, weight, bias, signals.vectors[primary[kept[:4096]]])
    return head


def _targets(
    features: MomentFeatures, sets: Mapping[Modality, FeatureSet], heads: Mapping[Modality, Projector]
) -> tuple[FloatArray, list[FloatArray]]:
    """(items, dim) the centred sum of an item's projected image and text, NaN without either; their means."""
    n = len(features.items)
    total = np.full((n, next(iter(heads.values())).spec.out_dim), np.nan, dtype=np.float32)
    means = []
    for modality, head in heads.items():
        rows = sets[modality].primary_rows(n)
        kept = np.flatnonzero(rows >= 0)
        unique, inverse = np.unique(rows[kept], return_inverse=True)
        projected = head.project(sets[modality].vectors[unique])[inverse]
        mean = projected.mean(axis=0, dtype=np.float64).astype(np.float32)
        total[kept] = np.nan_to_num(total[kept]) + projected - mean
        means.append(mean)
    return total, means


def _set(head: Projector, weight: FloatArray, bias: FloatArray, sample: FloatArray) -> None:
    """Take the map, scaled to outputs of unit variance a coordinate: the size that AdamW's steps suit."""
    out = np.asarray(sample[:4096], dtype=np.float64) @ weight + bias
    rms = float(np.sqrt(np.mean(np.square(out)))) or 1.0
    head.set_linear(weight / rms, bias / rms)
