"""Build, load, search: right rows or a clear error, for every kind and metric."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from multimodal_search import index
from multimodal_search.errors import BundleError, DataError, EncoderError, SettingsError
from multimodal_search.index.choice import choose, list_count

KINDS = ("flat", "hnsw", "ivfflat", "ivfpq", "sq8")


def best(array, query, metric, k, keep=None):
    """(k,) rows by a plain loop's order: nearest first, equal ones by row."""
    array, query = array.astype(np.float64), query.astype(np.float64)
    if metric == "cosine":
        near = array @ query / np.linalg.norm(array, axis=1) / np.linalg.norm(query)
    elif metric == "ip":
        near = array @ query
    else:
        near = -np.linalg.norm(array - query, axis=1)
    if keep is not None:
        near[~keep] = -np.inf
    rows = np.argsort(-near, kind="stable")[:k]
    return rows, near[rows]


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_flat_gives_what_a_plain_comparison_gives(tmp_path, vectors_of, clusters, metric):
    array = clusters(400)
    built = index.build(vectors_of(array), tmp_path / "a.faiss", metric=metric)
    assert built.info["kind"] == "flat"
    found = index.load(tmp_path / "a.faiss").search(array[:7] + 0.1, k=12)
    assert found.ids.shape == found.scores.shape == found.rows.shape == (7, 12)
    for place in range(7):
        rows, near = best(array, array[place] + 0.1, metric, 12)
        assert found.rows[place].tolist() == rows.tolist()
        assert found.ids[place].tolist() == [f"id{row}" for row in rows]
        expected = -near if metric == "l2" else near
        np.testing.assert_allclose(found.scores[place], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reaches_its_recall_on_fresh_queries_and_says_so(tmp_path, vectors_of, clusters, kind):
    array, fresh = clusters(6000), clusters(800, seed=5)
    built = index.build(vectors_of(array), tmp_path / "a.faiss", kind=kind, target_recall=0.9)
    found = index.load(tmp_path / "a.faiss").search(fresh, 10)
    right = [
        len(set(best(array, q, "cosine", 10)[0]) & set(rows))
        for q, rows in zip(fresh, found.rows, strict=True)
    ]
    recall = np.mean(right) / 10
    assert recall >= 0.9
    assert built.info["recall"] == pytest.approx(recall, abs=0.02)
    assert built.info["kind"] == kind
    assert built.info["milliseconds"] > 0
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert (found.rows == index.load(tmp_path / "a.faiss").search(fresh, 10).rows).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.05, 0.001])
def test_only_allowed_rows_are_found_and_the_recall_holds(tmp_path, vectors_of, clusters, kind, share):
    array, fresh = clusters(30_000, dim=16), clusters(60, dim=16, seed=5)
    place = tmp_path / "a.faiss"
    built = index.build(vectors_of(array), place, kind=kind, target_recall=0.9)
    allowed = np.random.default_rng(1).random(len(array)) < share
    found = built.search(fresh, 10, allowed=allowed)
    rows = built.search(fresh, 10, allowed=np.flatnonzero(allowed)).rows
    assert (found.rows == rows).all()
    assert allowed[found.rows[found.rows >= 0]].all()
    right = [
        len(set(best(array, q, "cosine", 10, allowed)[0]) & set(row)) / min(10, allowed.sum())
        for q, row in zip(fresh, found.rows, strict=True)
    ]
    assert np.mean(right) >= 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_equal_rows_come_in_their_order_however_many(tmp_path, vectors_of, clusters, kind):
    array = clusters(3000)
    array[100:160] = array[7]
    built = index.build(vectors_of(array), tmp_path / "a.faiss", kind=kind, target_recall=0.99)
    found = built.search(array[7], 5)
    assert found.rows.tolist() == [7, 100, 101, 102, 103]
    assert found.scores.tolist() == pytest.approx([1] * 5, abs=1e-3)
    assert len(set(found.scores.tolist())) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_a_vector_are_listed_and_never_found(tmp_path, vectors_of, clusters, kind):
    array = clusters(2000)
    array[3], array[50, 2], array[51, 0] = 0, np.nan, np.inf
    built = index.build(vectors_of(array), tmp_path / "a.faiss", kind=kind)
    assert built.left_out == ["id3", "id50", "id51"]
    assert built.info["gone"] == 3
    found = built.search(array[4], 2000)
    assert not {3, 50, 51} & set(found.rows.tolist())
    allowed = np.zeros(2000, bool)
    allowed[[3, 50, 51, 60]] = True
    assert built.search(array[4], 10, allowed=allowed).rows.tolist() == [60]
    assert not built.usable[[3, 50, 51]].any()


