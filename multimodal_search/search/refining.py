"""Scenarios of a bundle, asked, judged and asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.filters import parse as parse_filter
from multimodal_search.search.hits import Hit
from multimodal_search.search.parts import PartKind
from multimodal_search.search.scenarios import FOLDER, Scenario, Scenarios, fit
from multimodal_search.search.searcher import Searcher
from multimodal_search.types import FloatArray, Modality

Asked = Mapping[str, Sequence[tuple[str, float]]]


def refine(
    searcher: Searcher,
    name: str,
    *,
    asked: Asked | None = None,
    up: Sequence[str] = (),
    down: Sequence[str] = (),
    withdraw: Sequence[str] = (),
    where: str | None = None,
    modality: Modality | str | None = None,
) -> Scenario:
    """Make a scenario, or add to the one of that name, and save it in the bundle.

    Args:
        asked: a new query: kind of part -> pairs (value, weight); None keeps the old one.
        up: ids of moments that belong to it; a later vote replaces an earlier one.
        down: ids of moments that do not.
        withdraw: ids of moments whose votes, up or down, are taken back.
        where: a new filter; None keeps the old one.
        modality: which vectors to compare with; None keeps the old choice, or chooses as ``search`` does.

    Raises:
        SettingsError: neither a query nor votes; a filter that cannot be read.
        DataError: an unknown id, a query that cannot be used.
        OutputError: it cannot be saved.
    """
    store = Scenarios(searcher.folder)
    if both := sorted(set(up) & set(down)):
        raise SettingsError(f"{both[0]!r} is voted up and down.", remedy="decide for one")
    if both := sorted(set(withdraw) & {*up, *down}):
        raise SettingsError(f"The vote for {both[0]!r} is given and taken back.", remedy="decide for one")
    former = store.load(name) if name in store.names() else None
    if former is None and not asked and not up:
        raise SettingsError(
            f"The scenario {name!r} is new, and has neither a query nor a vote up.",
            remedy="give --text WORDS, --image FILE, or --up ID",
        )
    if where is not None:
        parse_filter(where)
    votes_up = _votes(former.up if former else (), up, (*down, *withdraw))
    votes_down = _votes(former.down if former else (), down, (*up, *withdraw))
    query = dict(asked) if asked else dict(former.query if former else {})
    kept = modality or (former.modality if former else None)
    vector, target = _fitted(searcher, query, votes_up, votes_down, kept)
    scenario = Scenario(
        name,
        {kind: [list(part) for part in parts] for kind, parts in query.items()},
        target.value,
        tuple(float(one) for one in vector),
        searcher.space,
        votes_up,
        votes_down,
        where if where is not None else (former.where if former else None),
    )
    store.save(scenario)
    return scenario


def rerun(searcher: Searcher, scenario: Scenario, k: int = 10) -> list[Hit]:
    """The moments of a scenario in the bundle's data of today.

    Where the bundle was trained again, the stored direction means nothing: it is fitted anew from the query
    and those judged moments that are still there.

    Raises:
        DataError: it cannot be fitted anew.
    """
    if scenario.space == searcher.space:
        vector: FloatArray = np.asarray(scenario.vector)
    else:
        up, down = (_present(searcher, votes) for votes in (scenario.up, scenario.down))
        vector, _ = _fitted(searcher, scenario.query, up, down, scenario.modality)
    return searcher.search(vector=vector, against=scenario.modality, where=scenario.where, k=k)


def _fitted(
    searcher: Searcher,
    query: Mapping[str, Any],
    up: Sequence[str],
    down: Sequence[str],
    modality: Modality | str | None,
) -> tuple[FloatArray, Modality]:
    if query:
        asked: dict[PartKind, Any] = {
            cast(PartKind, kind): [(_found(searcher.folder, value), weight) for value, weight in parts]
            for kind, parts in query.items()
        }
        start, target = searcher.encode(asked, against=modality)
    else:
        _, target = searcher.encode({"id": list(up)}, against=modality)
        start = np.zeros(searcher.dim)
    votes = [searcher.vectors(ids, target) for ids in (up, down)]
    toward, away = (_asking(searcher, ids, target) for ids in (up, down))
    return fit(start, *votes, toward=toward, away=away), target


def _asking(searcher: Searcher, ids: Sequence[str], target: Modality) -> FloatArray:
    """(n, dim) what each of these moments asks with."""
    asked = [searcher.encode({"id": one}, against=target)[0] for one in ids]
    return np.stack(asked) if asked else np.empty((0, searcher.dim))


def _found(bundle: Path, value: Any) -> Any:
    """What a query was saved with; a file that the bundle keeps for it is named from the bundle."""
    kept = isinstance(value, str) and value.startswith(f"{FOLDER}/")
    return bundle / value if kept and (bundle / value).is_file() else value


def _votes(former: Sequence[str], new: Sequence[str], against: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in (*former, *new) if one not in against))


def _present(searcher: Searcher, ids: Sequence[str]) -> list[str]:
    found = []
    for one in ids:
        try:
            searcher.vectors([one])
        except DataError:
            continue
        found.append(one)
    return found
