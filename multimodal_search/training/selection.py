"""Which signal encoder suits the data: cross-validation on the training scenes, the winner is kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from multimodal_search import closed_form
from multimodal_search.splits import Splits
from multimodal_search.training.warm_start import paired_rows
from multimodal_search.types import FloatArray, IntArray, Modality, MomentFeatures

FOLDS = 5
# One for all candidates: choosing it again in folds inside the folds took minutes
COMPARISON_PENALTY = 0.3


def choose_series_encoder(
    candidates: Mapping[str, MomentFeatures], splits: Splits, *, seed: int = 0
) -> tuple[str, dict[str, float]]:
    """Compare signal encoders by closed-form retrieval of texts, in folds grouped by log.

    A later candidate replaces an earlier one only where its gain exceeds one standard error, scene by scene:
    give the simpler first. Texts are what the signals are mapped to; images where there is no text.

    Args:
        candidates: name -> the features with that encoder's signals; the same items in each.

    Returns:
        The winner's name, and each candidate's mean reciprocal rank (signal to text and back, held out);
        no scores where there is nothing to compare or nothing to compare on.

    Raises:
        ValueError: no candidate.
    """
    if not candidates:
        raise ValueError("no signal encoder to choose from")
    reached: dict[str, FloatArray] = {}
    for name, features in candidates.items():
        anchor = next((one for one in (Modality.TEXT, Modality.IMAGE) if one in features.sets), None)
        if anchor is not None and Modality.TIMESERIES in features.sets:
            reached[name] = _held_out_ranks(features.select(splits.train), anchor, seed)
    best = next(iter(candidates))
    if len(reached) < 2 or any(not len(values) for values in reached.values()):
        return best, {}
    for name in list(reached)[1:]:
        difference = reached[name] - reached[best]
        if difference.mean() > difference.std() / np.sqrt(len(difference)):
            best = name
    return best, {name: float(values.mean()) for name, values in reached.items()}


def _held_out_ranks(features: MomentFeatures, anchor: Modality, seed: int) -> FloatArray:
    """Reciprocal rank of each scene's middle moment, by maps that never saw its log; empty for a single log.

    Scenes whose signal or text is missing rank as chance does, so that candidates stay comparable.
    """
    signals, others = features.sets[Modality.TIMESERIES], features.sets[anchor]
    x_rows, y_rows, _ = paired_rows(features, signals, others)
    if not len(x_rows):
        return np.zeros(0)
    item_of = others.item_index[signals.primary_rows(len(features.items))[others.item_index] >= 0]
    scene_names = features.scenes()
    number = {scene: index for index, scene in enumerate(scene_names)}
    scene_of = np.array([number[item.scene_id] for item in features.items], dtype=np.int64)[item_of]
    log_of = {item.scene_id: item.group or item.scene_id for item in features.items}
    logs = [log_of[scene] for scene in scene_names]
    if len(set(logs)) < 2:
        return np.zeros(0)
    fold = closed_form.grouped_folds(logs, FOLDS, seed)
    out = np.zeros(len(scene_names))
    for k in range(int(fold.max()) + 1):
        held = np.flatnonzero(fold == k)
        out[held] = np.sum(1 / np.arange(1, len(held) + 1)) / len(held)
        inside = fold[scene_of] == k
        if inside.all() or not inside.any():
            continue
        groups = [logs[scene] for scene in scene_of[~inside].tolist()]
        weight, bias, _ = closed_form.fit_two_sided(
            signals.vectors,
            others.vectors,
            groups,
            x_rows=x_rows[~inside],
            y_rows=y_rows[~inside],
            penalties=(COMPARISON_PENALTY,),
            seed=seed,
        )
        middle = _middles(scene_of, np.flatnonzero(inside))
        x = np.asarray(signals.vectors[x_rows[middle]], dtype=np.float64) @ weight + bias
        y = np.asarray(others.vectors[y_rows[middle]], dtype=np.float64)
        out[scene_of[middle]] = closed_form.mean_reciprocal_ranks(x, y - y.mean(axis=0))
    return out


def _middles(scene_of: IntArray, pairs: IntArray) -> IntArray:
    """The middle pair of each scene."""
    _, first, count = np.unique(scene_of[pairs], return_index=True, return_counts=True)
    order = np.argsort(scene_of[pairs], kind="stable")
    starts = np.cumsum(count) - count
    return pairs[order[starts + count // 2]] if len(first) else pairs