def test_more_asked_than_there_is(tmp_path, vectors_of, clusters):
    array = clusters(5)
    built = index.build(vectors_of(array), tmp_path / "a.faiss")
    assert len(built.search(array[0], 100)) == 5
    many = built.search(array[:2], 8)
    assert many.ids.shape == (2, 8)
    assert many.rows[0, 5:].tolist() == [-1] * 3
    assert many.ids[0, 5:].tolist() == [None] * 3
    assert np.isnan(many.scores[0, 5:]).all()
    assert len(built.search(array[0], 3, allowed=np.zeros(5, bool))) == 0
    assert built.search(np.empty((0, 32), np.float32), 3).rows.shape == (0, 3)


@pytest.mark.parametrize("kind", ["auto", *KINDS])
def test_an_empty_index_and_a_tiny_one_answer(tmp_path, vectors_of, clusters, kind):
    empty = index.build(vectors_of(clusters(0)), tmp_path / "a.faiss", kind=kind)
    assert len(empty) == 0
    assert len(empty.search(np.ones(32), 5)) == 0
    assert empty.append(vectors_of(clusters(4))) == 4
    assert len(empty.search(np.ones(32), 5)) == 4
    bad = index.build(vectors_of(np.zeros((3, 32), np.float32)), tmp_path / "b.faiss", kind=kind)
    assert len(bad.search(np.ones(32), 5)) == 0
    one = index.build(vectors_of(clusters(1)), tmp_path / "c.faiss", kind=kind)
    assert one.search(np.ones(32), 5).ids.tolist() == ["id0"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (np.full(32, np.nan), "NaN"),
        (np.full(32, np.inf), "NaN"),
        (np.zeros(32), "all zeros"),
        (np.ones(31), "length 32"),
        (np.ones((2, 2, 32)), "length 32"),
        (np.ones(0), "length 32"),
    ],
)
def test_queries_that_mean_nothing_are_refused(tmp_path, vectors_of, clusters, query, words):
    built = index.build(vectors_of(clusters(20)), tmp_path / "a.faiss")
    with pytest.raises(DataError, match=words):
        built.search(query)


def test_a_query_of_tiny_or_huge_numbers_has_a_direction(tmp_path, vectors_of, clusters):
    array = clusters(50)
    built = index.build(vectors_of(array), tmp_path / "a.faiss")
    plain = built.search(array[4]).rows.tolist()
    assert built.search(array[4] * np.float32(1e-25)).rows.tolist() == plain
    assert built.search(array[4] * np.float32(1e25)).rows.tolist() == plain


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "3"])
def test_k_is_a_count(tmp_path, vectors_of, clusters, k):
    built = index.build(vectors_of(clusters(20)), tmp_path / "a.faiss")
    with pytest.raises(SettingsError, match="whole number"):
        built.search(np.ones(32), k)


@pytest.mark.parametrize(
    "allowed", [np.ones(19, bool), np.array([20]), np.array([-1]), np.array([0.5]), np.ones((2, 20), bool)]
)
def test_a_choice_that_does_not_fit_is_refused(tmp_path, vectors_of, clusters, allowed):
    built = index.build(vectors_of(clusters(20)), tmp_path / "a.faiss")
    with pytest.raises(SettingsError, match=r"allowed|mask"):
        built.search(np.ones(32), allowed=allowed)


def test_queries_of_another_encoder_are_refused(tmp_path, vectors_of, clusters):
    built = index.build(vectors_of(clusters(20)), tmp_path / "a.faiss")
    built.verify_fingerprint("f" * 64)
    with pytest.raises(EncoderError, match="not that of the index"):
        built.verify_fingerprint("e" * 64)
    assert index.load(tmp_path / "a.faiss").fingerprint == "f" * 64


