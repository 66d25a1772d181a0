"""``.hdf5``: a data set an image, as the loaders of captioning models read it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath

from multimodal_search.errors import DataError, SettingsError, require
from multimodal_search.storage import write_atomically
from multimodal_search.tables.format import FORMAT
from multimodal_search.tables.manifest import describe
from multimodal_search.tables.reader import FeatureTable

_SHOWN = 5
_BYTES_A_DATA_SET = 4096  # that HDF5 keeps in memory of each until it is closed, at most


def write_hdf5(table: FeatureTable, path: Path, *, gzip: bool = False, id_pattern: str | None = None) -> None:
    """``<image_id>_grids`` of shape (patches, dim), or ``<image_id>_features`` of shape (dim,).

    Args:
        gzip: compress each data set.
        id_pattern: its first group (or all of it) in a row's id is the image's id. By default that is the
            number at the end of the file's name, without leading zeros: ``COCO_val2014_000000123456.jpg`` has
            123456; without a number it is the file's name without its suffix.

    Raises:
        DataError: two images have the same id, or an id cannot be a data set's name.
        OutputError: the disk is full or not writable.
        SettingsError: the pattern is not a regular expression.
        MissingDependencyError: h5py is not installed.
    """
    h5py = require("h5py", extra="bulk")
    pattern = _compiled(id_pattern)
    names = _names(table, pattern)
    suffix = "features" if table.info.patches is None else "grids"
    rows, written = iter(names), 0
    with write_atomically(path) as file, h5py.File(file.name, "w", locking=False) as out:
        out.attrs[FORMAT] = json.dumps(describe(table.info))
        for _, vectors in table.blocks():
            written += len(vectors)
            _refuse_full_disk(path, vectors.nbytes + written * _BYTES_A_DATA_SET)
            for vector in vectors:
                out.create_dataset(
                    f"{next(rows)}_{suffix}", data=vector, compression="gzip" if gzip else None
                )


def _refuse_full_disk(path: Path, bytes_needed: int) -> None:
    """HDF5 cannot close a file on a full disk, and says so a thousand times: stop before."""
    if shutil.disk_usage(path.parent).free < bytes_needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def image_id(one: str, pattern: re.Pattern[str] | None = None) -> str | None:
    """The image's id in a row's id; None where the pattern does not match."""
    if pattern is not None:
        match = pattern.search(one)
        return match and match.group(1 if pattern.groups else 0)
    stem = PurePosixPath(one).stem
    number = re.search(r"[0-9]+\Z", stem)
    return (number.group().lstrip("0") or "0") if number else stem


def _compiled(id_pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if id_pattern is None else re.compile(id_pattern)
    except re.error as error:
        raise SettingsError(
            f"--id-pattern {id_pattern!r} is not a regular expression: {error}.",
            remedy=r"for example --id-pattern '(\d+)\.jpg$'",
        ) from error


def _names(table: FeatureTable, pattern: re.Pattern[str] | None) -> list[str]:
    """The image's id of each of the latest rows, each once."""
    found: dict[str, str] = {}
    double: list[str] = []
    unusable: list[str] = []
    latest = table.latest_rows()
    for row in latest.tolist():
        one = table.ids[row]
        name = image_id(one, pattern)
        if name is None or "/" in name or "\0" in name:
            unusable.append(repr(one))
        elif name in found:
            double.append(f"{name!r} ({found[name]!r} and {one!r})")
        else:
            found[name] = one
    if unusable:
        raise DataError(
            f"{len(unusable)} of {len(latest)} images have no id that can name a data set: "
            f"{', '.join(unusable[:_SHOWN])}.",
            where=table.store.url,
            remedy="choose an --id-pattern whose first group every image's path has, without a '/'",
        )
    if double:
        raise DataError(
            f"{len(double)} images have the id of another one: {', '.join(double[:_SHOWN])}.",
            where=table.store.url,
            remedy=r"choose an --id-pattern that tells them apart, for example --id-pattern '([^/]+)\.\w+$'; "
            "the features are computed, and only the file is missing",
        )
    return list(found)
