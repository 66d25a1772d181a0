"""Rows are embedded once whatever happens: bad inputs, a breaking encoder, Ctrl-C, kill -9."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.embedding.isolation import encode_isolating
from multimodal_search.embedding.pipeline import Row, embed_rows, plan_batches
from multimodal_search.errors import EncoderError, MissingDependencyError, SkipInput
from multimodal_search.tables import TableWriter, open_table
from multimodal_search.types import Failure


def make_rows(count: int, key: str = "k") -> list[Row]:
    return [Row(f"text {i}", key, f"item {i}", f"file-{i}") for i in range(count)]


@pytest.fixture
def embed(tmp_path: Path, table_info: Any) -> Callable[..., list[Failure]]:
    def run(encoder: Any, rows: list[Row], decode: Any = lambda row: row.id, **options: Any) -> list[Failure]:
        options = {"batch_size": 4, "num_workers": 2, "rows_per_part": 8, "progress": False, **options}
        with TableWriter(tmp_path / "t", table_info(encoder)) as writer:
            return embed_rows(rows, decode, encoder, writer, **options)

    return run


def stored(tmp_path: Path) -> dict[str, list[float]]:
    table = open_table(tmp_path / "t")
    assert len(set(table.ids)) == len(table.ids), "a row is there twice"
    return dict(zip(table.ids, table.gather().tolist(), strict=True))


@pytest.mark.parametrize("num_workers", [0, 3])
def test_every_row_once_and_nothing_the_second_time(
    tmp_path: Path, stub_encoder: Any, embed: Any, num_workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, rows = stub_encoder(), make_rows(21)
    assert embed(encoder, rows, num_workers=num_workers, progress=True) == []
    assert "21/21" in capsys.readouterr().err
    assert list(stored(tmp_path)) == [row.id for row in rows]
    vectors = np.array(list(stored(tmp_path).values()))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert [len(encoder.seen), encoder.batches] == [21, [4, 4, 4, 4, 4, 1]]
    assert [part.rows for part in open_table(tmp_path / "t").parts] == [8, 8, 5]

    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "t").glob("part-*")}
    assert embed(encoder, rows, progress=True) == []
    assert len(encoder.seen) == 21
    assert capsys.readouterr().err == ""
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "t").glob("part-*")} == before


def test_only_new_and_changed_rows_are_computed(tmp_path: Path, stub_encoder: Any, embed: Any) -> None:
    encoder, rows = stub_encoder(), make_rows(10)
    embed(encoder, rows[:6])
    encoder.seen.clear()
    changed = [Row("text 2", "other", "item 2"), *rows[6:]]
    embed(encoder, [*rows[:2], changed[0], *rows[3:]], decode=lambda row: row.id + row.key)
    assert sorted(encoder.seen) == sorted(["text 2other", *(row.id + "k" for row in rows[6:])])
    table = open_table(tmp_path / "t")
    assert table.locate(["text 2", "text 2"], ["other", "k"]).min() >= 0


def test_bad_inputs_are_listed_and_the_job_goes_on(tmp_path: Path, stub_encoder: Any, embed: Any) -> None:
    encoder = stub_encoder()
    encoder.breaks_on, encoder.not_finite, encoder.zero = {"text 4"}, {"text 5"}, {"text 6"}

    def decode(row: Row) -> str:
        if row.id == "text 1":
            raise SkipInput("truncated file")
        if row.id == "text 2":
            raise ValueError("a decoder's bug")
        return "unusable" if row.id == "text 3" else row.id

    expected = {
        "1": "truncated file",
        "2": "cannot be prepared: ValueError: a decoder's bug",
        "3": "preprocess refuses it",
        "4": "the encoder failed: RuntimeError: broken input",
        "5": "the encoder returned a value that is not finite",
        "6": "the encoder returned a zero vector",
    }
    earlier = Failure("earlier", None, "missing")
    failures = embed(encoder, make_rows(12), decode, failed_before=[earlier])
    assert {one.id.removeprefix("item "): one.reason for one in failures[1:]} == expected
    assert all(one.path == one.id.replace("item ", "file-") for one in failures[1:])
    assert open_table(tmp_path / "t").failures() == failures
    assert list(stored(tmp_path)) == [f"text {i}" for i in (0, 7, 8, 9, 10, 11)]
    assert np.isfinite(list(stored(tmp_path).values())).all()

    # nothing is held against an input for ever: what was repaired is found by the next run
    encoder.breaks_on, encoder.not_finite = set(), set()
    encoder.seen.clear()
    failures = embed(encoder, make_rows(12), lambda row: row.id)
    assert [one.id for one in failures] == ["item 6"]
    assert sorted(encoder.seen) == [f"text {i}" for i in range(1, 7)]
    assert len(stored(tmp_path)) == 11
    assert open_table(tmp_path / "t").failures() == failures


def test_zero_is_a_value_for_an_encoder_that_does_not_normalise(stub_encoder: Any) -> None:
    from multimodal_search.types import Modality

    encoder = stub_encoder(Modality.TIMESERIES)
    encoder.zero = {"a"}
    assert not encode_isolating(encoder, ["a"])[0].any()


def test_a_batch_too_large_for_memory_is_halved(tmp_path: Path, stub_encoder: Any, embed: Any) -> None:
    encoder = stub_encoder()
    encoder.too_many = 3
    assert embed(encoder, make_rows(16), batch_size=16) == []
    assert len(stored(tmp_path)) == 16
    assert encoder.batches == [16, 8, 4, 2, 2, 4, 2, 2, 8, 4, 2, 2, 4, 2, 2]


def test_an_encoder_that_always_fails_ends_the_job_early(stub_encoder: Any, embed: Any) -> None:
    encoder = stub_encoder()
    encoder.too_many = 0
    with pytest.raises(EncoderError, match=r"failed on every one of its first inputs.*MemoryError"):
        embed(encoder, make_rows(10_000))
    assert len(encoder.batches) < 50


def test_wrong_output_shape_is_an_error_not_a_failure(stub_encoder: Any, embed: Any) -> None:
    encoder = stub_encoder()
    encoder.encode = lambda ready: np.ones((len(ready), 3), np.float32)
    with pytest.raises(EncoderError, match=r"returned \(4, 3\), its card says \(4, 8\)"):
        embed(encoder, make_rows(8))


def test_a_missing_package_ends_the_job_and_finished_batches_stay(
    tmp_path: Path, stub_encoder: Any, embed: Any
) -> None:
    def decode(row: Row) -> str:
        if row.id == "text 9":
            raise MissingDependencyError("no boto3")
        return row.id

    with pytest.raises(MissingDependencyError):
        embed(stub_encoder(), make_rows(40), decode)
    assert list(stored(tmp_path)) == [f"text {i}" for i in range(8)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_ctrl_c_keeps_finished_batches(
    tmp_path: Path, stub_encoder: Any, embed: Any, caplog: pytest.LogCaptureFixture, num_workers: int
) -> None:
    encoder, rows, real = stub_encoder(), make_rows(100), stub_encoder().encode
    calls = 0

    def interrupted(ready: list[Any]) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 4:
            signal.raise_signal(signal.SIGINT)
        return real(ready)

    encoder.encode = interrupted
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        embed(encoder, rows, num_workers=num_workers)
    assert "12 new rows are kept" in caplog.text
    assert list(stored(tmp_path)) == [row.id for row in rows[:12]]
    while any(thread.name.startswith("decode") for thread in threading.enumerate()):
        time.sleep(0.01)  # the suite's own time limit ends this
    embed(stub_encoder(), rows)
    assert stored(tmp_path) == uninterrupted(stub_encoder(), rows, batch_size=4)


def uninterrupted(encoder: Any, rows: list[Row], batch_size: int) -> dict[str, list[float]]:
    """What the plain loop over batches gives."""
    found = {}
    for start in range(0, len(rows), batch_size):
        batch = [row.id for row in rows[start : start + batch_size]]
        found.update(zip(batch, encoder.embed(batch).tolist(), strict=True))
    return found


def test_slow_machine_writes_parts_by_time(tmp_path: Path, stub_encoder: Any, embed: Any) -> None:
    embed(stub_encoder(), make_rows(16), rows_per_part=16, part_seconds=0.0)
    assert [part.rows for part in open_table(tmp_path / "t").parts] == [4, 4, 4, 4]


def test_memory_holds_a_bounded_number_of_decoded_inputs(stub_encoder: Any, embed: Any) -> None:
    alive, most, lock = 0, 0, threading.Lock()

    class Picture(str):
        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    def decode(row: Row) -> str:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return Picture(row.id)

    encoder = stub_encoder()
    real = encoder.encode
    encoder.encode = lambda ready: real([str(one) for one in ready])
    embed(encoder, make_rows(400), decode, num_workers=3, batch_size=5, rows_per_part=50)
    assert most <= 5 + (5 + 2 * 3) + 5


@given(
    st.lists(st.booleans(), max_size=60),
    st.integers(1, 7),
    st.integers(1, 30),
)
def test_plan_has_every_missing_row_once(missing: list[bool], batch_size: int, rows_per_part: int) -> None:
    parts = list(plan_batches(np.array(missing, dtype=bool), batch_size, rows_per_part))
    planned = [i for part in parts for batch in part for i in batch]
    assert sorted(planned) == np.flatnonzero(missing).tolist()
    assert all(0 < len(batch) <= batch_size for part in parts for batch in part)
    assert all(sum(map(len, part)) <= max(batch_size, rows_per_part) for part in parts)
    # a batch that is missing as a whole is the batch of a run from nothing
    whole = {
        tuple(batch) for part in plan_batches(np.ones(len(missing), bool), batch_size, 30) for batch in part
    }
    for batch in whole:
        if all(missing[i] for i in batch):
            assert list(batch) in [one for part in parts for one in part]


KILLED = """
import importlib.util, random, sys, time
from pathlib import Path
from multimodal_search.embedding.pipeline import Row, embed_rows
from multimodal_search.tables import TableInfo, TableWriter

