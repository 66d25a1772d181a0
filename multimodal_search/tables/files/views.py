"""A folder of arrays, one for each object that was seen from several sides."""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multimodal_search.errors import DataError
from multimodal_search.storage import is_s3, open_store, output_error
from multimodal_search.tables.parts import npy_bytes
from multimodal_search.tables.reader import FeatureTable
from multimodal_search.types import FloatArray, IntArray

_log = logging.getLogger(__name__)

_VIEW = re.compile(r"(?:(?P<folder>.+)/)?(?P<name>[^/]+)_view(?P<number>[0-9]+)\.[^./]+", re.S | re.I)
_BLOCK_ROWS = 4096
_HEADER_BYTES = 128  # of a .npy of this kind


@dataclass(frozen=True, slots=True)
class Views:
    """The views of one object: the rows of ``<folder>/<name>_viewNN.<suffix>``, in the order of NN."""

    folder: str
    name: str
    rows: IntArray


def plan_views(table: FeatureTable) -> list[Views]:
    """Which rows make which file, in the order of the table.

    Raises:
        DataError: no row's id names a view, or one leads out of the folder.
    """
    groups: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    others = 0
    for row in table.latest_rows().tolist():
        match = _VIEW.fullmatch(table.ids[row])
        if match is None:
            others += 1
            continue
        folder = match["folder"] or ""
        if folder.startswith("/") or ".." in folder.split("/"):
            raise DataError(
                f"The view {table.ids[row]!r} leads out of the output folder.",
                where=table.store.url,
                remedy="embed with --image-dir, whose ids are relative to it",
            )
        groups[folder, match["name"]].append((int(match["number"]), row))
    if others and not groups:
        raise DataError(
            f"None of {others} rows is a view, for example {table.ids[0]!r}.",
            where=table.store.url,
            remedy="name pictures <id>_view00.png, <id>_view01.png, ..., or leave --views out",
        )
    if others:
        _log.warning("%d rows are no <id>_viewNN.<suffix>, and are left out", others)
    planned = []
    gaps = 0
    for (folder, name), members in groups.items():
        members.sort()
        numbers = [number for number, _ in members]
        gaps += len(set(numbers)) != numbers[-1] - numbers[0] + 1
        planned.append(Views(folder, name, np.array([row for _, row in members], dtype=np.int64)))
    if gaps:
        _log.warning("%d of %d objects lack views between their first and last", gaps, len(planned))
    return planned


def views_exist(table: FeatureTable, planned: Sequence[Views], out: str) -> bool:
    """Whether every file is there, with the size it should have."""
    row_bytes = table.info.dim * np.dtype(table.info.dtype).itemsize
    folders: dict[str, dict[str, int]] = {}
    for one in planned:
        if one.folder not in folders:
            folders[one.folder] = open_store(_place(out, one.folder)).names()
        expected = _HEADER_BYTES + len(one.rows) * row_bytes
        if folders[one.folder].get(f"{one.name}.npy") != expected:
            return False
    return True


def write_views(table: FeatureTable, out: str) -> None:
    """``<out>/<folder>/<name>.npy`` of shape (views, dim) for each object; other files stay.

    Raises:
        DataError: no row's id names a view.
        OutputError: the disk is full or not writable.
    """
    planned = plan_views(table)
    start = 0
    while start < len(planned):
        stop, rows = start, 0
        while stop < len(planned) and rows < _BLOCK_ROWS:
            rows += len(planned[stop].rows)
            stop += 1
        some = planned[start:stop]
        vectors = table.gather(np.concatenate([one.rows for one in some]))
        bounds = np.cumsum([len(one.rows) for one in some])[:-1]
        for one, own in zip(some, np.split(vectors, bounds), strict=True):
            _write(out, one, own)
        start = stop
    if not is_s3(out):
        os.sync()  # once, where syncing each of a million small files would take an hour


def _write(out: str, one: Views, vectors: FloatArray) -> None:
    content = npy_bytes(np.ascontiguousarray(vectors))
    if is_s3(out):
        open_store(_place(out, one.folder)).write(f"{one.name}.npy", memoryview(content))
        return
    path = Path(out, one.folder, f"{one.name}.npy")
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise output_error(error, path) from error


def _place(out: str, folder: str) -> str:
    return "/".join(part for part in (out.rstrip("/"), folder) if part)
