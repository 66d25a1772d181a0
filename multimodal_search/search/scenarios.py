"""Named scenarios: a query that was corrected by judged hits, kept in the bundle, asked again of new data.

Thumbs up and down fit a small logistic head that is pulled toward the query, so that one vote moves little
and many votes decide (Cosmos Dataset Search does so too). The head is a direction in the common space: a
scenario is searched like any other vector.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from multimodal_search.errors import BundleError, DataError, SettingsError, nearest
from multimodal_search.storage import write_json
from multimodal_search.types import FloatArray

_log = logging.getLogger(__name__)

FOLDER = "scenarios"
FORMAT_VERSION = 1
_TOWARD, _AWAY = 0.75, 0.25  # Rocchio's usual weights
_SHARPNESS = 10.0  # logits a unit of cosine, as contrastive models are trained with
_PULL = 0.05  # weight of the query against one mean vote
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Scenario:
    """A direction in a bundle's common space, and where it came from.

    Attributes:
        name: as the user gave it.
        query: what it grew from: kind of part -> pairs (value, weight); empty where it has only votes.
        modality: which of the moments' vectors it is compared with.
        vector: (dim,) of length one.
        up: ids of moments that belong to it.
        down: ids of moments that do not.
        where: a filter on metadata, or None.
        space: of the bundle's encoders and heads (``Searcher.space``).
    """

    name: str
    query: Mapping[str, Any]
    modality: str
    vector: tuple[float, ...]
    space: str
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    where: str | None = None


def fit(
    query: FloatArray,
    up: FloatArray,
    down: FloatArray,
    *,
    toward: FloatArray | None = None,
    away: FloatArray | None = None,
) -> FloatArray:
    """(dim,) the direction that tells judged moments apart and stays near the query.

    The query moves toward the mean of the votes up and away from that of the votes down (Rocchio 1971). Where
    there are both, logistic regression tells them apart, pulled toward that direction; up and down weigh the
    same whatever their numbers.

    Args:
        query: (dim,) of length one; zeros where the scenario has no query but its votes.
        up: (n, dim) vectors of moments that belong to it.
        down: (m, dim) vectors of moments that do not.
        toward: (n, dim) what each of ``up`` asks with, where that is not the vector that is found.
        away: (m, dim) likewise of ``down``.

    Raises:
        DataError: neither a query nor a vote up gives a direction.
    """
    if not np.any(query) and not len(up):
        raise DataError(
            "The scenario has no direction.", remedy="give it a query, or vote for at least one moment"
        )
    toward, away = up if toward is None else toward, down if away is None else away
    moved = np.asarray(query, np.float64) + _TOWARD * _mean(toward) - _AWAY * _mean(away)
    length = float(np.linalg.norm(moved))
    if not np.isfinite(length) or length == 0:
        raise DataError("The scenario has no direction: its query and its votes cancel.")
    if not len(up) or not len(down):
        return np.asarray(moved / length)
    anchor = _SHARPNESS * moved / length
    votes = np.concatenate([np.asarray(up, np.float64), np.asarray(down, np.float64)])
    signs = np.concatenate([np.ones(len(up)), -np.ones(len(down))])
    weights = np.concatenate([np.full(len(one), 0.5 / len(one)) for one in (up, down)])

    def loss(head: FloatArray) -> tuple[float, FloatArray]:
        # the bias is the last entry: which cosine separates the votes is not known before
        margins = signs * (votes @ head[:-1] + head[-1])
        step = head[:-1] - anchor
        value = weights @ np.logaddexp(0, -margins) + 0.5 * _PULL * step @ step
        slope = -weights * signs * expit(-margins)
        return float(value), np.concatenate([votes.T @ slope + _PULL * step, [slope.sum()]])

    begin = np.concatenate([anchor, [-float(np.mean(votes @ anchor))]])
    found = minimize(loss, begin, jac=True, method="L-BFGS-B").x[:-1]
    return np.asarray(found / np.linalg.norm(found))


def _mean(votes: FloatArray) -> FloatArray | float:
    """The votes' mean direction; half as long for one vote, nearly as long as one for many."""
    if not len(votes):
        return 0.0
    mean = np.asarray(votes, np.float64).mean(axis=0)
    return np.asarray(mean * (len(votes) / (len(votes) + 1)))


class Scenarios:
    """The scenarios of a bundle: a small JSON file each, whole or absent."""

    def __init__(self, bundle: Path) -> None:
        self._folder = bundle / FOLDER

    def names(self) -> list[str]:
        """Of all scenarios, sorted."""
        return sorted(one.name for one in self.readable())

    def readable(self) -> list[Scenario]:
        """All scenarios whose files can be read; the log names the others, which keep nobody from working."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(_read(path))
            except BundleError as error:
                _log.warning("left out: %s", error)
        return found

    def load(self, name: str) -> Scenario:
        """The scenario of this name.

        Raises:
            SettingsError: there is none; the message has the nearest names.
            BundleError: its file is damaged.
        """
        path = self._path(name)
        if not path.is_file():
            known = self.names()
            hint = nearest(name, known) if known else "there is none yet: save one with --up and --down"
            raise SettingsError(f"There is no scenario {name!r}.", where=self._folder, remedy=hint)
        return _read(path)

    def save(self, scenario: Scenario) -> None:
        """Write it, replacing one of that name; when this returns it survives a kill.

        Raises:
            SettingsError: the name is empty or too long.
            OutputError: it cannot be written.
        """
        if not scenario.name.strip() or len(scenario.name) > _LONGEST_NAME:
            raise SettingsError(
                f"{scenario.name[:50]!r} is no name for a scenario.",
                remedy=f"1 to {_LONGEST_NAME} characters",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._path(scenario.name), {"format_version": FORMAT_VERSION, **asdict(scenario)})

    def delete(self, name: str) -> None:
        """Remove it.

        Raises:
            SettingsError: there is none of that name.
        """
        self.load(name)
        self._path(name).unlink()

    def _path(self, name: str) -> Path:
        readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return self._folder / f"{readable or 'scenario'}-{digest}.json"


def _read(path: Path) -> Scenario:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format_version") > FORMAT_VERSION:
            raise BundleError("The scenario is of a newer format.", where=path, remedy="upgrade")
        for name in ("vector", "up", "down"):
            data[name] = tuple(data[name])
        return Scenario(**data)
    except (OSError, TypeError, KeyError, AttributeError, json.JSONDecodeError) as error:
        raise BundleError(
            f"The scenario cannot be read: {error}.", where=path, remedy="remove the file, and save it again"
        ) from error
