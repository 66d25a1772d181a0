"""Which kind of index, from how many vectors, how long, and how much memory they may take."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from math import ceil, log2, sqrt

import numpy as np

from multimodal_search.errors import SettingsError, nearest
from multimodal_search.index import kinds
from multimodal_search.index.metric import Metric

# Compared one by one in some milliseconds on one core: about 200,000 vectors of 256 16-bit numbers
_FLAT_BYTES = 100 << 20
# So few that the digits a 16-bit number lacks may as well be kept
_FULL_PRECISION_BYTES = 64 << 20
_MOST_LISTS = 16_384
_TRAINING_ROWS_A_LIST = 40


@dataclass(frozen=True, slots=True)
class Choice:
    """What is built.

    Attributes:
        dtype: of the stored vectors.
        lists: of IVF kinds.
        why: for people.
    """

    kind: kinds.Kind
    dtype: str
    lists: int
    why: str


def choose(rows: int, dim: int, kind: str, metric: Metric, budget_bytes: int | None) -> Choice:
    """The kind that was asked for, or with ``auto`` the most exact one that is quick and fits.

    Exact search while it takes a few milliseconds; then lists of whole vectors, of 8-bit vectors, of
    pieces of 4 bits, as memory gets scarce. The last two choose candidates only, which are compared with the
    vectors on the disk.

    Raises:
        SettingsError: an unknown kind; a budget that nothing fits into.
    """
    known = typing.get_args(kinds.Kind)
    if kind != "auto" and kind not in known:
        raise SettingsError(f"Unknown kind of index {kind!r}.", remedy=nearest(kind, ["auto", *known]))
    dtype = _dtype(rows, dim, metric, budget_bytes)
    lists = list_count(rows)
    if kind != "auto":
        return Choice(typing.cast(kinds.Kind, kind), dtype, lists, "asked for")
    held = rows * dim * np.dtype(dtype).itemsize
    limit = float("inf") if budget_bytes is None else float(budget_bytes)
    if held <= min(_FLAT_BYTES, limit):
        return Choice(
            "flat",
            dtype,
            1,
            f"{rows:,} vectors ({held / 1e6:.0f} MB) are compared one by one in milliseconds",
        )
    candidates: tuple[tuple[kinds.Kind, str], ...] = (
        ("ivfflat", "lists of whole vectors"),
        ("sq8", "8 bits a number, candidates compared again with the vectors on the disk"),
        ("ivfpq", "2 bits a number, candidates compared again with the vectors on the disk"),
    )
    taken = 0.0
    for name, words in candidates:
        taken = rows * kinds.code_bytes(name, dim, dtype) + lists * dim * 4
        if taken <= limit:
            within = "" if budget_bytes is None else f", within {budget_bytes / 1e6:.0f} MB"
            return Choice(
                name, dtype, lists, f"{rows:,} vectors are too many to compare all: {words}{within}"
            )
    raise SettingsError(
        f"{rows:,} vectors need {taken / 1e6:.0f} MB as the smallest index, not {limit / 1e6:.0f}.",
        remedy="raise --memory-budget",
    )


def list_count(rows: int) -> int:
    """About ``4 sqrt(rows)``, as autofaiss has it, as a power of two; at most one list for 40 rows."""
    if rows < 2 * _TRAINING_ROWS_A_LIST:
        return 1
    wanted = min(4 * sqrt(rows), rows / _TRAINING_ROWS_A_LIST)
    return int(min(_MOST_LISTS, 2 ** ceil(log2(wanted) - 0.5)))


def training_rows(rows: int, lists: int) -> int:
    """How many rows the lists are learnt from."""
    return min(rows, max(_TRAINING_ROWS_A_LIST * lists, 20_000))


def _dtype(rows: int, dim: int, metric: Metric, budget_bytes: int | None) -> str:
    """16 bits hold a direction to one part in 2,000 a number; lengths and distances may not fit."""
    full = rows * dim * 4
    if metric != "cosine" or full <= min(_FULL_PRECISION_BYTES, budget_bytes or _FULL_PRECISION_BYTES):
        return "float32"
    return "float16"
