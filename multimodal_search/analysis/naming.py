"""Clusters named by what their members' texts say more often than others do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from multimodal_search.types import IntArray

_TERMS = 3
_LEAST_MEMBERS = 2
_LEAST_LIFT = 1.5
# Words of letters; runs of kanji; runs of katakana. Hiragana are mostly endings and particles
_TOKEN = re.compile(
    r"[\u4e00-\u9fff\u3400-\u4dbf々]+|[\u30a0-\u30ff]{2,}|[^\W\d_\u3040-\u30ff\u4e00-\u9fff\u3400-\u4dbf]+(?:['’-]\w+)*"
)
_KANJI = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf々]")
_LONGEST_KANJI = 4


def tokens(text: str) -> Iterator[str]:
    """Words in lower case without English stop words; of Japanese, the runs of kanji and of katakana.

    A change of script parts Japanese words without a dictionary; a run of more than four kanji is given as
    its overlapping pairs, as searches of Chinese and Japanese text do.
    """
    for word in _TOKEN.findall(text.lower()):
        if _KANJI.match(word):
            if len(word) <= _LONGEST_KANJI:
                yield word
            else:
                yield from (word[at : at + 2] for at in range(len(word) - 1))
        elif len(word) > 1 and word not in ENGLISH_STOP_WORDS:
            yield word


def telling_terms(texts: Sequence[str], labels: IntArray, count: int = _TERMS) -> list[list[str]]:
    """The most telling terms of each cluster, best first, by c-TF-IDF (Grootendorst, BERTopic, 2022).

    A cluster is one document: a term's share of its words, times log(1 + A / f), A the mean number of words a
    cluster and f the term's number in all. A text counts a term once; a term is in at least two of its
    cluster's texts (where it has two), and half as frequent again there as in all.

    Args:
        texts: one a row; rows of noise (-1) count for nothing.
        labels: (n,) clusters from 0.
    """
    clusters = [Counter[str]() for _ in range(int(labels.max()) + 1)] if len(labels) else []
    known: dict[str, frozenset[str]] = {}  # texts repeat: one description serves many frames
    for text, label in zip(texts, labels.tolist(), strict=True):
        if label >= 0 and text:
            if text not in known:
                known[text] = frozenset(tokens(text))
            clusters[label].update(known[text])
    overall = Counter[str]()
    for one in clusters:
        overall.update(one)
    mean = sum(overall.values()) / max(1, len(clusters))
    found = []
    for number, one in enumerate(clusters):
        least = min(_LEAST_MEMBERS, int((labels == number).sum()))
        weights = {
            term: times * np.log1p(mean / overall[term]) for term, times in one.items() if times >= least
        }
        share = _LEAST_LIFT * sum(one.values()) / max(1, sum(overall.values()))
        # of a single cluster no term is its own: then the heaviest will do
        telling = [term for term in weights if one[term] > share * overall[term]] or list(weights)
        # equal weights in the order of the alphabet
        found.append(sorted(telling, key=lambda term: (-weights[term], term))[:count])
    return found


def name_of(terms: Sequence[str]) -> str:
    """``rain, night``; empty where the texts told nothing."""
    return ", ".join(terms)