def test_ids_and_columns_lie_beside_the_index(tmp_path, vectors_of, clusters):
    array = clusters(70_000, dim=4)  # more than one batch of names
    built = index.build(vectors_of(array), tmp_path / "a.faiss")
    assert built.columns.column_names == ["id", "number", "place"]
    assert built.columns["number"][69_999].as_py() == 69_999
    assert built.rows_of(["id69999", "nobody", "id3", "id3"]).tolist() == [69_999, -1, 3, 3]
    assert built.ids_of(np.array([65_536, -1, 0])) == ["id65536", None, "id0"]
    assert built.ids_of(np.arange(2000))[-1] == "id1999"
    unit = array[:3] / np.linalg.norm(array[:3], axis=1, keepdims=True)
    np.testing.assert_allclose(built.vectors(np.arange(3)), unit, atol=1e-3)


def test_any_faiss_reads_the_file(tmp_path, vectors_of, clusters):
    faiss = pytest.importorskip("faiss")
    array = clusters(300)
    index.build(vectors_of(array), tmp_path / "a.faiss", metric="ip")
    _, rows = faiss.read_index(str(tmp_path / "a.faiss")).search(array[:1], 5)
    assert rows[0].tolist() == best(array, array[0], "ip", 5)[0].tolist()


def test_what_is_no_index_is_refused(tmp_path, vectors_of, clusters):
    with pytest.raises(BundleError, match="no index here"):
        index.load(tmp_path / "a.faiss")
    (tmp_path / "b.faiss").write_bytes(b"IxFl")
    with pytest.raises(BundleError, match="beside the index is missing"):
        index.load(tmp_path / "b.faiss")
    index.build(vectors_of(clusters(20)), tmp_path / "a.faiss")
    whole = (tmp_path / "a.faiss").read_bytes()
    (tmp_path / "a.faiss").write_bytes(whole[:100])
    with pytest.raises(BundleError, match="cannot be read"):
        index.load(tmp_path / "a.faiss")
    (tmp_path / "a.faiss").unlink()
    with pytest.raises(BundleError, match="missing"):
        index.load(tmp_path / "a.faiss")
    (tmp_path / "a.faiss").write_bytes(whole)
    assert len(index.load(tmp_path / "a.faiss")) == 20
    state = tmp_path / "a.faiss.files" / "state.json"
    for content in (b"{", b"[]", b"{}", json.dumps({"format": "x", "version": 1}).encode()):
        state.write_bytes(content)
        with pytest.raises(BundleError, match="cannot be understood"):
            index.load(tmp_path / "a.faiss")


def test_auto_is_exact_while_that_is_quick_and_smaller_where_memory_is_scarce():
    assert choose(34_149, 256, "auto", "cosine", None).kind == "flat"
    assert choose(100_000, 256, "auto", "cosine", None).kind == "flat"
    assert choose(1_000_000, 256, "auto", "cosine", None).kind == "ivfflat"
    assert choose(1_000_000, 256, "auto", "cosine", 300_000_000).kind == "sq8"
    assert choose(1_000_000, 256, "auto", "cosine", 100_000_000).kind == "ivfpq"
    with pytest.raises(SettingsError, match="76 MB as the smallest index"):
        choose(1_000_000, 256, "auto", "cosine", 1_000_000)
    with pytest.raises(SettingsError, match="Unknown kind"):
        choose(10, 256, "ivf", "cosine", None)
    assert [list_count(rows) for rows in (0, 79, 1000, 100_000, 1_000_000, 10**8)] == [
        1,
        1,
        32,
        1024,
        4096,
        16384,
    ]


def test_building_again_replaces_the_index_when_the_new_one_is_whole(tmp_path, vectors_of, clusters):
    place = tmp_path / "a.faiss"
    old = index.build(vectors_of(clusters(2000)), place, kind="ivfflat")
    index.build(vectors_of(clusters(30), first=100), place)
    assert len(old.search(np.ones(32), 10)) == 10, "who has the old one open goes on"
    assert index.load(place).ids_of(np.array([0])) == ["id100"]
    assert len(list((tmp_path / "a.faiss.files").iterdir())) <= 4


def test_a_large_flat_index_opens_without_being_read(tmp_path, vectors_of, clusters):
    index.build(vectors_of(clusters(60_000, dim=64)), tmp_path / "a.faiss", kind="ivfflat")
    started = time.perf_counter()
    index.load(tmp_path / "a.faiss")
    assert time.perf_counter() - started < 0.5
