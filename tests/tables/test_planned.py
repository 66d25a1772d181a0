"""Parts planned by one process and written by many: nothing is lost, doubled or mixed."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.errors import BundleError, EncoderError, OutputError
from multimodal_search.storage import open_store
from multimodal_search.tables import (
    PartFailure,
    PlannedTable,
    TableInfo,
    open_table,
    part_name,
    write_planned_part,
)
from multimodal_search.types import EncoderCard, Failure, Input, Modality

DIM = 4
CARD = EncoderCard("stub/x", "none", Modality.IMAGE, DIM)
INFO = TableInfo("f" * 40, DIM, CARD, settings={"precision": "fp32", "decode": "fast", "hash": "none"})
Content = Mapping[str, str]  # id -> key; a key that starts with "bad" fails, with "net" is worth another try


def vector(one: str, key: str) -> list[float]:
    return [float(sum(map(ord, one))), float(len(one)), float(len(key)), float(sum(map(ord, key)))]


def write(table: PlannedTable, name: str, sequence: int, inputs: Sequence[Input], planned: int) -> None:
    """What a worker does."""
    good = [one for one in inputs if not one.key.startswith(("bad", "net"))]
    failures = [
        PartFailure(one.id, one.location, "it is bad", one.key.startswith("net"), one.key)
        for one in inputs
        if one not in good
    ]
    vectors = np.array([vector(one.id, one.key) for one in good], dtype=np.float32).reshape(-1, DIM)
    ids, keys = [one.id for one in good], [one.key for one in good]
    part = write_planned_part(
        table.store, INFO, name, sequence, ids, keys, vectors, {}, failures, inputs=planned
    )
    table.add(part, len(failures))


def run(location: Path | str, content: Content, *, per_part: int = 4, stop_after: int = 10**9) -> list[str]:
    """What the coordinator does; returns the ids that were computed."""
    inputs = [Input(one, key, f"/data/{one}") for one, key in content.items()]
    computed: list[str] = []
    with PlannedTable(location, INFO) as table:
        again = table.to_try_again()
        for index in range(0, len(inputs), per_part):
            chunk = inputs[index : index + per_part]
            ids, keys = [one.id for one in chunk], [one.key for one in chunk]
            name = part_name(ids, keys)
            if table.has(name) or stop_after <= 0:
                continue
            known, generation = table.known(ids, keys)
            missing = [one for one, there in zip(chunk, known, strict=True) if not there]
            if missing:
                stop_after -= 1
                write(table, name, generation * 10**9 + index // per_part, missing, len(chunk))
                computed += [one.id for one in missing]
        if again:
            now = [replace(one, key=content[one.id]) for one in again if one.id in content]
            write(table, part_name(["again", *(one.id for one in now)], []), 10**8, now, len(now))
    return computed


def assert_holds(location: Path | str, content: Content) -> None:
    table = open_table(location)
    wanted = {one: key for one, key in content.items() if not key.startswith(("bad", "net"))}
    rows = table.latest_rows()
    assert {table.ids[row]: table.keys[row] for row in rows} == wanted
    assert len(rows) == len(wanted)
    for row in rows:
        assert table.gather(np.array([row]))[0].tolist() == vector(table.ids[row], table.keys[row])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


FIRST = {f"a/{i:03}": f"k{i}" for i in range(18)}


def test_a_finished_plan_has_nothing_left_to_do(tmp_path: Path) -> None:
    assert run(tmp_path / "t", FIRST) == list(FIRST)
    before = contents(tmp_path / "t")
    assert run(tmp_path / "t", FIRST) == []
    assert contents(tmp_path / "t") == before
    assert_holds(tmp_path / "t", FIRST)


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_stopped_and_resumed_equals_uninterrupted_byte_for_byte(tmp_path: Path, stop_after: int) -> None:
    run(tmp_path / "whole", FIRST)
    run(tmp_path / "t", FIRST, stop_after=stop_after)
    (tmp_path / "t" / "manifest.json").unlink()  # killed: behind its parts, or never written
    run(tmp_path / "t", FIRST)
    assert contents(tmp_path / "t") == contents(tmp_path / "whole")


@pytest.mark.parametrize("per_part", [1, 3, 4, 7])
def test_inserted_and_appended_files_are_the_only_ones_computed(tmp_path: Path, per_part: int) -> None:
    run(tmp_path, FIRST)
    more = dict(sorted({**FIRST, "a/003b": "new", "a/999": "new", "A": "new"}.items()))
    assert sorted(run(tmp_path, more, per_part=per_part)) == ["A", "a/003b", "a/999"]
    assert_holds(tmp_path, more)
    assert run(tmp_path, more, per_part=per_part) == []


def test_content_that_changes_and_changes_back(tmp_path: Path) -> None:
    changed = {**FIRST, "a/005": "changed"}
    run(tmp_path, FIRST)
    for content in (changed, FIRST, changed):
        assert run(tmp_path, content) == ["a/005"]
        assert_holds(tmp_path, content)
        assert run(tmp_path, content) == []
    assert len(open_table(tmp_path)) == len(FIRST) + 3
    assert max(part.generation for part in open_table(tmp_path).parts) == 3


def test_a_part_lost_beside_newer_ones_is_computed_again(tmp_path: Path) -> None:
    changed = {**FIRST, "a/005": "changed"}
    run(tmp_path, FIRST)
    run(tmp_path, changed)
    lost = next(part for part in open_table(tmp_path).parts if part.sequence == 1)
    (tmp_path / f"{lost.name}.npy").unlink()
    run(tmp_path, {"a/900": "other", **changed}, stop_after=0)  # drops it, and is stopped
    assert sorted(run(tmp_path, changed)) == ["a/004", "a/006", "a/007"]
    assert_holds(tmp_path, changed)


some_ids = st.sampled_from([f"a/{i}" for i in range(9)])
contents_of_folders = st.dictionaries(
    some_ids, st.sampled_from(["k1", "k2", "k3", "bad1", "net1"]), min_size=1
)
steps = st.tuples(
    contents_of_folders,
    st.integers(1, 5),
    st.integers(0, 3),
    st.sampled_from([None, ".npy", ".parquet", "manifest.json"]),
)


@settings(max_examples=40)
@given(st.lists(steps, max_size=5), contents_of_folders, st.integers(1, 5))
def test_whatever_happened_before_a_finished_run_holds_every_input(
    history: list[tuple[Content, int, int, str | None]], content: Content, per_part: int
) -> None:
    """Folders that grow, shrink and change, parts of any size, kills, and files that are lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "t")
        for former, rows, stop_after, lost in history:
            run(folder, dict(sorted(former.items())), per_part=rows, stop_after=stop_after)
            victims = sorted(path for path in folder.iterdir() if lost and path.name.endswith(lost))
            if victims:
                victims[0].unlink()
        content = dict(sorted(content.items()))
        run(folder, content, per_part=per_part)
        table = open_table(folder)
        wanted = {one: key for one, key in content.items() if not key.startswith(("bad", "net"))}
        rows_now = {table.ids[row]: row for row in table.latest_rows().tolist()}
        assert len(rows_now) == len(table.latest_rows())
        assert {one: table.keys[rows_now[one]] for one in wanted} == wanted
        for one, key in wanted.items():
            assert table.vectors([one])[0].tolist() == vector(one, key)
        failed = {one.id for one in table.failures()}
        assert {one for one in content if one not in rows_now} <= failed
        assert not failed & set(wanted)
        again = run(folder, content, per_part=per_part)
        assert all(content[one].startswith("net") for one in again)


