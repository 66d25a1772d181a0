"""``metrics.json``: every direction between the modalities, on unseen scenes, beside its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_search.metrics.baselines import Baselines
from multimodal_search.metrics.entries import (
    Project,
    Side,
    codes,
    label_values,
    make_sides,
    relevance_groups,
)
from multimodal_search.metrics.intervals import verdict, widest_interval
from multimodal_search.metrics.ranks import Rankings, chance, rank_queries, unit_rows
from multimodal_search.splits import Splits
from multimodal_search.types import FeatureSet, FloatArray, IntArray, Item, Modality, MomentFeatures

MAX_QUERIES = 2000

DEFINITIONS = {
    "relevant": "same scene, or a scene with the same normalised primary caption",
    "queries": "texts: one a scene; images and signals: every unseen moment, at most "
    f"{MAX_QUERIES} drawn by the seed; a query never finds itself",
    "gallery": "every unseen moment of that modality; 'scene' is a scene's mean image vector",
    "ranks": "1 + strictly better + tied / (relevant tied + 1), expected over the orders of ties; R@k, MRR "
    "and mAP are expectations over those orders too, so that equal scores for all are exactly chance",
    "interval_95": "bootstrap over scenes and over logs, the wider one; queries drawn anew, gallery fixed",
    "chance": "exact expectation under a uniformly random order",
    "labels": "relevant: another scene with the same value; the query's own scene is out of the gallery",
}


@dataclass(frozen=True, slots=True)
class _Context:
    """What every direction needs."""

    unseen: MomentFeatures
    groups: IntArray
    scenes: IntArray
    vectors: dict[str, FloatArray]
    as_query: Project
    baselines: Baselines | None
    seed: int

    def asking(self, query: Side, gallery: Side) -> FloatArray:
        """(n, dim) the queries as the search asks: a head may have its own way of finding its own kind."""
        vectors = self.vectors[query.name]
        return self.as_query(query.modality, vectors) if query.modality is gallery.modality else vectors


def evaluate(
    features: MomentFeatures,
    project: Project,
    splits: Splits,
    *,
    as_query: Project | None = None,
    scope: str = "test",
    seed: int = 0,
    baselines: bool = True,
    statistics: FeatureSet | None = None,
    label_keys: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Measure heads on scenes they have not seen.

    Args:
        features: all items; baselines are fitted on those of ``splits.train`` and ``splits.val``.
        project: (modality, (rows, dim) features) -> (rows, common dim).
        as_query: (modality, (rows, common dim) projected) -> (rows, common dim): queries that are to find
            their own kind; by default as they are.
        scope: ``test``, ``val``, or ``all`` (other data, where no scene was seen).
        baselines: whether to compute the columns to compare with.
        statistics: the statistics encoder's set over the same items, for the statistics-only baseline.
        label_keys: metadata keys to use as labels; by default every key with 2 to 30 values.

    Returns:
        JSON-ready: ``splits``, ``splits_kind``, ``scope``, ``scenes``, ``verdict``, ``directions``,
        ``labels``, ``definitions``. A direction: ``gallery``, ``queries``, ``scenes``, ``logs``, ``R@1``,
        ``R@5``, ``R@10``, ``median_rank``, ``MRR``, ``mAP``, ``interval_95`` and ``chance`` (by metric),
        ``baselines`` (by name, then metric) and ``verdict``.
    """
    wanted = {"test": splits.test, "val": splits.val, "all": features.scenes()}[scope]
    unseen = features.select(wanted)
    sides = make_sides(unseen)
    vectors = {name: side.project(unseen.sets[side.modality], project) for name, side in sides.items()}
    context = _Context(
        unseen,
        relevance_groups(unseen),
        codes([item.scene_id for item in unseen.items]),
        vectors,
        as_query or (lambda _, projected: projected),
        Baselines.fit(features, splits, unseen, statistics, seed) if baselines else None,
        seed,
    )
    directions = {}
    for query, gallery in _directions(sides):
        entry = _direction(context, sides[query], sides[gallery])
        if entry:
            directions[f"{query}->{gallery}"] = entry
    directions.update(_composed(context, sides))
    scenes = len(set(context.scenes.tolist()))
    return {
        "splits": {"train": list(splits.train), "val": list(splits.val), "test": list(splits.test)},
        "splits_kind": splits.kind,
        "scope": scope,
        "scenes": scenes,
        "verdict": verdict(scenes),
        "directions": directions,
        "labels": _labels(context, sides, label_keys),
        "definitions": DEFINITIONS,
    }


def _directions(sides: dict[str, Side]) -> list[tuple[str, str]]:
    """Every ordered pair, plus like to like where an entry can find others of its scene."""
    plain = [str(m) for m in Modality if str(m) in sides]
    out = [(a, b) for a in plain for b in plain if a != b]
    if "text[ja]" in sides:
        out += [pair for b in plain if b != "text" for pair in (("text[ja]", b), (b, "text[ja]"))]
    if "scene" in sides:
        out += [(a, "scene") for a in ("text", "text[ja]", "timeseries") if a in sides]
    return out + [(a, a) for a in plain if a != "text"]


