"""Names of clusters: what their texts say and others do not, in English and Japanese."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.analysis.naming import telling_terms, tokens


def test_tokens_of_two_languages():
    assert list(tokens("The Trucks are on a T-junction at 9")) == ["trucks", "t-junction"]
    assert list(tokens("夜の交差点でトラックが右折する")) == ["夜", "交差点", "トラック", "右折"]
    assert list(tokens("横断歩道前")) == ["横断", "断歩", "歩道", "道前"]
    assert list(tokens("дождь ночью")) == ["дождь", "ночью"]


def test_what_every_cluster_says_names_none():
    texts = ["a scene with rain"] * 5 + ["a scene with snow"] * 5 + ["a scene"] * 2
    labels = np.array([0] * 5 + [1] * 5 + [-1] * 2)
    assert telling_terms(texts, labels) == [["rain"], ["snow"]]


def test_one_text_alone_names_no_cluster():
    texts = ["rain", "rain", "rain unique", "", ""]
    assert telling_terms(texts, np.array([0, 0, 0, 1, 1])) == [["rain"], []]


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(-1, 3)), max_size=12))
def test_any_texts(rows):
    labels = np.array([label for _, label in rows], dtype=np.int64)
    found = telling_terms([text for text, _ in rows], labels)
    assert len(found) == (labels.max() + 1 if len(rows) else 0)
    assert all(len(terms) <= 3 for terms in found)