def test_what_a_part_lacks_joins_it_and_never_replaces_it(tmp_path: Path) -> None:
    run(tmp_path, {"a/1": "k", "a/3": "bad"}, per_part=2)
    content = {"a/2": "net", "a/3": "bad", "a/4": "k"}
    run(tmp_path, content, per_part=3)  # holds a/2 and a/4 only
    lost = open_table(tmp_path).parts[0]
    (tmp_path / f"{lost.name}.npy").unlink()
    assert set(run(tmp_path, content, per_part=3)) <= {"a/2", "a/3"}
    assert open_table(tmp_path).vectors(["a/4"])[0].tolist() == vector("a/4", "k")
    assert {one.id for one in open_table(tmp_path).failures()} == {"a/2", "a/3"}


def test_failures_are_listed_once_and_those_worth_it_tried_again(tmp_path: Path) -> None:
    content = {**FIRST, "a/001": "bad", "a/002": "net", "a/009": "net"}
    run(tmp_path, content)
    assert [one.id for one in open_table(tmp_path).failures()] == ["a/001", "a/002", "a/009"]
    assert open_table(tmp_path).failures()[0] == Failure("a/001", "/data/a/001", "it is bad")
    with PlannedTable(tmp_path, INFO) as table:
        assert table.failed == 3
        assert table.to_try_again() == [
            Input("a/002", "net", "/data/a/002"),
            Input("a/009", "net", "/data/a/009"),
        ]
    # the network is back for one of them
    assert run(tmp_path, {**content, "a/002": "k2"}) == ["a/002"]
    assert [one.id for one in open_table(tmp_path).failures()] == ["a/001", "a/009"]
    with PlannedTable(tmp_path, INFO) as table:
        table.list_failures([Failure("closed", "/data/closed", "no permission")])
    assert table.failed == 3
    assert [one.id for one in open_table(tmp_path).failures()] == ["a/001", "a/009", "closed"]
    assert json.loads((tmp_path / "failures.jsonl").read_text().splitlines()[1])["again"] is True