spec = importlib.util.spec_from_file_location("stubs", sys.argv[1])
stubs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stubs)

class Sleepy(stubs.StubEncoder):
    def encode(self, ready):
        time.sleep(0.004)
        return super().encode(ready)

encoder = Sleepy()
rows = [Row(f"text {i}", "k", f"item {i}", f"file-{i}") for i in range(600)]
print("go", flush=True)
with TableWriter(sys.argv[2], TableInfo(encoder.fingerprint, 8, encoder.card)) as writer:
    print("found", len(writer.table), flush=True)
    embed_rows(rows, lambda row: row.id, encoder, writer, batch_size=4, rows_per_part=16, progress=False)
print("done", flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_kill_at_random_moments_then_resume(tmp_path: Path, seed: int, stub_encoder: Any, embed: Any) -> None:
    rng = random.Random(seed)
    stubs = Path(__file__).with_name("conftest.py")
    arguments = [sys.executable, "-c", KILLED, str(stubs), str(tmp_path / "t")]
    found = []
    for _ in range(3):
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "go\n"
            time.sleep(rng.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
            out = process.stdout.read()
        if "found" in out:
            found.append(int(out.split()[1]))
        for path in (tmp_path / "t").glob("part-*.parquet"):
            assert path.with_suffix(".npy").exists()
    assert found == sorted(found), "a kill lost rows that were there"
    kept = sum(pq.read_metadata(path).num_rows for path in (tmp_path / "t").glob("part-*.parquet"))
    encoder, rows = stub_encoder(), make_rows(600)
    embed(encoder, rows, rows_per_part=16)
    assert len(encoder.seen) == 600 - kept
    assert stored(tmp_path) == uninterrupted(stub_encoder(), rows, batch_size=4)
    names = {path.suffix for path in (tmp_path / "t").iterdir() if path.name != ".lock"}
    assert names == {".npy", ".parquet", ".json", ".jsonl"}


def test_two_runs_at_once_embed_every_row_once(tmp_path: Path) -> None:
    stubs = Path(__file__).with_name("conftest.py")
    arguments = [sys.executable, "-c", KILLED, str(stubs), str(tmp_path / "t")]
    both = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate()[0].split() for process in both]
    assert all(output[-1] == "done" for output in outputs)
    assert sorted(int(output[2]) for output in outputs) == [0, 600]
    assert len(stored(tmp_path)) == 600
