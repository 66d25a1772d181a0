"""vector_db.json: plain JSON for any reader, whatever the items hold."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from multimodal_search.export.moments import MomentVectors, jsonable, project_moments
from multimodal_search.export.vector_db import format_rows, write_vector_db
from multimodal_search.types import Item, Modality


@settings(max_examples=200)
@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=7),
        elements=st.floats(-1, 1, width=32, allow_subnormal=True),
    )
)
def test_rows_are_json_and_the_numbers_come_back(vectors):
    written = format_rows(vectors)
    assert len(written) == len(vectors)
    for row, text in zip(vectors, written, strict=True):
        np.testing.assert_allclose(json.loads(text), row, atol=5.1e-8)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
def test_a_number_that_is_not_json_or_has_no_place_is_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        format_rows(np.array([[0.1, bad]]))


@settings(max_examples=100)
@given(
    st.lists(
        st.builds(
            Item,
            id=st.text(),
            scene_id=st.text(),
            timestamp_us=st.none() | st.integers(0, 2**62),
            image_path=st.none() | st.text(),
            text=st.lists(st.text(), max_size=2).map(tuple),
            location=st.none() | st.text(),
            metadata=st.dictionaries(
                st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text(), max_size=3
            ),
        ),
        max_size=4,
    )
)
def test_any_item_is_valid_json(tmp_path_factory, items):
    path = tmp_path_factory.mktemp("db") / "vector_db.json"
    vectors = MomentVectors(np.eye(3, dtype=np.float32)[:1], np.zeros(len(items), dtype=np.int64))
    assert write_vector_db(path, items, {Modality.IMAGE: vectors}) == len(items)

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    read = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert [entry["id"] for entry in read] == [item.id for item in items]
    assert all(entry["vec"] == [1.0, 0.0, 0.0] and entry["type"] == "image" for entry in read)


def test_a_moment_has_an_entry_for_each_modality_it_has(tmp_path):
    items = [Item("a", "s", text=("one", "two")), Item("b", "s")]
    vectors = {
        Modality.IMAGE: MomentVectors(np.eye(2, dtype=np.float32), np.array([1, -1])),
        Modality.TEXT: MomentVectors(np.eye(2, dtype=np.float32), np.array([0, 0])),
    }
    write_vector_db(tmp_path / "db.json", items, vectors)
    read = json.loads((tmp_path / "db.json").read_text())
    assert [(e["id"], e["type"], e["vec"]) for e in read] == [
        ("a", "image", [0, 1]),
        ("a", "text", [1, 0]),
        ("b", "text", [1, 0]),
    ]
    assert read[0]["text"] == "one"
    assert read[0]["image_path"] is None
    assert "location" not in read[0]


def test_memory_does_not_grow_with_the_data(tmp_path):
    def peak(n):
        items = [Item(str(i), str(i)) for i in range(n)]
        vectors = MomentVectors(np.full((n, 64), 0.125, dtype=np.float32), np.arange(n))
        tracemalloc.start()
        write_vector_db(tmp_path / "db.json", items, {Modality.IMAGE: vectors})
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    assert peak(6000) < 1.2 * peak(1500)


def test_a_head_that_gives_nothing_gives_no_entry(features):
    made = features(scenes=3)

    def project(modality, rows):
        out = np.ones((len(rows), 4), dtype=np.float32)
        out[0] = np.nan if modality is Modality.IMAGE else 0.0
        return out

    vectors = project_moments(made, project)
    assert vectors[Modality.IMAGE].rows.tolist() == [-1, 1, 2, 3, 4, 5]
    # the first scene has no text, and the first text's vector is zero
    assert vectors[Modality.TEXT].rows.tolist() == [-1, -1, -1, -1, 1, 1]
    np.testing.assert_allclose(vectors[Modality.IMAGE].vectors[1:], 0.5)


def test_values_that_json_lacks():
    given_values = {"a": np.float32(1.5), "b": float("inf"), 3: (1, {"c"}), "d": np.int64(4), "e": b"x"}
    assert jsonable(given_values) == {"a": 1.5, "b": None, "3": [1, ["c"]], "d": 4, "e": "b'x'"}