def test_a_changed_file_that_is_broken_now_is_a_failure(tmp_path: Path) -> None:
    run(tmp_path, FIRST)
    broken = {**FIRST, "a/004": "bad"}
    run(tmp_path, broken)
    assert [one.id for one in open_table(tmp_path).failures()] == ["a/004"]
    assert run(tmp_path, broken) == []


def test_an_unknown_key_stands_for_any(tmp_path: Path) -> None:
    run(tmp_path, FIRST)
    with PlannedTable(tmp_path, INFO) as table:
        known, generation = table.known(["a/001", "a/001", "a/001", "zz"], ["", "k1", "other", ""])
    assert known.tolist() == [True, True, False, False]
    assert generation == 1


def test_a_part_of_failures_only_is_done(tmp_path: Path) -> None:
    content = {"x": "bad", "y": "bad"}
    run(tmp_path, content)
    assert run(tmp_path, content) == []
    table = open_table(tmp_path)
    assert len(table) == 0
    assert table.gather().shape == (0, DIM)
    assert list(table.blocks()) == []


def test_grids(tmp_path: Path) -> None:
    info = replace(INFO, patches=3, dtype="float16")
    grids = np.arange(2 * 3 * DIM, dtype=np.float16).reshape(2, 3, DIM)
    with PlannedTable(tmp_path, info) as table:
        for sequence, one in enumerate("ab"):
            part = write_planned_part(
                table.store,
                info,
                part_name([one], [""]),
                sequence,
                [one],
                [""],
                grids[sequence : sequence + 1],
                {},
                [],
            )
            table.add(part, 0)
    read = open_table(tmp_path)
    assert read.info == info
    np.testing.assert_array_equal(read.gather(), grids)
    np.testing.assert_array_equal(read.vectors(["b", "a"]), grids[::-1])
    assert np.load(next(tmp_path.glob("*.npy"))).shape == (1, 3, DIM)
    with pytest.raises(BundleError, match="patches 3, not None"), PlannedTable(tmp_path, INFO):
        pass
    with pytest.raises(ValueError, match=r"expected \(1, 3, 4\)"):
        write_planned_part(open_store(tmp_path), info, "part-0", 0, ["a"], [""], grids, {}, [])


@pytest.mark.parametrize(
    ("other", "kind", "said"),
    [
        (replace(INFO, fingerprint="0" * 40), EncoderError, "another encoder"),
        (replace(INFO, dtype="float16"), BundleError, "dtype 'float32', not 'float16'"),
        (replace(INFO, normalised=False), BundleError, "normalised True, not False"),
        (replace(INFO, card=replace(CARD, pool="cls")), BundleError, "pool 'default', not 'cls'"),
        (replace(INFO, settings={**INFO.settings, "decode": "exact"}), BundleError, "decode 'fast', not"),
        (
            replace(INFO, settings={**INFO.settings, "precision": "fp16"}),
            BundleError,
            "precision 'fp32', not",
        ),
        (replace(INFO, settings={**INFO.settings, "hash": "phash"}), BundleError, "hash 'none', not 'phash'"),
    ],
)
@pytest.mark.parametrize("lost", [False, True])
def test_other_settings_are_refused_by_name(
    tmp_path: Path, other: TableInfo, kind: type[Exception], said: str, lost: bool
) -> None:
    run(tmp_path, FIRST)
    if lost:
        (tmp_path / "manifest.json").unlink()
    before = contents(tmp_path)
    with pytest.raises(kind, match=said) as caught, PlannedTable(tmp_path, other):
        pass
    assert "to do" in str(caught.value)
    assert contents(tmp_path) == before
    with PlannedTable(tmp_path, other, overwrite=True) as table:
        assert table.rows == 0
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["manifest.json"]


def test_free_settings_may_change(tmp_path: Path) -> None:
    run(tmp_path, FIRST)
    with PlannedTable(tmp_path, replace(INFO, settings={**INFO.settings, "batch_size": 8})) as table:
        assert table.rows == len(FIRST)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_files_is_refused_and_untouched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with (
        pytest.raises(OutputError, match=r"holiday\.jpg"),
        PlannedTable(tmp_path, INFO, overwrite=overwrite),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_overwriting_a_table_leaves_other_files_alone(tmp_path: Path) -> None:
    run(tmp_path, FIRST)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "part-of-me.npy").write_text("mine too")
    with PlannedTable(tmp_path, INFO, overwrite=True):
        pass
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        "manifest.json",
        "notes.txt",
        "part-of-me.npy",
    ]


