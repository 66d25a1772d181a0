"""A bundle's index answers as the scan does; one of other rows, or of other encoders, is not asked."""

from __future__ import annotations

import json
import logging
import shutil

import numpy as np
import pytest

import multimodal_search
from multimodal_search.errors import EncoderError
from multimodal_search.search.ranking import ExactRanking, IndexRanking
from multimodal_search.tables import open_vectors

pytest.importorskip("faiss")


@pytest.fixture
def indexed(drives, tmp_path):
    """A copy of the bundle with an index of its vectors."""
    from multimodal_search import index

    copy = tmp_path / "indexed"
    shutil.copytree(drives, copy)
    index.build(open_vectors(copy), copy / "vectors" / "index.faiss")
    return copy


@pytest.fixture
def bare(drives, tmp_path):
    """A copy without one."""
    copy = tmp_path / "bare"
    shutil.copytree(drives, copy)
    for path in (copy / "vectors").glob("index.faiss*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return copy


@pytest.mark.parametrize(
    "query",
    [
        {"text": "left", "k": 3},
        {"text": "stop", "k": 60, "merge_seconds": 0},
        {"text": ["right", ("stop", -0.5)], "against": "text", "k": 5},
        {"id": "drive-0/12", "where": "location == 'tokyo'", "k": 4, "merge_seconds": 0},
        {"text": "left", "where": "speed_max == 3", "k": 10},
        {"text": "left", "where": "speed_max > 99", "k": 10},
        {"text": "left", "metric": "l2", "k": 4},
    ],
)
def test_the_index_and_the_scan_say_the_same(indexed, bare, stub, query, monkeypatch):
    asked = []
    real = IndexRanking.top
    monkeypatch.setattr(IndexRanking, "top", lambda self, count: asked.append(count) or real(self, count))
    mine, exact = (multimodal_search.load(one).search(**query) for one in (indexed, bare))
    assert [hit.id for hit in mine] == [hit.id for hit in exact]
    assert [hit.frames for hit in mine] == [hit.frames for hit in exact]
    assert np.allclose([hit.score for hit in mine], [hit.score for hit in exact], atol=2e-3)
    assert bool(asked) == (query.get("metric") is None)


def test_an_index_of_other_encoders_is_refused(indexed, stub):
    state = indexed / "vectors" / "index.faiss.files" / "state.json"
    content = json.loads(state.read_text())
    content["state"]["fingerprint"] = "f" * 64
    state.write_text(json.dumps(content))
    with pytest.raises(EncoderError, match="encoder"):
        multimodal_search.load(indexed).search(text="left")


@pytest.mark.parametrize("change", ["other rows", "other heads"])
def test_an_index_of_other_rows_is_not_asked(indexed, stub, caplog, change):
    from multimodal_search import index

    vectors = open_vectors(indexed)
    if change == "other rows":
        vectors = vectors.select(np.arange(len(vectors) - 1))
    else:
        vectors._gather = lambda rows: np.roll(open_vectors(indexed).gather(rows), 1, axis=1)
    index.build(vectors, indexed / "vectors" / "index.faiss")
    logging.getLogger("multimodal_search").propagate = True
    with caplog.at_level("WARNING"):
        assert multimodal_search.load(indexed).search(text="left", k=1)[0].id == "drive-2/02"
    assert "other rows" in caplog.text


def test_an_index_that_finds_too_few_leaves_it_to_the_scan():
    rows = np.arange(5, dtype=np.int64)
    values = -rows.astype(np.float32)

    def scan():
        return ExactRanking(rows, values, lambda some: values[some])

    ranking = IndexRanking(lambda count: (rows[:2], values[:2]), scan, there=5)
    assert ranking.top(2)[0].tolist() == [0, 1]
    assert ranking.top(4)[0].tolist() == [0, 1, 2, 3]
    complete = IndexRanking(lambda count: (rows[:2], values[:2]), scan, there=2)
    assert complete.top(4)[0].tolist() == [0, 1]
