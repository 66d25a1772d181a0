"""A feature table that bulk embedding wrote: which of its rows are the inputs that the items need.

A picture is looked for at its absolute place (the table's root may be another folder than the data's), then
under its id, then, where the folder moved to another machine, by the longest end of its path, if only one row
has it.

A row holds while the file is what it was: equal keys (size and time, or S3's size and tag). Copying changes
times: where not one picture has the time that the table knows, this is a copy, and equal sizes are enough.
"""

from __future__ import annotations

import logging
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from multimodal_search.embedding.pipeline import Row
from multimodal_search.errors import DataError
from multimodal_search.sources.base import Source
from multimodal_search.storage import is_s3
from multimodal_search.tables import FeatureTable
from multimodal_search.types import EncoderCard, Failure, FloatArray, IntArray, Modality

_log = logging.getLogger(__name__)

PLACE, NAME, MOVED = "at their place", "by their id", "by the end of their path"
_ABSENT = "it is not in the feature table"
_CHANGED = "it changed after the feature table was made"
_COMMANDS = {
    "images": "--image-dir {root}",
    "prefix": "--image-dir {root}",
    "extracted": "--data-dir {root}",
    "sample": "--data-dir {root}",
    "nuscenes": "--nuscenes-path {root} --use-devkit",
}


class GivenTable:
    """A table as training and measuring read it: never written, its encoder never loaded.

    Vectors that were stored as the model gave them are normalised on reading: the same rows as live.

    Args:
        table: of pooled vectors that one encoder made.
        place: the address it was opened by; of a table on S3, ``table`` is a local copy.
    """

    def __init__(self, table: FeatureTable, place: str) -> None:
        assert table.info.card is not None
        self.table = table
        self.place = place if is_s3(place) else str(Path(place).resolve())
        self.card: EncoderCard = replace(table.info.card, normalise=True)
        self.fingerprint = table.info.fingerprint
        self._answered: tuple[list[Row], dict[str, int], list[Failure]] = ([], {}, [])

    def gather(self, rows: IntArray) -> FloatArray:
        """(n, dim) the vectors of these rows, of length 1."""
        vectors = self.table.gather(rows)
        if self.table.info.normalised:
            return vectors
        wide = vectors.astype(np.float32)
        norms = np.linalg.norm(wide, axis=-1, keepdims=True)
        return np.asarray(wide / np.maximum(norms, 1e-12), dtype=np.float32)

    def find(self, rows: Sequence[Row], source: Source) -> tuple[dict[str, int], list[Failure]]:
        """Wanted rows in the table: (id -> row), and those that it lacks or has from another content.

        Raises:
            DataError: the table has fewer than half of them.
        """
        if self._answered[0] == rows:  # each candidate for the signals asks again
            return self._answered[1:]
        found = _match(self.table, rows, source, self.card.modality)
        row_of = {row.id: place for row, place in zip(rows, found.places.tolist(), strict=True) if place >= 0}
        failures = [
            row.failure(reason) for row, reason in zip(rows, found.reasons, strict=True) if reason is not None
        ]
        self._tell(found, rows)
        self._answered = (list(rows), row_of, failures)
        return row_of, failures

    def _tell(self, found: _Found, rows: Sequence[Row]) -> None:
        """One line on what was found; a warning, or the end, for what was not."""
        kind = "texts" if self.card.modality is Modality.TEXT else "pictures"
        used = int((found.places >= 0).sum())
        ways = ", ".join(f"{count} {way}" for way, count in found.ways.items())
        copied = f"; {found.copied} with another time but the same size, as in a copy" if found.copied else ""
        what = f"{used} of {len(rows)} {kind} are in {self.place} ({self.card.name}"
        _log.info("features  %s%s%s)", what, f"; {ways}" if ways else "", copied)
        reasons = Counter(found.reasons)
        absent, changed = reasons[_ABSENT], reasons[_CHANGED]
        if not absent + changed:
            return
        lacks = " and ".join(
            words
            for count, words in ((absent, f"lacks {absent}"), (changed, f"has older content of {changed}"))
            if count
        )
        message = f"The feature table {lacks} of the {len(rows)} {kind} that this data needs"
        if 2 * (absent + changed) > len(rows):
            raise DataError(f"{message}.", where=self.place, remedy=self._remedy(found))
        _log.warning("%s; they are left out. To do: %s", message, self._remedy(found))

    def _remedy(self, found: _Found) -> str:
        encoder = f"--encoder {self.card.name} --weights {shlex.quote(self.card.weights)}"
        if found.outside:
            return (
                "embed this data into a table of its own: multimodal-search embed, the data flags of this "
                f"command, {encoder} --out DIR; or leave --features out"
            )
        info = self.table.info
        where = _COMMANDS.get(str(info.source.get("kind")), "<the same input>").format(
            root=shlex.quote(str(info.source.get("root", "")))
        )
        out = shlex.quote(self.place)
        return (
            "run the command that made it again, which adds them: "
            f"multimodal-search embed {where} {encoder} --out {out}"
        )


@dataclass(slots=True)
class _Found:
    """What ``_match`` found.

    Attributes:
        places: (n,) the table's row of each wanted row, -1 where none can be used.
        reasons: why, where none can be used.
        ways: how many rows that are used were found in which way.
        copied: how many of them have another time, but the same size.
        outside: whether inputs without a row lie outside the folder that the table was made from.
    """

    places: IntArray
    reasons: list[str | None]
    ways: Counter[str]
    copied: int
    outside: bool