def _direction(context: _Context, query: Side, gallery: Side) -> dict[str, Any]:
    """One entry of ``directions``; empty where no query has anything to find."""
    chosen = _drawn(len(query), context.seed)

    def ranked(q: FloatArray, g: FloatArray) -> Rankings:
        own = (np.arange(len(query))[chosen], np.arange(len(gallery))) if query.name == gallery.name else None
        return rank_queries(
            q[chosen],
            g,
            context.groups[query.items[chosen]],
            context.groups[gallery.items],
            query_block=own[0] if own else None,
            gallery_block=own[1] if own else None,
        )

    rankings = ranked(context.asking(query, gallery), context.vectors[gallery.name])
    if not len(rankings.rank):
        return {}
    items = query.items[chosen][rankings.query]
    entry = _entry(rankings, [context.unseen.items[i] for i in items], len(gallery), context.seed)
    entry["baselines"] = {"chance": entry["chance"]}
    if context.baselines is not None:
        for name, (q, g) in context.baselines.vectors(query, gallery):
            entry["baselines"][name] = rounded(ranked(q, g).summary())
    return entry


def _entry(rankings: Rankings, query_items: list[Item], gallery: int, seed: int) -> dict[str, Any]:
    scenes = [item.scene_id for item in query_items]
    logs = [item.group or item.scene_id for item in query_items]
    intervals = {}
    for name, values in rankings.values().items():
        pair = widest_interval(values, [scenes, logs], seed=seed, rate=name.startswith("R@"))
        intervals[name] = None if pair is None else [round(pair[0], 4), round(pair[1], 4)]
    return {
        "gallery": gallery,
        "queries": len(query_items),
        "scenes": len(set(scenes)),
        "logs": len(set(logs)),
        **rounded(rankings.summary()),
        "interval_95": intervals,
        "chance": rounded(chance(rankings.relevant, rankings.candidates)),
        "verdict": verdict(len(set(scenes))),
    }


def _composed(context: _Context, sides: dict[str, Side]) -> dict[str, Any]:
    """Words and signal together: each moment that has both asks for its picture with the mean of the two."""
    if not {"image", "text", "timeseries"} <= sides.keys():
        return {}
    text, series, images = sides["text"], sides["timeseries"], sides["image"]
    of_scene = {int(context.scenes[item]): place for place, item in reversed(list(enumerate(text.items)))}
    places = np.array([of_scene.get(int(context.scenes[item]), -1) for item in series.items], dtype=np.int64)
    both = np.flatnonzero(places >= 0)
    both = both[_drawn(len(both), context.seed)]
    words = unit_rows(context.vectors["text"][places[both]])
    queries = words + unit_rows(context.vectors["timeseries"][both])
    rankings = rank_queries(
        queries,
        context.vectors["image"],
        context.groups[series.items[both]],
        context.groups[images.items],
    )
    if not len(rankings.rank):
        return {}
    items = [context.unseen.items[i] for i in series.items[both][rankings.query]]
    entry = _entry(rankings, items, len(images), context.seed)
    return {"text+timeseries->image": {**entry, "baselines": {"chance": entry["chance"]}}}


def _labels(context: _Context, sides: dict[str, Side], keys: Sequence[str] | None) -> dict[str, Any]:
    """mAP of finding other scenes with the same label value."""
    values = label_values(context.unseen.items, keys)
    names = [str(m) for m in Modality if str(m) in sides]
    out: dict[str, Any] = {}
    for query, gallery in [(sides[a], sides[b]) for a in names for b in names]:
        chosen, asking = _drawn(len(query), context.seed), context.asking(query, gallery)
        found: dict[str, Any] = {}
        for key, of_item in values.items():
            label = codes(of_item)
            rankings = rank_queries(
                asking[chosen],
                context.vectors[gallery.name],
                label[query.items[chosen]],
                label[gallery.items],
                query_block=context.scenes[query.items[chosen]],
                gallery_block=context.scenes[gallery.items],
            )
            if len(rankings.rank):
                items = [context.unseen.items[i] for i in query.items[chosen][rankings.query]]
                entry = _entry(rankings, items, len(gallery), context.seed)
                found[key] = {
                    "mAP": entry["mAP"],
                    "R@1": entry["R@1"],
                    "chance": entry["chance"]["mAP"],
                    "interval_95": entry["interval_95"]["mAP"],
                    "classes": len({value for value in of_item if value is not None}),
                    "n": len(items),
                    "gallery": len(gallery),
                    "verdict": entry["verdict"],
                }
        if found:
            out[f"{query.name}->{gallery.name}"] = found
    return out


def _drawn(count: int, seed: int) -> IntArray:
    """All of them, or ``MAX_QUERIES`` drawn by the seed, in order."""
    if count <= MAX_QUERIES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MAX_QUERIES, replace=False))


def rounded(metrics: dict[str, float]) -> dict[str, float]:
    """Four decimals: finer than any interval here."""
    return {name: round(value, 4) for name, value in metrics.items()}
