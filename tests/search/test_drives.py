"""Moments of drives: frames that belong together, where and when they were, and how many of a scene."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

import multimodal_search
from multimodal_search.errors import DataError, SettingsError

START_US = 1_532_402_927_000_000


@pytest.fixture
def searcher(drives, stub):
    return multimodal_search.load(drives)


def test_neighbouring_frames_are_one_moment_known_by_the_best(searcher):
    first, second, third = searcher.search(text="left", k=3)
    assert [hit.id for hit in (first, second, third)] == ["drive-2/02", "drive-1/02", "drive-0/02"]
    assert first.timestamp_us == START_US + 2 * 3_600_000_000 + 1_000_000
    assert (first.start_us, first.end_us) == (START_US + 7_200_000_000, START_US + 7_202_000_000)
    assert first.frames == tuple(f"drive-2/{frame:02d}" for frame in range(5))
    assert first.text == "left in drive 2"
    assert first.to_json()["frames"][0] == "drive-2/00"


def test_stretches_of_one_scene_that_lie_apart_are_two_moments(searcher):
    hits = searcher.search(text="stop", k=6)
    assert [hit.id for hit in hits] == [f"drive-{d}/{f}" for d in (2, 1, 0) for f in ("07", "17")]
    assert {len(hit.frames) for hit in hits} == {5}
    one_each = searcher.search(text="stop", k=3, per_scene=1)
    assert [hit.scene_id for hit in one_each] == ["drive-2", "drive-1", "drive-0"]
    assert len(searcher.search(text="stop", k=60, per_scene=2)) <= 6


def test_the_gap_may_be_given(searcher):
    single = searcher.search(text="left", k=15, merge_seconds=0)
    assert {len(hit.frames) for hit in single} == {1}
    assert {hit.metadata["speed_max"] for hit in single} == {0.0, 1.0, 2.0, 3.0, 4.0}
    whole = searcher.search(text="left", k=3, merge_seconds=3600)
    assert [hit.scene_id for hit in whole] == ["drive-2", "drive-1", "drive-0"]


def test_more_hits_begin_with_the_fewer(searcher):
    assert searcher.search(text="stop", k=30)[:2] == searcher.search(text="stop", k=2)


def test_filters_on_metadata_and_time(searcher):
    found = searcher.search(text="left", where="location == 'osaka' and speed_max > 2", k=10)
    assert {hit.scene_id for hit in found} == {"drive-1"}
    assert found[0].id == "drive-1/03"
    assert {hit.scene_id for hit in searcher.search(text="left", where="wet == true", k=10)} == {"drive-1"}
    assert searcher.search(text="left", where="id == 'drive-0/11'")[0].id == "drive-0/11"
    assert searcher.search(text="left", where="speed_max > 100") == []
    hour_later = START_US + 3_600_000_000
    for after in (hour_later, str(hour_later), datetime.fromtimestamp(hour_later / 1e6, UTC)):
        assert {hit.scene_id for hit in searcher.search(text="left", after=after, k=9)} == {
            "drive-1",
            "drive-2",
        }
    iso = "2018-07-24T04:28:47"
    assert {hit.scene_id for hit in searcher.search(text="left", before=iso, k=9)} == {"drive-0"}
    both = searcher.search(text="left", after=hour_later, before="2018-07-24T05:28:47+00:00", k=9)
    assert {hit.scene_id for hit in both} == {"drive-1"}


def test_more_like_a_moment_and_away_from_another(searcher):
    assert searcher.search(id="drive-0/12", k=1, merge_seconds=0)[0].id == "drive-0/12"
    hits = searcher.search(id=["drive-0/02", ("drive-0/07", -1.0)], k=3)
    assert {hit.text[:4] for hit in hits} == {"left"}
    assert searcher.search(text=["left", ("stop", -0.5)], k=1)[0].text.startswith("left")


def test_a_vector_finds_what_it_is_of(searcher, tmp_path):
    vectors = searcher.vectors(["drive-1/12", "drive-1/13"])
    assert vectors.shape == (2, searcher.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    np.save(tmp_path / "v.npy", vectors[:1])
    for vector in (vectors[0], list(map(float, vectors[0])), tmp_path / "v.npy", 100 * vectors[0]):
        hit = searcher.search(vector=vector, k=1, merge_seconds=0)[0]
        assert hit.id == "drive-1/12"
        assert hit.score == pytest.approx(1, abs=1e-3)


def test_metrics_give_one_order_and_their_own_scores(searcher):
    by_cosine, by_product, by_distance = (
        searcher.search(text="right", k=3, metric=metric) for metric in ("cosine", "ip", "l2")
    )
    assert [hit.id for hit in by_cosine] == [hit.id for hit in by_product] == [hit.id for hit in by_distance]
    for near, far in zip(by_cosine, by_distance, strict=True):
        assert far.score == pytest.approx(np.sqrt(2 - 2 * near.score), abs=1e-3)


def test_diverse_hits_differ_and_the_best_stays_first(searcher):
    alike = searcher.search(text=["left", ("stop", 0.8)], k=3, merge_seconds=0)
    spread = searcher.search(text=["left", ("stop", 0.8)], k=3, merge_seconds=0, diverse=True)
    assert spread[0].id == alike[0].id

    def closeness(hits):
        vectors = searcher.vectors([hit.id for hit in hits])
        return (vectors @ vectors.T)[np.triu_indices(3, 1)].mean()

    assert closeness(spread) < closeness(alike)
    ranked = searcher.search(text="left", k=5, merge_seconds=0, diverse=0.0)
    assert [hit.id for hit in ranked] == [
        hit.id for hit in searcher.search(text="left", k=5, merge_seconds=0)
    ]


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ({"id": "drive-1/1"}, DataError, "did you mean 'drive-1/1"),
        ({"vector": [1.0, 2.0]}, DataError, "2 numbers; the vectors here have 3"),
        ({"vector": [0.0, 0.0, 0.0]}, DataError, "all zeros"),
        ({"vector": [1.0, float("nan"), 0.0]}, DataError, "NaN"),
        ({"vector": np.ones((2, 3))}, DataError, "holds 2 vectors"),
        ({"vector": np.array(["a", "b", "c"])}, DataError, "no vector"),
        ({"vector": "absent.npy"}, DataError, "no such file"),
        ({"text": ["left", ("left", -1.0)]}, DataError, "no direction"),
        ({"text": "left", "where": "speed > 3"}, SettingsError, "'speed_max'"),
        ({"text": "left", "where": "speed_max >"}, SettingsError, "Expected a value"),
        ({"text": "left", "after": "yesterday"}, SettingsError, "ISO 8601"),
        ({"text": "left", "before": 1.5}, SettingsError, "no time"),
        ({"text": "left", "metric": "l1"}, SettingsError, "cosine, l2 or ip"),
        ({"text": "left", "per_scene": 0}, SettingsError, "at least 1"),
        ({"text": "left", "diverse": 2.0}, SettingsError, "0 to 1"),
        ({"text": "left", "merge_seconds": -1}, SettingsError, "at least 0"),
        ({"text": ["a", "b"], "weights": {"text": [1, 2, 3]}}, SettingsError, "3 weights for 2 parts"),
        ({"text": ("left", float("nan"))}, SettingsError, "not all zero"),
        ({"image": []}, DataError, "image is empty"),
        ({"text": 5}, DataError, "no text"),
    ],
)
def test_a_query_that_cannot_be_is_refused_with_the_reason(searcher, query, error, message):
    with pytest.raises(error, match=message):
        searcher.search(**query)


def test_k_beyond_the_data_gives_every_moment_once(searcher):
    hits = searcher.search(text="left", k=1000, merge_seconds=0)
    assert len(hits) == len({hit.id for hit in hits}) == 60
