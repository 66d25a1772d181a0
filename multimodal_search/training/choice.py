"""Start or trained: a head replaces its start only where held-out scenes say so beyond their noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from multimodal_search.projectors.heads import Projector
from multimodal_search.training.retrieval import RetrievalSet, gain, reciprocal_ranks
from multimodal_search.training.warm_start import Start
from multimodal_search.types import FloatArray, Modality

FEWEST_SCENES = 8
# Standard errors of gain that count as evidence: one is not, since the best epoch was chosen on these scenes.
# With one, signal heads were taken whose class structure on unseen scenes was worse (mAP 0.82 against 0.92).
ERRORS = 2.0

Ranks = Mapping[tuple[Modality, Modality], FloatArray]


@dataclass(frozen=True, slots=True)
class Choice:
    """The heads to export, where each comes from, and why."""

    heads: dict[Modality, Projector]
    chosen: dict[str, str]
    notes: tuple[str, ...]


def choose(start: Start, trained: Mapping[Modality, Projector], data: RetrievalSet, epoch: int) -> Choice:
    """Image and text first, by the directions between them; then the signal, beside the heads chosen.

    The gain is measured scene by scene, so that the scenes' different difficulty does not hide it. With fewer
    than ``FEWEST_SCENES`` held-out scenes nothing can be told, and the start stays.

    Args:
        trained: the best checkpoint's heads.
        data: the inner validation scenes.
        epoch: of the best checkpoint, for the record.
    """
    heads = dict(start.heads)
    chosen: dict[str, str] = {}
    notes = []
    for unit in _units(start.heads):
        candidate = {**heads, **{modality: trained[modality] for modality in unit}}
        takes, why = _compare(_of(heads, unit, data), _of(candidate, unit, data))
        if takes:
            heads = candidate
        names = " and ".join(modality.value for modality in unit)
        notes.append(f"{names}: {'trained' if takes else 'start'} ({why})")
        for modality in unit:
            chosen[modality.value] = f"trained (epoch {epoch})" if takes else "start"
    return Choice(heads, chosen, tuple(notes))


def _units(heads: Mapping[Modality, Projector]) -> list[tuple[Modality, ...]]:
    """Heads that are chosen together: signals never move images and texts, so they are chosen apart."""
    everything = tuple(modality for modality in Modality if modality in heads)
    if len(everything) < 3:
        return [everything]
    return [everything[:2], everything[2:]]


def _of(heads: Mapping[Modality, Projector], unit: tuple[Modality, ...], data: RetrievalSet) -> Ranks:
    ranks = reciprocal_ranks(heads, data)
    if len(unit) > 1:
        return {pair: values for pair, values in ranks.items() if set(pair) <= set(unit)}
    return {pair: values for pair, values in ranks.items() if set(pair) & set(unit)}


def _compare(before: Ranks, after: Ranks) -> tuple[bool, str]:
    if not before:
        return False, "no held-out scenes to compare on"
    mean, error, scenes = gain(before, after)
    if scenes < FEWEST_SCENES:
        return False, f"{scenes} held-out scenes are too few to tell"
    start = float(np.mean([np.nanmean(values) for values in before.values()]))
    told = f"MRR {start:.3f} -> {start + mean:.3f}, gain {mean:+.3f} with a standard error of {error:.3f}"
    return mean > ERRORS * error and mean > 0, f"{told} over {scenes} held-out scenes"