def _match(table: FeatureTable, rows: Sequence[Row], source: Source, modality: Modality) -> _Found:
    keys = [row.key for row in rows]
    names: dict[str, list[str | None]] = {NAME: [row.id for row in rows]}
    if modality is Modality.IMAGE:
        names = {PLACE: _places(rows, source, table), **names}
    places = np.full(len(rows), -1, dtype=np.int64)
    ways: list[str] = [""] * len(rows)
    failed = {one.id: one.reason for one in table.failures()}
    reasons: list[str | None] = [_ABSENT] * len(rows)
    for way, candidates in names.items():
        asked = [i for i, one in enumerate(candidates) if places[i] < 0 and one is not None]
        written = [str(candidates[i]) for i in asked]
        exact = table.locate(written, [keys[i] for i in asked])
        latest = table.locate(written)
        for i, name, one, other in zip(asked, written, exact.tolist(), latest.tolist(), strict=True):
            places[i] = one if one >= 0 else other
            ways[i] = way
            reasons[i] = failed.get(name, reasons[i])
    if modality is Modality.IMAGE:
        left = [i for i in np.flatnonzero(places < 0).tolist() if reasons[i] == _ABSENT]
        wanted = {i: (names[PLACE][i] or rows[i].id, keys[i]) for i in left}
        for i, place in _moved(table, wanted, set(places[places >= 0].tolist())).items():
            places[i], ways[i] = place, MOVED
        copied = _drop_changed(table, keys, places, ways, reasons)
    else:
        copied = 0  # the text itself is the id
    used = places >= 0
    outside = modality is Modality.IMAGE and any(
        reason == _ABSENT and name is None for reason, name in zip(reasons, names[PLACE], strict=True)
    )
    return _Found(
        places,
        [None if there else reason for there, reason in zip(used, reasons, strict=True)],
        Counter(way for way, there in zip(ways, used, strict=True) if there),
        copied,
        outside,
    )


def _places(rows: Sequence[Row], source: Source, table: FeatureTable) -> list[str | None]:
    """The id that each picture has in a table of this root, None where it lies outside."""
    written = str(table.info.source.get("root") or "")
    if not written:
        return [None] * len(rows)
    root = written if is_s3(written) else Path(written).expanduser().resolve().as_posix()
    root = f"{root.rstrip('/')}/"
    resolved: dict[Path, Path] = {}

    def below(path: str) -> str | None:
        return path.removeprefix(root) if path.startswith(root) else None

    def one(row: Row) -> str | None:
        file = source.image_file(row.id)
        if is_s3(file) or is_s3(root):
            return below(str(file))
        path = Path(file).absolute()
        if path.parent not in resolved:
            resolved[path.parent] = path.parent.resolve()
        return below(path.as_posix()) or below((resolved[path.parent] / path.name).as_posix())

    return [one(row) for row in rows]


def _moved(table: FeatureTable, left: Mapping[int, tuple[str, str]], used: set[int]) -> dict[int, int]:
    """(path, key) -> the one unused table row of this size that shares the longest end of the path.

    Left out: what several table rows fit equally well, table rows that several pictures want, and, where a
    size is not known, paths of which the one is not the end of the other.
    """
    if not left:
        return {}
    parts = {i: PurePosixPath(path).parts for i, (path, _) in left.items()}
    wanted = {one[-1] for one in parts.values() if one}
    latest = {one: row for row, one in enumerate(table.ids) if PurePosixPath(one).name in wanted}
    known: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    for one, row in latest.items():
        if row not in used:
            known[PurePosixPath(one).name].append((PurePosixPath(one).parts, row))
    claims: dict[int, list[int]] = defaultdict(list)
    for i, (_, key) in left.items():
        scored = []
        for other, row in known.get(parts[i][-1], ()):
            count, stored = _shared(parts[i], other), table.keys[row]
            whole = 1 < count == min(len(parts[i]), len(other))
            if _same_size(key, stored) if key and stored else whole:
                scored.append((count, row))
        longest = max((count for count, _ in scored), default=0)
        best = [row for count, row in scored if count == longest]
        if len(best) == 1:
            claims[best[0]].append(i)
    return {some[0]: row for row, some in claims.items() if len(some) == 1}


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last parts of two paths are equal."""
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count


def _same_size(key: str, other: str) -> bool:
    return key.split(":")[0] == other.split(":")[0]


def _drop_changed(
    table: FeatureTable, keys: Sequence[str], places: IntArray, ways: Sequence[str], reasons: list[Any]
) -> int:
    """Take the place from rows of another content; returns how many are kept for their size alone."""
    found = np.flatnonzero(places >= 0).tolist()
    stored = {i: table.keys[places[i]] for i in found}
    times_hold = any(keys[i] and keys[i] == stored[i] for i in found)
    copied = 0
    for i in found:
        known = bool(keys[i] and stored[i])
        same = keys[i] == stored[i]
        if known and not same and not times_hold and _same_size(keys[i], stored[i]):
            same = True
            copied += 1
        if known and not same:
            places[i] = -1
            reasons[i] = _ABSENT if ways[i] == MOVED else _CHANGED
    return copied
