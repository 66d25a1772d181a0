"""From pairs to groups: each with a representative that is a near-duplicate of every member.

Near-duplicates chain: a drive's frames resemble their neighbours, and the last one nothing of the first. So
the connected components of pairs are covered by stars: the row that most others are near-duplicates of
becomes a representative and takes those; then the next of what remains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from multimodal_search.analysis.duplicates_pairs import Likeness
from multimodal_search.types import FloatArray, IntArray

_DENSE_ROWS = 2048
_MOST_PRODUCTS = 200_000_000  # rows compared with representatives inside one component
_GATHERED_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Group:
    """Near-duplicates of one row.

    Attributes:
        rows: the representative first, then by falling similarity.
        cosines: (n,) to the representative.
        by: (n,) "embedding", "phash", "both"; "" of the representative.
    """

    rows: IntArray
    cosines: FloatArray
    by: list[str]


def find_groups(n: int, first: IntArray, second: IntArray, likeness: Likeness) -> list[Group]:
    """Groups of two or more, in the order of their lowest rows.

    Args:
        n: how many rows there are.
        first, second: pairs of near-duplicates, each once.
    """
    both = np.concatenate([first, second]), np.concatenate([second, first])
    links = coo_array((np.ones(len(both[0]), dtype=np.bool_), both), shape=(n, n)).tocsr()
    _, component = connected_components(links, directed=False)
    groups = [
        group
        for rows, units in _gathered(component, np.diff(links.indptr), likeness)
        for group in _cover(rows, units, links, likeness)
    ]
    return sorted(groups, key=lambda group: int(group.rows.min()))


def _gathered(
    component: IntArray, degree: IntArray, likeness: Likeness
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Each component of two or more: its rows in order, and their vectors; many are read at a time."""
    rows = np.flatnonzero(degree)
    rows = rows[np.argsort(component[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(component[rows], prepend=-1))
    bounds = np.append(starts, len(rows)).tolist()
    at = 0
    while at < len(starts):
        to = at + 1
        while to < len(starts) and bounds[to + 1] - bounds[at] <= _GATHERED_ROWS:
            to += 1
        units = likeness.units(rows[bounds[at] : bounds[to]])
        for low, high in zip(bounds[at:to], bounds[at + 1 : to + 1], strict=True):
            yield rows[low:high], units[low - bounds[at] : high - bounds[at]]
        at = to


def _cover(rows: IntArray, units: FloatArray, links: csr_array, likeness: Likeness) -> Iterator[Group]:
    """Stars, the largest first; of equal ones that with the nearest members, then the lower row."""
    if len(rows) <= _DENSE_ROWS:
        yield from _cover_dense(rows, units, likeness)
        return
    free = np.ones(len(rows), dtype=np.bool_)
    left = _MOST_PRODUCTS
    for centre in np.argsort(-np.diff(links.indptr)[rows], kind="stable").tolist():
        if not free[centre]:
            continue
        free[centre] = False
        if left > 0:
            others = np.flatnonzero(free)
            left -= len(others)
        else:  # a long chain: what is linked is enough, as members are near their representative all the same
            linked = links.indices[links.indptr[rows[centre]] : links.indptr[rows[centre] + 1]]
            others = np.searchsorted(rows, np.sort(linked))
            others = others[free[others]]
        group = _star(rows[centre], rows[others], units[others] @ units[centre], likeness)
        if group is not None:
            free[np.searchsorted(rows, group.rows)] = False
            yield group


def _cover_dense(rows: IntArray, units: FloatArray, likeness: Likeness) -> Iterator[Group]:
    cosines = units @ units.T
    alike = likeness.alike(cosines) | likeness.close(rows[:, None], rows[None, :])
    np.fill_diagonal(alike, False)
    degree = alike.sum(axis=1)
    nearness = np.where(alike, cosines, 0)
    total = nearness.sum(axis=1)
    free = np.ones(len(rows), dtype=np.bool_)
    while (most := degree.max()) > 0:
        top = np.flatnonzero(degree == most)
        centre = int(top[np.round(total[top], 4).argmax()])
        others = np.flatnonzero(alike[centre] & free)
        group = _star(rows[centre], rows[others], cosines[centre, others], likeness)
        taken = np.append(others, centre)
        free[taken] = False
        degree -= alike[:, taken].sum(axis=1)
        total -= nearness[:, taken].sum(axis=1)
        degree[~free] = 0
        if group is not None:
            yield group


def _star(centre: int, others: IntArray, cosines: FloatArray, likeness: Likeness) -> Group | None:
    alike, close = likeness.alike(cosines), likeness.close(np.array(centre), others)
    members = np.flatnonzero(alike | close)
    if not len(members):
        return None
    members = members[np.lexsort((others[members], -cosines[members]))]
    by = likeness.names(cosines[members], close[members])
    return Group(
        np.concatenate([[centre], others[members]]),
        np.concatenate([[1.0], np.clip(cosines[members], -1, 1)]).astype(np.float32),
        ["", *by],
    )
