"""What is planned follows from the inputs and the table alone; in the end every input is there once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.embedding.plan import plan_parts, plan_retries
from multimodal_search.embedding.tasks import PartTask
from multimodal_search.storage import open_store
from multimodal_search.tables import (
    PartFailure,
    PartInfo,
    PlannedTable,
    TableInfo,
    open_table,
    write_planned_part,
)
from multimodal_search.types import Input

INFO = TableInfo("f" * 64, 2)


def write(folder: Path, task: PartTask, broken: frozenset[str] = frozenset()) -> tuple[PartInfo, int]:
    good = [one for one in task.inputs if one.id not in broken]
    failures = [PartFailure(one.id, None, "away", True, one.key) for one in task.inputs if one.id in broken]
    vectors = np.array([[len(one.id), hash_of(one)] for one in good], np.float32).reshape(-1, 2)
    part = write_planned_part(
        open_store(str(folder)), INFO, task.name, task.sequence, [one.id for one in good],
        [one.key for one in good], vectors, {}, failures, inputs=task.planned,
    )  # fmt: skip
    return part, len(failures)


def hash_of(one: Input) -> float:
    return float(sum(f"{one.id}@{one.key}".encode()))


def run(
    folder: Path,
    inputs: list[Input],
    size: int,
    *,
    most: int | None = None,
    broken: frozenset[str] = frozenset(),
) -> int:
    """Inputs computed; stops after ``most`` parts as a killed run would."""
    computed, found = 0, 0

    def count(rows: int) -> None:
        nonlocal found
        found += rows

    with PlannedTable(folder, INFO) as table:
        retries = table.to_try_again()
        for number, task in enumerate(plan_parts(inputs, table, INFO, size, count)):
            if number == most:
                return computed
            part, failed = write(folder, task, broken)
            table.add(part, failed)
            computed += len(task.inputs)
        if retries:
            for task in plan_retries(table, INFO, size, 10**6):
                part, failed = write(folder, task, broken)
                table.add(part, failed)
        assert computed + found == len(inputs)
    return computed


def stored(folder: Path) -> dict[str, float]:
    table = open_table(folder)
    rows = table.latest_rows()
    return {table.ids[row]: float(table.gather(np.array([row]))[0, 1]) for row in rows}


names = st.lists(st.integers(0, 40), unique=True, min_size=1, max_size=30).map(sorted)


@settings(max_examples=25)
@given(names, names, st.sets(st.integers(0, 40)), st.integers(1, 7), st.integers(0, 4))
def test_grown_shrunk_and_changed_folders_end_with_each_input_once_and_current(
    before: list[int], after: list[int], changed: set[int], size: int, killed_after: int
) -> None:
    old = [Input(f"{n:03d}", "old") for n in before]
    new = [Input(f"{n:03d}", "new" if n in changed else "old") for n in after]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "t"
        run(folder, old, size)
        run(folder, new, size, most=killed_after)
        run(folder, new, size)
        assert run(folder, new, size) == 0
        held = stored(folder)
        assert all(held[one.id] == hash_of(one) for one in new)
        assert set(held) == {one.id for one in [*old, *new]}


@settings(max_examples=15)
@given(names, names, st.integers(1, 7), st.integers(0, 4))
def test_a_killed_and_resumed_run_leaves_the_files_of_an_uninterrupted_one(
    before: list[int], after: list[int], size: int, killed_after: int
) -> None:
    old, new = ([Input(f"{n:03d}", "k") for n in one] for one in (before, after))
    with tempfile.TemporaryDirectory() as home:
        for name, kills in (("whole", []), ("killed", [killed_after, 1])):
            run(Path(home) / name, old, size)
            for most in kills:
                run(Path(home) / name, new, size, most=most)
            run(Path(home) / name, new, size)
        files = [
            {path.name: path.read_bytes() for path in (Path(home) / name).glob("part-*")}
            for name in ("whole", "killed")
        ]
        assert files[0] == files[1]


def test_what_may_come_later_is_tried_again_and_only_that(tmp_path: Path) -> None:
    inputs = [Input(f"{n:03d}", "k") for n in range(10)]
    run(tmp_path / "t", inputs, 4, broken=frozenset({"001", "008"}))
    assert len(open_table(tmp_path / "t").failures()) == 2
    run(tmp_path / "t", inputs, 4, broken=frozenset({"008"}))
    assert [one.id for one in open_table(tmp_path / "t").failures()] == ["008"]
    run(tmp_path / "t", inputs, 4)
    assert open_table(tmp_path / "t").failures() == []
    assert stored(tmp_path / "t") == {one.id: hash_of(one) for one in inputs}
