"""Near-duplicates are found, groups never chain, and every member is near its representative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.analysis.duplicates import Duplicates, find_duplicates
from multimodal_search.analysis.duplicates_hash import bits_apart, close_pairs, parse_hashes
from multimodal_search.errors import DataError, SettingsError
from multimodal_search.settings import DuplicatesSettings
from multimodal_search.tables import VectorSet
from multimodal_search.types import FloatArray


def find(folder: Path, array: FloatArray, columns: dict[str, Any] | None = None, **given: Any) -> Duplicates:
    ids = [str(row) for row in range(len(array))]
    vectors = VectorSet(
        "memory",
        ids,
        array.shape[1],
        lambda rows: array[rows],
        columns=None if columns is None else pa.table(columns),
    )
    return find_duplicates(vectors, DuplicatesSettings(embeddings="memory", out=folder / "o", **given))


def unit(array: FloatArray) -> FloatArray:
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def families(
    generator: np.random.Generator, sizes: list[int], noise: float
) -> tuple[FloatArray, list[set[int]]]:
    """Unit vectors: members of a family differ by about ``noise``; the rows of families of several."""
    owner = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = unit(generator.normal(size=(len(sizes), 48)))
    array = unit(centres[owner] + noise / 48**0.5 * generator.normal(size=(len(owner), 48)))
    members = [set(np.flatnonzero(owner == one).tolist()) for one, size in enumerate(sizes) if size > 1]
    return array.astype(np.float32), members


@pytest.mark.parametrize("exact", [True, False])
def test_planted_families_are_the_groups(tmp_path: Path, exact: bool) -> None:
    generator = np.random.default_rng(0)
    array, members = families(generator, [1] * 3000 + [2] * 200 + [5] * 50 + [90], 0.05)
    array *= generator.uniform(0.1, 10, (len(array), 1))  # lengths say nothing
    found = find(tmp_path, array.astype(np.float32), exact=exact)
    groups = [set(group.rows.tolist()) for group in found.groups]
    assert sorted(map(min, groups)) == [min(group) for group in groups]
    missed = [one for one in members if one not in groups]
    assert len(missed) <= (0 if exact else 5)
    if exact:
        assert len(groups) == len(members)


def test_every_member_is_near_its_representative_though_pairs_chain(tmp_path: Path) -> None:
    angles = np.linspace(0, np.pi, 400)
    array = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = find(tmp_path, array, threshold=0.99)
    taken = np.concatenate([group.rows for group in found.groups])
    assert len(set(taken.tolist())) == len(taken)
    for group in found.groups:
        cosines = array[group.rows] @ array[group.rows[0]]
        assert (cosines >= 0.99 - 1e-5).all()
        assert np.allclose(cosines, group.cosines, atol=1e-6)
        assert group.by == [""] + ["embedding"] * (len(group.rows) - 1)
        assert (np.diff(group.cosines) <= 0).all()
    assert 11 <= len(found.groups) <= 24, "an arc of pi is covered by 11.1 stars at least"


def test_the_most_central_row_represents(tmp_path: Path) -> None:
    angles = np.radians([0, 5, 10, 90, 180])
    array = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    (group,) = find(tmp_path, array, threshold=np.cos(np.radians(6))).groups
    assert group.rows.tolist() == [1, 0, 2]


@pytest.mark.parametrize("copies", [30, 1500])
def test_crowds_of_more_than_a_graph_holds_are_one_group(tmp_path: Path, copies: int) -> None:
    generator = np.random.default_rng(1)
    inner = unit(generator.normal(size=(1, 16)) + 0.02 * generator.normal(size=(10, 16)))
    crowd = np.repeat(inner, copies, axis=0) + 1e-4 * generator.normal(size=(10 * copies, 16))
    array = np.concatenate([generator.normal(size=(50, 16)), crowd]).astype(np.float32)
    found = find(tmp_path, array, threshold=0.95)
    assert [len(group.rows) for group in found.groups] == [10 * copies]


def test_equal_vectors_unusable_rows_and_nothing(tmp_path: Path) -> None:
    array = np.array([[1, 0], [0, 0], [1, 0], [np.nan, 1], [0, 0], [2, 0]], np.float32)
    (group,) = find(tmp_path, array, threshold=1.0).groups
    assert group.rows.tolist() == [0, 2, 5]
    assert find(tmp_path, np.zeros((3, 2), np.float32)).groups == []
    assert find(tmp_path, np.zeros((0, 2), np.float32)).groups == []
    assert find(tmp_path, np.ones((1, 2), np.float32)).groups == []


def test_hashes_find_what_embeddings_do_not(tmp_path: Path) -> None:
    array = np.eye(6, dtype=np.float32)
    array[1] = array[0]
    array[5] = 0  # no vector, but a hash
    hashes = ["0" * 16, "f" * 16, "00ff" * 4, "00ff" * 3 + "00fe", None, "00ff" * 4]
    found = find(tmp_path, array, {"phash": hashes})
    assert [group.rows.tolist() for group in found.groups] == [[0, 1], [2, 3, 5]]
    assert [group.by for group in found.groups] == [["", "embedding"], ["", "phash", "phash"]]
    alone = find(tmp_path, array, {"phash": hashes}, by="phash", hash_distance=0)
    assert [group.rows.tolist() for group in alone.groups] == [[2, 5]]
    hashes[1] = hashes[0]
    assert find(tmp_path, array, {"phash": hashes}).groups[0].by == ["", "both"]
    assert len(find(tmp_path, array, {"phash": hashes}, by="embedding").groups) == 1


def test_leaks_between_splits(tmp_path: Path) -> None:
    array = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)
    splits = ["train", "test", "train", "train", None, "test", "val", "test"]
    leaks = find(tmp_path, array, {"fold": splits}, split_column="fold").leaks
    assert leaks is not None
    assert [(one.row, one.other, one.split, one.other_split) for one in leaks] == [
        (0, 1, "train", "test"),
        (6, 7, "val", "test"),
    ]
    metadata = {"metadata": ['{"fold": "%s"}' % one if one else "{}" for one in splits]}  # noqa: UP031
    again = find(tmp_path, array, metadata, split_column="fold").leaks
    assert again is not None
    assert len(again) == 2


def test_what_is_not_there_is_explained(tmp_path: Path) -> None:
    array = np.eye(2, dtype=np.float32)
    with pytest.raises(SettingsError, match="--hash phash"):
        find(tmp_path, array, by="phash")
    with pytest.raises(DataError, match="no 'fold'"):
        find(tmp_path, array, split_column="fold")
    with pytest.raises(SettingsError, match="fold"):
        find(tmp_path, array, {"fole": ["a", "b"]}, split_column="fold")
    with pytest.raises(DataError, match="'xyz' in row 1"):
        find(tmp_path, array, {"phash": [None, "xyz"]})


@given(
    st.sets(st.integers(0, 2**64 - 1), min_size=1, max_size=30),
    st.integers(0, 16),
    st.lists(st.integers(0, 63), max_size=40),
)
def test_close_hashes_are_all_found(values: set[int], most_bits: int, flips: list[int]) -> None:
    some = sorted(values)
    values |= {some[i % len(some)] ^ (1 << bit) ^ (1 << (bit * 7 % 64)) for i, bit in enumerate(flips)}
    hashes = np.array(sorted(values), dtype=np.uint64)
    first, second = close_pairs(hashes, most_bits)
    apart = bits_apart(hashes[:, None], hashes[None, :])
    assert apart[0, 0] == 0
    expected = np.argwhere(np.triu((apart <= most_bits) & (most_bits > 0), 1))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == sorted(map(tuple, expected.tolist()))


@pytest.mark.parametrize("most_bits", [1, 3, 4, 8, 16])
def test_close_hashes_among_many(most_bits: int) -> None:
    generator = np.random.default_rng(most_bits)
    hashes = generator.integers(0, 2**64, 2000, dtype=np.uint64, endpoint=False)
    near = hashes.copy()
    for _ in range(most_bits):
        near ^= np.uint64(1) << generator.integers(0, 64, 2000, dtype=np.uint64)
    hashes = np.unique(np.concatenate([hashes, near]))
    first, second = close_pairs(hashes, most_bits)
    expected = np.argwhere(np.triu(bits_apart(hashes[:, None], hashes[None, :]) <= most_bits, 1))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == sorted(map(tuple, expected.tolist()))


def test_hashes_are_read_and_bits_counted() -> None:
    hashes, there = parse_hashes(["ff00000000000001", None, "", "0" * 16], where="x")
    assert hashes.tolist() == [0xFF00000000000001, 0, 0, 0]
    assert there.tolist() == [True, False, False, True]
    assert bits_apart(hashes[0], hashes[3]) == 9
    for bad in ("ff", "g" * 16, "f" * 17, "-f00000000000001"):
        with pytest.raises(DataError, match="no perceptual hash"):
            parse_hashes([bad], where="x")
