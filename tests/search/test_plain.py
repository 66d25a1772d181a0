"""Search over vectors that are no bundle: indexes, tables, Parquet and npy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from multimodal_search import encoders
from multimodal_search.errors import BundleError, DataError, EncoderError, SettingsError
from multimodal_search.search import VectorSearcher
from multimodal_search.tables import TableInfo, open_vectors, write_table
from multimodal_search.types import EncoderCard, Modality

IDS = [f"specimen-{number:02d}" for number in range(20)]


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32) * np.linspace(1, 5, 20)[:, None]


@pytest.fixture
def npy(tmp_path, vectors):
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    return tmp_path / "v.npy"


def near(vectors, query, metric):
    wide = vectors.astype(np.float64)
    if metric == "l2":
        return np.argsort(np.linalg.norm(wide - query, axis=1), kind="stable")
    lengths = np.linalg.norm(wide, axis=1) if metric == "cosine" else 1
    return np.argsort(-(wide @ query) / lengths, kind="stable")


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_every_metric_on_npy_and_on_an_index(npy, vectors, metric):
    pytest.importorskip("faiss")
    from multimodal_search import index

    index.build(open_vectors(npy), npy.with_name("y.faiss"), metric=metric)
    query = np.array([1.0, -2.0, 0.5, 3.0])
    expected = [IDS[row] for row in near(vectors, query, metric)[:5]]
    for searcher, asked in (
        (VectorSearcher.open(npy), metric),
        (VectorSearcher.open(npy.with_name("y.faiss")), None),
    ):
        hits = searcher.search(vector=query, metric=asked, k=5)
        assert [hit.id for hit in hits] == expected
        if metric == "l2":
            place = IDS.index(hits[0].id)
            assert hits[0].score == pytest.approx(np.linalg.norm(vectors[place] - query), rel=1e-3)
        assert (hits[0].scene_id, hits[0].start_us, hits[0].frames) == (hits[0].id, None, (hits[0].id,))


def test_by_id_and_several_parts(npy, vectors):
    searcher = VectorSearcher.open(npy)
    assert len(searcher) == 20
    assert searcher.search(id="specimen-07", k=1)[0].id == "specimen-07"
    assert searcher.search(id="specimen-07", metric="l2", k=1)[0].score == 0
    mean = (vectors[3] + vectors[9]) / 2
    both = searcher.search(id=["specimen-03", "specimen-09"], metric="l2", k=3)
    assert [hit.id for hit in both] == [IDS[row] for row in near(vectors, mean, "l2")[:3]]
    assert np.allclose(searcher.vectors(["specimen-05"]), vectors[5:6])


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ({"id": "specimen-7"}, DataError, "specimen-07"),
        ({"vector": [1.0] * 5}, DataError, "5 numbers"),
        ({"text": "a chair"}, EncoderError, "Nobody knows"),
        (
            {"id": ["specimen-07", ("specimen-01", -1.0)], "metric": "l2"},
            SettingsError,
            "cosine for negatives",
        ),
        ({"id": "specimen-07", "where": "kind == 'a'"}, SettingsError, "'kind'"),
        ({}, SettingsError, "Nothing to search"),
    ],
)
def test_what_cannot_be_asked_is_said(npy, query, error, message):
    with pytest.raises(error, match=message):
        VectorSearcher.open(npy).search(**query)


def test_rows_that_cannot_be_compared_are_never_found(tmp_path):
    rows = np.ones((5, 3), dtype=np.float32)
    rows[1] = np.nan
    rows[2] = 0
    np.save(tmp_path / "v.npy", rows)
    searcher = VectorSearcher.open(tmp_path / "v.npy")
    assert [hit.id for hit in searcher.search(vector=[1.0, 0, 0], k=9)] == ["0", "3", "4"]
    assert [hit.id for hit in searcher.search(vector=[1.0, 0, 0], metric="ip", k=9)] == ["0", "3", "4", "2"]
    with pytest.raises(DataError, match="no direction"):
        searcher.search(id="2")
    with pytest.raises(DataError, match="NaN"):
        searcher.search(id="1", metric="l2")


def test_an_empty_set_finds_nothing(tmp_path):
    np.save(tmp_path / "v.npy", np.empty((0, 3), dtype=np.float32))
    assert VectorSearcher.open(tmp_path / "v.npy").search(vector=[1.0, 0, 0]) == []


def test_deleted_rows_are_gone_and_a_cosine_index_has_no_lengths(npy):
    index = pytest.importorskip("multimodal_search.index")
    pytest.importorskip("faiss")
    built = index.build(open_vectors(npy), npy.with_name("y.faiss"))
    built.delete(["specimen-07"])
    searcher = VectorSearcher.open(npy.with_name("y.faiss"))
    with pytest.raises(DataError, match="specimen-07"):
        searcher.search(id="specimen-07")
    assert "specimen-07" not in {hit.id for hit in searcher.search(id="specimen-06", k=20)}
    with pytest.raises(SettingsError, match="built for the cosine"):
        searcher.search(id="specimen-06", metric="l2")
    with pytest.raises(BundleError):
        VectorSearcher.open(npy.with_name("absent.faiss"))


def table(folder, card, fingerprint):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, card.dim)).astype(np.float32)
    names = [f"{number}.png" for number in range(6)]
    columns = {"kind": ["a", "b"] * 3}
    write_table(folder, TableInfo(fingerprint, card.dim, card), [(names, vectors, columns)])
    return folder


def test_a_picture_and_words_where_the_tables_encoder_is_known(tmp_path):
    encoder = encoders.build("sample/vit", Modality.IMAGE)
    folder = table(tmp_path / "t", encoder.card, encoder.fingerprint)
    searcher = VectorSearcher.open(folder)
    hits = searcher.search(image=Image.new("RGB", (32, 32)), where="kind == 'b'", k=9)
    assert {hit.id for hit in hits} == {"1.png", "3.png", "5.png"}
    assert hits[0].metadata == {"kind": "b"}
    with pytest.raises(EncoderError, match="cannot be asked with timeseries"):
        searcher.search(series=np.zeros((4, 2)))
    with pytest.raises(SettingsError, match="tpu"):
        VectorSearcher.open(folder, device="tpu").search(image=Image.new("RGB", (32, 32)))
    other = VectorSearcher.open(table(tmp_path / "other", encoder.card, "0" * 64))
    with pytest.raises(EncoderError):
        other.search(image=Image.new("RGB", (32, 32)))


def test_the_card_goes_with_the_index_and_with_parquet(tmp_path):
    pytest.importorskip("faiss")
    from multimodal_search import index

    card = EncoderCard("sample/vit", "shipped", Modality.IMAGE, 3)
    vectors = open_vectors(table(tmp_path / "t", card, "1" * 64))
    assert vectors.card == vectors.select(np.array([1])).card == card
    index.build(vectors, tmp_path / "y.faiss")
    assert VectorSearcher.open(tmp_path / "y.faiss")._card == card


def test_rows_of_a_table_with_scenes_and_times_are_moments_too(tmp_path):
    card = EncoderCard("x/y", "none", Modality.IMAGE, 2)
    vectors = np.tile([[1.0, 0.0]], (6, 1)).astype(np.float32)
    columns = {"scene_id": ["a"] * 4 + ["b"] * 2, "timestamp_us": [0, 1, 90, 91, 0, 1]}
    ids = [f"r{number}" for number in range(6)]
    write_table(tmp_path / "t", TableInfo("f", 2, card), [(ids, vectors, columns)])
    hits = VectorSearcher.open(tmp_path / "t").search(vector=[1.0, 0.0], merge_seconds=5e-6)
    assert [hit.frames for hit in hits] == [("r0", "r1"), ("r2", "r3"), ("r4", "r5")]