Damage = Callable[[Path], None]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Damage] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "flipped": flip,
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".failures.jsonl"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_damaged_part_is_said_and_computed_again(
    tmp_path: Path, how: str, suffix: str, listed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    content = {**FIRST, **dict.fromkeys(list(FIRST)[::4], "bad")}
    run(tmp_path, content)
    before = contents(tmp_path)
    victim = sorted(tmp_path.glob(f"part-*{suffix}"))[1]
    DAMAGES[how](victim)
    if listed:
        with pytest.raises(BundleError, match="1 of 5 parts are damaged"):
            open_table(tmp_path)
    else:
        (tmp_path / "manifest.json").unlink()
    with caplog.at_level(logging.WARNING):
        run(tmp_path, content)
    if not (suffix == ".parquet" and how == "missing" and not listed):  # it never counted
        assert victim.name in caplog.text
        assert "computed again" in caplog.text
    assert contents(tmp_path) == before


def test_a_large_table_is_compared_by_size_and_its_newest_parts_by_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, FIRST)
    parts = open_table(tmp_path).parts
    for part in (parts[0], parts[-1]):
        flip(tmp_path / f"{part.name}.npy")
    newest = sum(size for _, size, _ in parts[-1].files)
    with caplog.at_level(logging.WARNING), PlannedTable(tmp_path, INFO, verify_bytes=newest) as table:
        assert not table.has(parts[-1].name)
        assert table.has(parts[0].name)
    assert parts[-1].name in caplog.text
    with pytest.raises(BundleError, match="run the command that made it again"):
        open_table(tmp_path)


HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from test_planned import INFO, PlannedTable
with PlannedTable(sys.argv[1], INFO) as table:
    print("held", flush=True)
    time.sleep(600)
"""


def hold(location: Path | str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLDER, str(location), str(Path(__file__).parent)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_live_run_is_refused_at_once_and_a_dead_ones_lock_is_free(tmp_path: Path) -> None:
    run(tmp_path, FIRST)
    with hold(tmp_path) as process:
        before = contents(tmp_path)
        for overwrite in (False, True):
            start = time.monotonic()
            with (
                pytest.raises(OutputError, match=f"process {process.pid} on"),
                PlannedTable(tmp_path, INFO, overwrite=overwrite),
            ):
                pass
            assert time.monotonic() - start < 2
        assert contents(tmp_path) == before
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert run(tmp_path, FIRST) == []


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from multimodal_search.tables import lock

    def refuse(*_: object, **__: object) -> None:
        raise OSError(37, os.strerror(37))

    monkeypatch.setattr(lock.FileLock, "acquire", refuse)
    with pytest.raises(OutputError, match="no file locks"), PlannedTable(tmp_path, INFO):
        pass


WRITER = """
import itertools, sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_planned import INFO, open_store, part_name, write_planned_part
store = open_store(sys.argv[1])
print("writing", flush=True)
for i in itertools.count():
    ids, keys = [f"{i}-{j}" for j in range(500)], ["k"] * 500
    vectors = np.full((500, 4), i, np.float32)
    write_planned_part(store, INFO, part_name(ids, keys), i, ids, keys, vectors, {}, [])
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_killed_at_any_moment_leaves_whole_parts(tmp_path: Path, seed: int) -> None:
    arguments = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        time.sleep(0.1 + float(np.random.default_rng(seed).uniform(0, 0.3)))
        process.send_signal(signal.SIGKILL)
    with PlannedTable(tmp_path, INFO) as table:
        rows = table.rows
    read = open_table(tmp_path)
    assert rows == len(read) == len(set(read.ids)) > 0
    assert [part.sequence for part in read.parts] == list(range(len(read.parts)))
    for part in read.parts:
        ids = [f"{part.sequence}-{j}" for j in range(500)]
        assert (read.vectors(ids) == part.sequence).all()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_many_threads_write_parts_of_one_table(tmp_path: Path) -> None:
    """Two runs' workers may write the same part for a moment: it stays whole."""
    store = open_store(tmp_path)
    ids, keys = [str(i) for i in range(100)], [""] * 100
    vectors = np.arange(400, dtype=np.float32).reshape(100, 4)

    def write_it() -> None:
        for _ in range(10):
            write_planned_part(store, INFO, part_name(ids, keys), 0, ids, keys, vectors, {}, [])

    threads = [threading.Thread(target=write_it) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with PlannedTable(tmp_path, INFO) as table:
        assert table.rows == 100
    np.testing.assert_array_equal(open_table(tmp_path).gather(), vectors)


def test_a_file_that_was_broken_for_a_while_is_no_failure(tmp_path: Path) -> None:
    for content in (FIRST, {**FIRST, "a/004": "bad"}, FIRST):
        run(tmp_path, content)
    assert_holds(tmp_path, FIRST)
    assert open_table(tmp_path).failures() == []
