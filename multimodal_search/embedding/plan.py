"""Which parts are to be computed: a function of the inputs and of what the table holds, never of kills."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from multimodal_search.embedding.tasks import PartTask
from multimodal_search.tables import PlannedTable, TableInfo, part_name
from multimodal_search.tables.format import ROWS_PER_GENERATION
from multimodal_search.types import Input

_RETRY = "tried again"


def plan_parts(
    inputs: Iterable[Input],
    table: PlannedTable,
    info: TableInfo,
    rows_per_part: int,
    found: Callable[[int], None],
) -> Iterator[PartTask]:
    """Consecutive inputs become a part each, under a name made of them; parts that are there are left out.

    Where a folder has grown or a file has changed, the names of the parts around it differ; inputs that the
    table holds in other parts are then left out one by one.

    Args:
        found: told how many inputs need nothing.
    """
    for index, chunk in enumerate(chunks(inputs, rows_per_part)):
        ids, keys = [one.id for one in chunk], [one.key for one in chunk]
        name = part_name(ids, keys)
        if table.has(name):
            found(len(chunk))
            continue
        there, generation = table.known(ids, keys)
        missing = tuple(one for one, known in zip(chunk, there, strict=True) if not known)
        found(len(chunk) - len(missing))
        if missing:
            yield PartTask(name, generation * ROWS_PER_GENERATION + index, missing, info, len(chunk))


def plan_retries(
    table: PlannedTable, info: TableInfo, rows_per_part: int, first_index: int
) -> Iterator[PartTask]:
    """Inputs that failed for a reason that may have passed, in parts of their own."""
    for index, chunk in enumerate(chunks(table.to_try_again(), rows_per_part), start=first_index):
        ids, keys = [one.id for one in chunk], [one.key for one in chunk]
        _, generation = table.known(ids, keys)
        name = part_name([_RETRY, *ids], ["", *keys])  # a part of just these inputs may be there
        yield PartTask(name, generation * ROWS_PER_GENERATION + index, tuple(chunk), info, len(chunk))


def chunks(inputs: Iterable[Input], size: int) -> Iterator[list[Input]]:
    """Consecutive inputs, ``size`` at a time."""
    rest = iter(inputs)
    while chunk := list(islice(rest, size)):
        yield chunk
