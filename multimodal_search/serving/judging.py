"""Scenarios of the page: a query and votes, saved in the bundle, asked again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from multimodal_search.errors import SettingsError
from multimodal_search.filters import Compare, all_of, parse
from multimodal_search.search.hits import Hit
from multimodal_search.search.options import time_us
from multimodal_search.search.refining import refine, rerun
from multimodal_search.search.scenarios import FOLDER, Scenario, Scenarios
from multimodal_search.serving.answers import ScenarioInfo
from multimodal_search.serving.asking import Asked, Asking
from multimodal_search.serving.problems import Refused
from multimodal_search.serving.queries import Query, Vote
from multimodal_search.serving.state import Opened
from multimodal_search.storage import ensure_writable_folder, write_atomically
from multimodal_search.types import Series

INPUTS = "inputs"  # pictures and signals that scenarios grow from, in the scenarios' folder
_WAIT_SECONDS = 20.0
_SHOWN = {"image": "picture", "series": "signal", "id": "moment", "vector": "vector"}


class Judging:
    """Makes, corrects, asks and removes scenarios; one change at a time among all workers."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def known(self, opened: Opened) -> list[ScenarioInfo]:
        """All of them, by name; one whose file is damaged is left out."""
        found = Scenarios(opened.searcher.folder).readable()
        return [_told(one) for one in sorted(found, key=lambda one: one.name)]

    def save(self, opened: Opened, vote: Vote) -> ScenarioInfo:
        """Make one, or add votes to it; when this returns it survives a kill.

        Raises:
            SettingsError, DataError, Refused: it means nothing here.
            OutputError: it cannot be saved.
        """
        with _Alone(opened):
            asked = None if vote.query is None else self._lasting(opened, vote.query)
            scenario = refine(
                opened.searcher,
                vote.name,
                asked=asked,
                up=list(dict.fromkeys(vote.up)),
                down=list(dict.fromkeys(vote.down)),
                withdraw=vote.withdraw,
                where=None if vote.query is None else _where(vote.query),
                modality=None if vote.query is None else vote.query.modality,
            )
        return _told(scenario)

    def run(self, opened: Opened, name: str, k: int) -> list[Hit]:
        """The moments of a scenario.

        Raises:
            Refused: there is none of this name (404).
        """
        return rerun(opened.searcher, _loaded(opened, name), k)

    def delete(self, opened: Opened, name: str) -> None:
        """Remove one.

        Raises:
            Refused: there is none of this name (404).
        """
        _loaded(opened, name)
        with _Alone(opened):
            Scenarios(opened.searcher.folder).delete(name)

    def _lasting(self, opened: Opened, query: Query) -> Mapping[str, Any]:
        """The parts of a query, its files copied to where they stay."""
        parts: Asked = self._asking.parts(opened, query, {})
        folder = opened.searcher.folder
        return {
            kind: [(_kept(folder, value), weight) for value, weight in values]
            for kind, values in parts.items()
        }


def _kept(bundle: Path, value: Any) -> str:
    """The text, the id, or the place of a file in the bundle."""
    if isinstance(value, str):
        return value
    folder = ensure_writable_folder(bundle / FOLDER / INPUTS)
    if isinstance(value, Series):
        table = np.concatenate([value.timestamps_seconds[:, None], value.values], axis=1)
        path = folder / f"{hashlib.sha256(table.tobytes()).hexdigest()[:24]}.npy"
        if not path.is_file():
            with write_atomically(path) as file:
                np.save(file, table, allow_pickle=False)
    else:
        content = Path(value).read_bytes()
        path = folder / f"{hashlib.sha256(content).hexdigest()[:24]}{Path(value).suffix}"
        if not path.is_file():
            with write_atomically(path) as file:
                file.write(content)
    return path.relative_to(bundle).as_posix()


def _where(query: Query) -> str | None:
    """The filter and the times of a query, as one condition."""
    if query.within is not None:
        raise Refused(422, "A scenario cannot keep a selection of moments.", "filter by their metadata")
    conditions = all_of(
        parse(query.where) if query.where and query.where.strip() else None,
        None if query.after is None else Compare("timestamp_us", ">=", time_us(query.after, "after")),
        None if query.before is None else Compare("timestamp_us", "<", time_us(query.before, "before")),
    )
    return None if conditions is None else str(conditions)


def _told(scenario: Scenario) -> ScenarioInfo:
    words = [
        str(value) if kind == "text" else _SHOWN.get(kind, kind)
        for kind, parts in scenario.query.items()
        for value, *_ in parts
    ]
    return ScenarioInfo(
        name=scenario.name,
        words="; ".join(words),
        up=list(scenario.up),
        down=list(scenario.down),
        where=scenario.where,
    )


def _loaded(opened: Opened, name: str) -> Scenario:
    try:
        return Scenarios(opened.searcher.folder).load(name)
    except SettingsError:
        raise Refused(404, "There is no scenario of this name.") from None


class _Alone:
    """One change of scenarios at a time: a vote is read, added and written."""

    def __init__(self, opened: Opened) -> None:
        folder = ensure_writable_folder(opened.searcher.folder / FOLDER)
        self._lock = FileLock(folder / ".lock", timeout=_WAIT_SECONDS)

    def __enter__(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            raise Refused(503, "Another change of scenarios takes long.", "try again") from None

    def __exit__(self, *_: object) -> None:
        self._lock.release()
