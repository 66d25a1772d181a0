"""Which scenes: in order, or spread over place, time, weather, manoeuvre and text; and what they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import normalize

from multimodal_search.extraction.nuscenes_facts import Facts
from multimodal_search.types import FloatArray

_ASPECTS: dict[str, Callable[[Facts], list[str]]] = {
    "place": lambda one: [one.location or "unknown"],
    "time of day": lambda one: [one.daytime or "unknown"],
    "weather": lambda one: list(one.weather) or ["not said"],
    "manoeuvre": lambda one: [each.name for each in one.manoeuvres] or ["unknown"],
}


def spread(known: Sequence[Facts], count: int, seed: int) -> list[int]:
    """Scenes far from each other: each next one is the farthest from those before (Gonzalez 1985, k-centre).

    Place, time of day, weather, manoeuvres and the text's TF-IDF weigh the same.

    Returns:
        ``count`` different indices in the order of picking; a smaller count gives the first of a larger one.
    """
    vectors = _vectors(known)
    picked = [int(np.random.default_rng(seed).integers(len(known)))]
    nearest = _distances(vectors, picked[0])
    while len(picked) < min(count, len(known)):
        nearest[picked] = -1.0
        picked.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, _distances(vectors, picked[-1]))
    return picked


def coverage(known: Sequence[Facts], chosen: Sequence[int], *, diverse: bool) -> str:
    """A table: of each value how many scenes were chosen and how many there are."""
    lines = [f"{len(chosen)} of {len(known)} scenes, {'spread' if diverse else 'in order'}", ""]
    lines.append(f"{'':<14}{'':<28}{'chosen':>8}{'there':>8}")
    covered = []
    for aspect, values_of in _ASPECTS.items():
        there = Counter(value for one in known for value in set(values_of(one)))
        taken = Counter(value for index in chosen for value in set(values_of(known[index])))
        for place, (value, number) in enumerate(sorted(there.items(), key=lambda pair: (-pair[1], pair[0]))):
            lines.append(f"{'' if place else aspect:<14}{value:<28}{taken[value]:>8}{number:>8}")
        covered.append(f"{aspect} {len(taken)} of {len(there)}")
    lines += ["", f"values covered: {', '.join(covered)}"]
    if 0 < len(chosen) < len(known):
        vectors = _vectors(known)
        far = [_radius(vectors, picked) for picked in (list(chosen), list(range(len(chosen))))]
        lines.append(
            f"a scene that was left out is at most {far[0]:.2f} from a chosen one"
            + (f" ({far[1]:.2f} for the first {len(chosen)} in order)" if diverse else "")
            + "; 0 is alike, 2.24 has nothing in common"
        )
    return "\n".join(lines)


def _vectors(known: Sequence[Facts]) -> csr_matrix:
    """(scenes, features): a block of length 1 an aspect, scaled so that two that differ are 1 apart."""
    blocks = []
    for values_of in _ASPECTS.values():
        counter = CountVectorizer(analyzer=lambda values: sorted(set(values)))
        blocks.append(normalize(counter.fit_transform([values_of(one) for one in known]).astype(np.float64)))
    texts = [one.text for one in known]
    if any(any(letter.isalnum() for letter in text) for text in texts):
        blocks.append(TfidfVectorizer(token_pattern=r"(?u)\w+", sublinear_tf=True).fit_transform(texts))
    return csr_matrix(hstack(blocks)) / np.sqrt(2.0)


def _distances(vectors: csr_matrix, index: int) -> FloatArray:
    lengths = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    products = np.asarray((vectors @ vectors[index].T).todense()).ravel()
    squared = lengths + lengths[index] - 2 * products
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def _radius(vectors: csr_matrix, picked: Sequence[int]) -> float:
    nearest = np.min([_distances(vectors, index) for index in picked], axis=0)
    return float(nearest.max())
