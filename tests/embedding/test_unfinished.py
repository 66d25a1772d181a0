"""Checkpoints of a part: what is whole comes back as it was, what is not is as if it had never been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.embedding.unfinished import Checkpoints, FinishedBatch
from multimodal_search.tables import PartFailure


def batch(ids: list[str], seed: int = 0, dtype: str = "float16") -> FinishedBatch:
    vectors = np.random.default_rng(seed).standard_normal((len(ids), 3)).astype(dtype)
    return FinishedBatch(
        ids,
        [f"key of {one}" for one in ids],
        vectors if ids else None,
        {"phash": ["0f" * 8 for _ in ids]} if ids else {},
        [PartFailure("bad", None, "it is broken", again=True, key="k")],
    )


def same(one: FinishedBatch, other: FinishedBatch) -> bool:
    arrays = [np.zeros(0) if each.vectors is None else each.vectors for each in (one, other)]
    plain = [
        (list(each.ids), list(each.keys), dict(each.columns), list(each.failures)) for each in (one, other)
    ]
    return plain[0] == plain[1] and arrays[0].dtype == arrays[1].dtype and np.array_equal(*arrays)


@settings(max_examples=30)
@given(st.lists(st.lists(st.text(), max_size=4, unique=True), min_size=1, max_size=4))
def test_any_batch_comes_back_bit_for_bit(batches: list[list[str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        checkpoints = Checkpoints(Path(home) / "part")
        saved = {number: batch(ids, number) for number, ids in enumerate(batches)}
        for number, one in saved.items():
            checkpoints.save({number: one})
        found = checkpoints.load()
        assert set(found) == set(saved)
        assert all(same(found[number], saved[number]) for number in saved)


def test_a_torn_or_flipped_file_is_left_out(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "part")
    for number in range(4):
        checkpoints.save({number: batch([f"{number}a", f"{number}b"], number)})
    files = sorted((tmp_path / "part").glob("*.npz"))
    files[1].write_bytes(files[1].read_bytes()[:-40])
    raw = bytearray(files[2].read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    files[2].write_bytes(raw)
    files[3].write_bytes(b"")
    assert set(checkpoints.load()) == {0}


def test_nothing_is_kept_without_a_folder_and_nothing_is_left_after_the_part(tmp_path: Path) -> None:
    Checkpoints(None).save({0: batch(["a"])})
    assert Checkpoints(None).load() == {}
    checkpoints = Checkpoints(tmp_path / "part")
    checkpoints.save({0: batch(["a"])})
    checkpoints.remove()
    assert not (tmp_path / "part").exists()
    assert checkpoints.load() == {}
