"""What holds for every backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from multimodal_search.errors import DataError, EncoderError, SettingsError
from multimodal_search.filters import parse
from multimodal_search.index.backends import points
from multimodal_search.index.backends.base import Uploaded
from multimodal_search.index.metric import prepared
from tests.index.backends.conftest import Open, opened, sample, vector_set

FILTERS = [
    "scene_id == 'scene-3'",
    "scene_id != 'scene-3'",
    "not scene_id in ['scene-3', 'scene-4']",
    "scene_id in ['scene-3', null]",
    "scene_id > 'scene-3'",
    "speed > 10",
    "speed == 10.25",
    "speed != 10.25",
    "speed >= 10 and speed < 20 and scene_id != 'scene-3'",
    "night == true",
    "night == false",
    "night != true",
    "night == null",
    "not (night == true or speed < 30)",
    "timestamp_us >= 1600000100000000",
    "timestamp_us < 1600000100000000.5",
    "timestamp_us == 1600000100000000",
    "timestamp_us == 0.5",
    "timestamp_us != 0.5",
    "taken >= 1600000100000000",
    "taken == 1600000100000000",
    "taken < 1600000100000000.5",
    "metadata.speed > 90",
    "tags contains 'b1'",
    "not tags contains 'b1' and scene_id == 'scene-1'",
    "mixed == 'x' and speed > 50",
    "mixed != 4",
    "text contains 'happens' and speed < 3",
    "speed > 1000",
]


def exact(vectors: np.ndarray, query: np.ndarray, k: int, keep: np.ndarray | None = None) -> list[int]:
    likeness = prepared(vectors, "cosine") @ prepared(query[None], "cosine")[0]
    if keep is not None:
        likeness = np.where(keep, likeness, -np.inf)
    best = np.argsort(-likeness, kind="stable")[:k]
    return [int(row) for row in best if np.isfinite(likeness[row])]


def test_recall_of_what_is_not_exact(tmp_path: Path) -> None:
    """The other backends compare so few rows exactly: the next test says so."""
    vectors = sample()
    backend = opened("faiss-ivfflat", tmp_path)
    backend.upload(vectors)
    rng = np.random.default_rng(1)
    queries = vectors.array()[:50] + 0.1 * rng.normal(size=(50, 24))
    found = backend.search(queries, 10)
    hits = [
        len(set(rows.tolist()) & set(exact(vectors.array(), query, 10)))
        for rows, query in zip(found.rows, queries, strict=True)
    ]
    assert np.mean(hits) >= 9


def test_the_same_ids_and_scores_as_an_exact_scan(open_it: Open, kind: str) -> None:
    if kind == "faiss-ivfflat":
        pytest.skip("measured by recall")
    vectors = sample()
    backend = open_it(rows=vectors.ids)
    assert backend.upload(vectors) == Uploaded(sent=400, present=0, unusable=0)
    assert backend.count() == 400
    queries = sample(seed=1).array()[:8]
    found = backend.search(queries, 10)
    assert found.ids.shape == (8, 10)
    for query, ids, scores, rows in zip(queries, found.ids, found.scores, found.rows, strict=True):
        wanted = exact(vectors.array(), query, 10)
        assert ids.tolist() == [vectors.ids[row] for row in wanted]
        assert rows.tolist() == wanted
        likeness = prepared(vectors.array()[wanted], "cosine") @ prepared(query[None], "cosine")[0]
        np.testing.assert_allclose(scores, likeness, atol=1e-5)
    one = backend.search(queries[0], 10)
    assert one.ids.tolist() == found.ids[0].tolist()


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_scores_of_each_metric(open_it: Open, metric: str) -> None:
    vectors = vector_set([[3.0, 4.0], [0.0, 1.0], [-6.0, 0.0]])
    backend = open_it(metric=metric)
    backend.upload(vectors)
    found = backend.search(np.array([0.0, 2.0]), 3)
    wanted = {
        "cosine": [("row-1", 1.0), ("row-0", 0.8), ("row-2", 0.0)],
        "l2": [("row-1", 1.0), ("row-0", 13**0.5), ("row-2", 40**0.5)],
        "ip": [("row-0", 8.0), ("row-1", 2.0), ("row-2", 0.0)],
    }[metric]
    assert found.ids.tolist() == [one for one, _ in wanted]
    np.testing.assert_allclose(found.scores, [score for _, score in wanted], atol=1e-5)


def test_filters_find_what_they_find_on_columns(open_it: Open) -> None:
    vectors = sample()
    assert vectors.columns is not None
    backend = open_it()
    backend.upload(vectors)
    query = vectors.array()[7]
    for text in FILTERS:
        where = parse(text)
        found = backend.search(query, 400, where=where)
        keep = where.mask(vectors.columns)
        assert sorted(found.ids.tolist()) == sorted(np.asarray(vectors.ids)[keep].tolist()), text
        few = backend.search(query, 5, where=where)
        assert few.ids.tolist() == [vectors.ids[row] for row in exact(vectors.array(), query, 5, keep)], text


def test_a_filter_on_what_is_not_there_is_refused(open_it: Open) -> None:
    backend = open_it()
    backend.upload(sample(40))
    query = np.ones(24)
    with pytest.raises(SettingsError, match="scene_id"):
        backend.search(query, where=parse("scene == 'a'"))
    with pytest.raises(SettingsError, match="holds text"):
        backend.search(query, where=parse("scene_id == 3"))
    with pytest.raises(SettingsError, match="holds numbers"):
        backend.search(query, where=parse("speed == 'fast'"))


def test_allowed_rows(open_it: Open) -> None:
    vectors = sample()
    backend = open_it(rows=vectors.ids)
    backend.upload(vectors)
    mask = np.zeros(400, dtype=np.bool_)
    mask[[3, 50, 399]] = True
    for allowed in (mask, np.flatnonzero(mask)):
        found = backend.search(vectors.array()[3], 10, allowed=allowed)
        assert sorted(found.rows.tolist()) == [3, 50, 399]
    everything = backend.search(vectors.array()[3], 10, allowed=np.ones(400, dtype=np.bool_))
    assert everything.rows.tolist() == exact(vectors.array(), vectors.array()[3], 10)
    assert len(backend.search(vectors.array()[3], 10, allowed=np.zeros(400, dtype=np.bool_))) == 0


def test_very_many_allowed_rows_are_sifted(open_it: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "NAMED_ROWS", 20)
    vectors = sample()
    backend = open_it(rows=vectors.ids)
    backend.upload(vectors)
    mask = np.zeros(400, dtype=np.bool_)
    mask[::15] = True
    queries = vectors.array()[:3]
    found = backend.search(queries, 10, allowed=mask)
    assert found.rows.tolist() == [exact(vectors.array(), one, 10, mask) for one in queries]
    every = backend.search(queries[0], 100, allowed=mask, where=parse("speed < 50"))
    assert sorted(every.rows.tolist()) == list(range(0, 200, 15))


def test_deleted_rows_are_gone_and_come_back_with_the_next_upload(open_it: Open) -> None:
    vectors = sample(100)
    backend = open_it()
    backend.upload(vectors)
    assert backend.delete(["moment:3", "moment:3", "moment:4", "unknown"]) == 2
    assert backend.count() == 98
    assert "moment:3" not in backend.search(vectors.array()[3], 100).ids.tolist()
    assert backend.delete(["moment:3"]) == 0
    assert backend.upload(vectors) == Uploaded(sent=2, present=98, unusable=0)


def test_another_encoder_is_refused(open_it: Open) -> None:
    backend = open_it()
    backend.upload(sample(40))
    with pytest.raises(EncoderError, match="another encoder"):
        backend.upload(vector_set(np.ones((3, 24)), fingerprint="0" * 64))
    with pytest.raises(EncoderError, match="another encoder"):
        backend.upload(vector_set(np.ones((3, 24)), fingerprint=None))
    with pytest.raises(EncoderError, match="another encoder"):
        backend.search(np.ones(24), fingerprint="0" * 64)
    assert len(backend.search(np.ones(24), fingerprint="f" * 64)) == 10
    assert backend.count() == 40


def test_what_cannot_be_asked(open_it: Open) -> None:
    backend = open_it()
    with pytest.raises(DataError, match="There is no"):
        backend.search(np.ones(24))
    assert backend.count() == 0
    backend.upload(sample(40))
    for query in (np.ones(23), np.zeros(24), np.full(24, np.nan)):
        with pytest.raises(DataError):
            backend.search(query)
    with pytest.raises(DataError, match="23 numbers"):
        backend.upload(vector_set(np.ones((3, 23))))
    with pytest.raises(DataError, match="scene_id"):
        backend.upload(vector_set(np.ones((3, 24)), columns=pa.table({"scene_id": [1, 2, 3]})))


def test_rows_without_a_direction_are_left_out(open_it: Open) -> None:
    vectors = np.array([[1, 0], [0, 0], [np.nan, 1], [np.inf, 0], [0, 1]], dtype=np.float32)
    backend = open_it()
    assert backend.upload(vector_set(vectors)) == Uploaded(sent=2, present=0, unusable=3)
    assert backend.search(np.array([1, 0.1]), 10).ids.tolist() == ["row-0", "row-4"]


def test_more_asked_for_than_there_is(open_it: Open) -> None:
    backend = open_it()
    backend.upload(vector_set(np.eye(3)))
    assert len(backend.search(np.array([1, 0.5, 0.2]), 5000)) == 3
    several = backend.search(np.eye(3), 5)
    assert several.ids.shape == (3, 5)
    assert several.ids[0, 3] is None
    assert several.rows[0, 4] == -1


def test_repeated_vectors_are_all_found(open_it: Open) -> None:
    vectors = vector_set(np.ones((30, 4)))
    backend = open_it(rows=vectors.ids)
    backend.upload(vectors)
    found = backend.search(np.ones(4), 30)
    assert found.rows.tolist() == list(range(30))


def test_an_upload_goes_on_where_it_was(open_it: Open, kind: str) -> None:
    if kind.startswith("faiss"):
        pytest.skip("built whole, or not at all")
    vectors = sample()
    backend = open_it()

    class StoppedError(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done >= 100:
            raise StoppedError

    backend._engine.batch_rows = 100
    with pytest.raises(StoppedError):
        backend.upload(vectors, progress=stop)
    there = backend.count()
    assert 100 <= there < 400
    assert backend.upload(vectors) == Uploaded(sent=400 - there, present=there, unusable=0)
    assert backend.upload(vectors) == Uploaded(sent=0, present=400, unusable=0)


def test_changed_rows_are_sent_again_and_new_ones_added(open_it: Open, kind: str) -> None:
    if kind.startswith("faiss"):
        pytest.skip("keeps the rows that it has")
    vectors = np.eye(4, dtype=np.float32)
    backend = open_it()
    backend.upload(vector_set(vectors, columns=pa.table({"a": [1, 2, 3, 4]})))
    vectors = np.vstack([vectors, [[1, 1, 1, 1]]])
    vectors[0] = [0, 0, 0, -1]
    changed = vector_set(vectors, columns=pa.table({"a": [1, 2, 3, 5, 6], "b": ["x"] * 5}))
    assert backend.upload(changed) == Uploaded(sent=5, present=0, unusable=0)
    assert backend.search(np.array([0, 0, 0, -1]), 1).ids.tolist() == ["row-0"]
    found = backend.search(np.ones(4), 10, where=parse("a > 4 and b == 'x'"))
    assert sorted(found.ids.tolist()) == ["row-3", "row-4"]


def test_names_that_an_engine_cannot_address_are_left_out(
    open_it: Open, caplog: pytest.LogCaptureFixture
) -> None:
    backend = open_it()
    columns = pa.table({'say "x"': [1, 2], "a.b[0]": [3, 4], "": [5, 6], "夜": ["a", "b"]})
    backend.upload(vector_set(np.eye(2), columns=columns))
    assert set(backend.collection.fields) == {"a.b[0]", "夜"}
    assert caplog.text.count("left out") == 2
    for where in ("`a.b[0]` == 4", "`夜` == 'b'", "not `夜` in ['a']"):
        assert backend.search(np.ones(2), where=parse(where)).ids.tolist() == ["row-1"]
    with pytest.raises(DataError, match="'id'"):
        backend.upload(vector_set(np.eye(2), columns=pa.table({"metadata": ['{"id": 1}', "{}"]})))


def test_ids_of_any_text(open_it: Open) -> None:
    ids = ["", " ", "夜/雨.jpg", "a" * 5000, "'quoted\"", "\n", "image:x"]
    backend = open_it()
    backend.upload(vector_set(np.eye(7), ids))
    assert [backend.search(row, 1).ids[0] for row in np.eye(7)] == ids


def test_it_is_all_there_when_it_is_opened_again(open_it: Open, kind: str) -> None:
    if kind == "qdrant-memory":
        pytest.skip("kept in memory")
    vectors = sample()
    first = open_it()
    first.upload(vectors)
    if not kind.startswith("faiss"):
        with pytest.raises(DataError, match=r"[Aa]nother|already"):
            open_it()
    first.close()
    again = open_it()
    assert again.count() == 400
    assert again.upload(vectors).present == 400
    with pytest.raises(EncoderError):
        again.search(np.ones(24), fingerprint="0" * 64)
