"""What trained heads must beat: raw encoders, ridge, CCA, statistics only, shuffled pairs, and the cheats.

Fitted on train and val scenes only; penalties by cross-validation over logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from multimodal_search.closed_form import fit_cca, fit_ridge
from multimodal_search.metrics.entries import Side, codes
from multimodal_search.metrics.ranks import Float64, rank_queries
from multimodal_search.splits import Splits
from multimodal_search.types import FeatureSet, FloatArray, IntArray, Item, Modality, MomentFeatures

# Neighbouring keyframes are near duplicates: a few thousand pairs hold what a closed form can learn.
MOST_PAIRS = 4_000
_MOST_VAL = 1_000
_CCA_DIM = 256
_RIDGE_PENALTIES = (1e-2, 1e-1, 1.0)
_CCA_PENALTIES = (3e-2, 3e-1)
_FOLDS = 3

Map = Callable[[FloatArray], Float64]
Maps = tuple[Map, Map]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """(n,) feature rows of two modalities that belong together, and the scene and log of each."""

    x: IntArray
    y: IntArray
    scenes: IntArray
    logs: tuple[str, ...]


@dataclass
class Baselines:
    """Fits on demand and keeps each pair's maps."""

    features: MomentFeatures
    splits: Splits
    unseen: MomentFeatures
    statistics: tuple[FeatureSet, FeatureSet] | None
    seed: int
    _kept: dict[tuple[str, Modality, Modality], Maps | None] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        features: MomentFeatures,
        splits: Splits,
        unseen: MomentFeatures,
        statistics: FeatureSet | None,
        seed: int,
    ) -> Baselines:
        """Nothing is computed yet. ``statistics`` is over the same items as ``features``."""
        pair = None
        if statistics is not None:
            alone = MomentFeatures(features.items, {Modality.TIMESERIES: statistics})
            cut = alone.select({item.scene_id for item in unseen.items})
            pair = (statistics, cut.sets[Modality.TIMESERIES])
        return cls(features, splits, unseen, pair, seed)

    def vectors(self, query: Side, gallery: Side) -> Iterator[tuple[str, tuple[FloatArray, FloatArray]]]:
        """(name, (query vectors, gallery vectors)) of each baseline that this direction has."""
        a, b = query.modality, gallery.modality
        q = query.raw(self.unseen.sets[a])
        g = gallery.raw(self.unseen.sets[b])
        if a is b:
            yield "raw", self._alike(a, q, g)
        else:
            space = self.features.sets[a].card.space
            if space is not None and space == self.features.sets[b].card.space:
                yield "raw", (q, g)
            for name in ("ridge", "cca", "shuffled"):
                maps = self._maps(name, a, b, self.features)
                if maps is not None:
                    yield name, (maps[0](q), maps[1](g))
            yield from self._statistics_only(query, gallery, q, g)
        yield from cheats(self.unseen.items, query, gallery)

    def _alike(self, modality: Modality, q: FloatArray, g: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Features without a common scale are standardised before they are compared by cosine."""
        one = self.features.sets[modality]
        if one.card.normalise:
            return q, g
        primary = one.primary_rows(len(self.features.items))
        rows = primary[self._in(self.splits.train + self.splits.val) & (primary >= 0)]
        if not len(rows):
            return q, g
        scale = _standardise(one.vectors, rows)
        return scale(q), scale(g)

    def _statistics_only(
        self, query: Side, gallery: Side, q: FloatArray, g: FloatArray
    ) -> Iterator[tuple[str, tuple[FloatArray, FloatArray]]]:
        signals = Modality.TIMESERIES
        if self.statistics is None or signals not in (query.modality, gallery.modality):
            return
        whole, cut = self.statistics
        features = MomentFeatures(self.features.items, {**self.features.sets, signals: whole})
        maps = self._maps("statistics", query.modality, gallery.modality, features)
        if maps is None:
            return
        rows = cut.primary_rows(len(self.unseen.items))
        side = query if query.modality is signals else gallery
        found = rows[side.items]
        plain = np.asarray(cut.vectors[np.maximum(found, 0)], dtype=np.float32)
        mapped = maps[0 if side is query else 1](plain)
        mapped[found < 0] = 0.0
        yield "statistics", (mapped, maps[1](g)) if side is query else (maps[0](q), mapped)

    def _maps(self, name: str, a: Modality, b: Modality, features: MomentFeatures) -> Maps | None:
        """The maps of ``a`` and ``b`` into one space, found again for the direction back."""
        if (name, a, b) not in self._kept:
            back = self._fit(name, a, b, features)
            self._kept[name, a, b] = back
            self._kept[name, b, a] = None if back is None else (back[1], back[0])
        return self._kept[name, a, b]

    def _fit(self, name: str, a: Modality, b: Modality, features: MomentFeatures) -> Maps | None:
        pairs = self._pairs(features, a, b, self.splits.train + self.splits.val)
        if pairs is None:
            return None
        x, y = features.sets[a].vectors, features.sets[b].vectors
        if name == "shuffled":
            order = np.random.default_rng(self.seed).permutation(len(pairs.x))
            return _ridge(x, y, _Pairs(pairs.x, pairs.y[order], pairs.scenes, pairs.logs), self.seed, (0.1,))
        if name == "cca":
            return _cca(x, y, pairs, self.seed)
        train = self._pairs(features, a, b, self.splits.train)
        val = self._pairs(features, a, b, self.splits.val)
        if train is None or val is None:
            return _ridge(x, y, pairs, self.seed)
        # which way round predicts better differs with the data: val says
        scores = [_val_mrr(way(x, y, train, self.seed, (0.1,)), x, y, val) for way in (_ridge, _ridge_back)]
        return (_ridge_back if scores[1] > scores[0] else _ridge)(x, y, pairs, self.seed)

    def _pairs(
        self, features: MomentFeatures, a: Modality, b: Modality, scenes: tuple[str, ...]
    ) -> _Pairs | None:
        """The feature rows of the items that have both; every caption counts."""
        n = len(features.items)
        inside = self._in(scenes)
        caption = next((m for m in (a, b) if m is Modality.TEXT), None)
        one = features.sets[caption] if caption is not None else None
        item = one.item_index if one is not None else np.arange(n)
        rows = [
            one.row_index if one is not None and m is caption else features.sets[m].primary_rows(n)[item]
            for m in (a, b)
        ]
        keep = np.flatnonzero(inside[item] & (rows[0] >= 0) & (rows[1] >= 0))
        if len(keep) > MOST_PAIRS:
            keep = np.sort(np.random.default_rng(self.seed).choice(keep, MOST_PAIRS, replace=False))
        owners = [features.items[i] for i in item[keep]]
        if len({owner.scene_id for owner in owners}) < 2:
            return None
        groups = tuple(owner.group or owner.scene_id for owner in owners)
        return _Pairs(rows[0][keep], rows[1][keep], codes([owner.scene_id for owner in owners]), groups)

    def _in(self, scenes: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        wanted = set(scenes)
        return np.array([item.scene_id in wanted for item in self.features.items], dtype=bool)


def _val_mrr(maps: Maps, x: FloatArray, y: FloatArray, val: _Pairs) -> float:
    """Both directions, on the distinct inputs of at most 1,000 pairs."""
    step = -(-len(val.x) // _MOST_VAL)
    rows_x, first_x = np.unique(val.x[::step], return_index=True)
    rows_y, first_y = np.unique(val.y[::step], return_index=True)
    one, two = maps[0](x[rows_x]), maps[1](y[rows_y])
    group_x, group_y = val.scenes[::step][first_x], val.scenes[::step][first_y]
    there = rank_queries(one, two, group_x, group_y)
    back = rank_queries(two, one, group_y, group_x)
    return sum(float(np.mean(1 / found.rank)) for found in (there, back) if len(found.rank))


def _standardise(x: FloatArray, rows: IntArray) -> Map:
    known = np.asarray(x[np.unique(rows)], dtype=np.float64)
    mean, sd = known.mean(axis=0), known.std(axis=0)
    # a column that hardly moves on the training scenes says nothing
    sd = np.where(sd > 1e-6 * np.maximum(1e-6, np.abs(mean)), sd, np.inf)
    return lambda vectors: (np.asarray(vectors, dtype=np.float64) - mean) / sd


def _ridge(
    x: FloatArray, y: FloatArray, pairs: _Pairs, seed: int, penalties: Sequence[float] = _RIDGE_PENALTIES
) -> Maps:
    """Predict ``y`` from ``x`` and compare in ``y``'s standardised space."""
    weights, bias = fit_ridge(
        x, y, pairs.logs, x_rows=pairs.x, y_rows=pairs.y, penalties=penalties, folds=_FOLDS, seed=seed
    )
    scale = _standardise(y, pairs.y)
    return (lambda q: scale(np.asarray(q, dtype=np.float64) @ weights + bias)), scale


def _ridge_back(
    x: FloatArray, y: FloatArray, pairs: _Pairs, seed: int, penalties: Sequence[float] = _RIDGE_PENALTIES
) -> Maps:
    """Predict ``x`` from ``y`` instead."""
    to_y, to_x = _ridge(y, x, _Pairs(pairs.y, pairs.x, pairs.scenes, pairs.logs), seed, penalties)
    return to_x, to_y


def _cca(x: FloatArray, y: FloatArray, pairs: _Pairs, seed: int) -> Maps:
    a, mean_x, b, mean_y = fit_cca(
        x,
        y,
        _CCA_DIM,
        _CCA_PENALTIES,
        groups=pairs.logs,
        x_rows=pairs.x,
        y_rows=pairs.y,
        folds=_FOLDS,
        seed=seed,
    )
    return (
        lambda q: (np.asarray(q, dtype=np.float64) - mean_x) @ a,
        lambda g: (np.asarray(g, dtype=np.float64) - mean_y) @ b,
    )


def cheats(
    items: tuple[Item, ...], query: Side, gallery: Side
) -> Iterator[tuple[str, tuple[FloatArray, FloatArray]]]:
    """What a search by place, clock or vehicle alone would find, as vectors whose cosine is the likeness.

    A head that is no better has learnt where or when the car was. Location and log are left out where they
    tell nothing (one for all) or everything (one a scene).
    """
    scenes = len({item.scene_id for item in items})
    named = {
        "same location": [item.location for item in items],
        "same log": [item.group for item in items],
        "same vehicle": [_word(item, "vehicle") for item in items],
    }
    for name, values in named.items():
        known = codes(values)
        kinds = int(known.max(initial=-1)) + 1
        if 2 <= kinds < scenes:
            one_hot = np.concatenate([np.eye(kinds, dtype=np.float32), np.zeros((1, kinds), np.float32)])
            yield name, (one_hot[known[query.items]], one_hot[known[gallery.items]])
    clock = _clock(items)
    if clock is not None:
        yield "same hour", (clock[query.items], clock[gallery.items])


def _word(item: Item, key: str) -> str | None:
    value = item.metadata.get(key)
    return None if value is None else str(value)


def _clock(items: tuple[Item, ...]) -> FloatArray | None:
    """(items, 2) the hour as a point on the clock's circle; None where times are absent or all the same.

    Whole hours: finer times would give the scene itself away.
    """
    if any(item.timestamp_us is None for item in items):
        return None
    minutes = np.array([_minute_of_day(item.timestamp_us or 0) for item in items], dtype=np.float64)
    hours = np.round(minutes / 60.0)
    if len(np.unique(hours)) < 2:
        return None
    angle = 2 * np.pi * hours / 24.0
    out: FloatArray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return out


def _minute_of_day(timestamp_us: int) -> int:
    moment = datetime.fromtimestamp(timestamp_us / 1e6, tz=UTC)
    return moment.hour * 60 + moment.minute
