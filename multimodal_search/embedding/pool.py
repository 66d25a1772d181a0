"""``multimodal-search pool``: a specimen's views become one vector."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_search.errors import DataError, ProjectError, SkipInput
from multimodal_search.settings import PoolSettings
from multimodal_search.storage import ensure_writable_folder, write_atomically
from multimodal_search.tables import open_table
from multimodal_search.tables.files.npy import escaped
from multimodal_search.tables.files.parquet import COLUMN
from multimodal_search.tables.format import FORMAT, MANIFEST
from multimodal_search.tables.manifest import describe
from multimodal_search.types import Failure, FloatArray

_log = logging.getLogger(__name__)

VECTORS_FILE, IDS_FILE, PARQUET_FILE = "embeddings.npy", "ids.txt", "embeddings.parquet"
FAILURES_FILE = "failures.jsonl"
_PARTS = ".parts"  # where 'embed --views' keeps the table that it made the files from


def run(settings: PoolSettings) -> int:
    """Pool every array of a folder; rows are in the order of ids.

    Returns:
        How many specimens.

    Raises:
        DataError: no arrays, or none that can be used.
        OutputError: the disk is full or not writable.
    """
    files = list_arrays(settings.features)
    ids: list[str] = []
    vectors: list[FloatArray] = []
    counts: list[int] = []
    failures: list[Failure] = []
    shape = _most_common_shape(files, needs_views=settings.pool == "concat")
    for name, file in files:
        try:
            views = _read(file, shape)
            vectors.append(pooled(views, settings.pool, settings.gem_power, normalize=settings.normalize))
        except SkipInput as skip:
            failures.append(Failure(name, str(file), skip.reason))
            continue
        ids.append(name)
        counts.append(len(views))
    if not ids:
        raise DataError(
            f"None of the {len(files)} arrays can be pooled ({failures[0].reason}).", where=settings.features
        )
    out = ensure_writable_folder(settings.out)
    _write(out, ids, np.stack(vectors), counts, settings)
    _write_failures(out, failures)
    for one in failures[:5]:
        _log.warning("%s: %s", one.path, one.reason)
    if failures:
        _log.warning("%d arrays are left out: %s says why", len(failures), out / FAILURES_FILE)
    _log.info("%d specimens x %d (%s) in %s", len(ids), vectors[0].shape[0], settings.pool, out)
    return len(ids)


def pooled(views: FloatArray, how: str, gem_power: float = 3.0, *, normalize: bool = True) -> FloatArray:
    """(dim,) float32 of (views, dim); ``concat`` gives (views * dim,).

    ``gem`` is the generalised mean (Radenovic et al. 2018, "Fine-tuning CNN image retrieval with no human
    annotation"), which is for values that are not negative; others keep their sign: sign(x)|x|^p is averaged
    and the root taken likewise.

    Raises:
        SkipInput: what comes out has no direction.
    """
    wide = views.astype(np.float64)
    if how == "mean":
        one = wide.mean(axis=0)
    elif how == "max":
        one = wide.max(axis=0)
    elif how == "gem":
        mean = (np.sign(wide) * np.abs(wide) ** gem_power).mean(axis=0)
        one = np.sign(mean) * np.abs(mean) ** (1.0 / gem_power)
    else:
        one = wide.reshape(-1)
    if normalize:
        length = float(np.sqrt(np.square(one).sum()))
        if not length > 0:
            raise SkipInput("its views cancel each other out: the pooled vector is zero")
        one = one / length
    return np.asarray(one, dtype=np.float32)


def list_arrays(folder: Path) -> list[tuple[str, Path]]:
    """(id, file), by id; what 'embed --views' keeps for itself is left out.

    Raises:
        DataError: no such folder, or no arrays in it.
    """
    if not folder.is_dir():
        raise DataError("There is no such folder.", where=folder, remedy="the --out of 'embed --views'")
    found = []
    for file in folder.rglob("*.npy"):
        path = file.relative_to(folder)
        if not any(part.startswith(".") for part in path.parts):
            found.append((path.with_name(path.name.removesuffix(".npy")).as_posix(), file))
    if not found:
        raise DataError(
            "No .npy files are here.",
            where=folder,
            remedy="multimodal-search embed --image-dir RENDERS --views --out " + str(folder),
        )
    return sorted(found)


def _most_common_shape(files: Sequence[tuple[str, Path]], *, needs_views: bool) -> tuple[int | None, int]:
    """(views, dim) that most arrays have; None for views where their number may differ."""
    counts: dict[tuple[int | None, int], int] = {}
    for _, file in files:
        try:
            array = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            continue
        if array.ndim == 2:
            key = (len(array) if needs_views else None, array.shape[1])
            counts[key] = counts.get(key, 0) + 1
    return max(counts, key=lambda key: counts[key]) if counts else (None, 0)


def _read(file: Path, shape: tuple[int | None, int]) -> FloatArray:
    try:
        views = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SkipInput(f"it cannot be read: {error}") from error
    if views.ndim != 2 or views.dtype.kind != "f" or not len(views):
        raise SkipInput(f"{views.dtype} {views.shape}, not numbers of (views, dim)")
    if views.shape[1] != shape[1]:
        raise SkipInput(f"{views.shape[1]} dimensions, most have {shape[1]}")
    if shape[0] is not None and len(views) != shape[0]:
        raise SkipInput(f"{len(views)} views, most have {shape[0]}: concat needs as many of all")
    if not np.isfinite(views).all():
        raise SkipInput("values that are not finite")
    return np.asarray(views)


def _write(
    out: Path, ids: Sequence[str], vectors: FloatArray, counts: Sequence[int], settings: PoolSettings
) -> None:
    """The ids first: where the .npy is, they are."""
    with write_atomically(out / IDS_FILE, "wb") as file:
        file.writelines(f"{escaped(one)}\n".encode("utf-8", "surrogateescape") for one in ids)
    with write_atomically(out / VECTORS_FILE) as file:
        np.save(file, vectors)
    folders = [one.rpartition("/")[0] for one in ids]
    schema = pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("folder", pa.string()),
            pa.field("views", pa.int32()),
            pa.field(COLUMN, pa.list_(pa.float32(), vectors.shape[1]), nullable=False),
        ],
        _description(settings, vectors.shape[1]),
    )
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=schema.field(COLUMN).type)
    table = pa.Table.from_arrays(
        [pa.array(ids), pa.array(folders), pa.array(counts, pa.int32()), flat], schema=schema
    )
    with write_atomically(out / PARQUET_FILE) as file:
        pq.write_table(table, file, compression="zstd")


def _description(settings: PoolSettings, dim: int) -> dict[str, str]:
    """What is known of the encoder: a picture can be asked about among vectors of its own space."""
    parts = settings.features / _PARTS
    if not (parts / MANIFEST).is_file():
        return {}
    try:
        info = open_table(parts, verify=False).info
    except ProjectError as error:
        _log.warning("the encoder is not known: %s", error.what)
        return {}
    made_by = {"pool": settings.pool, "gem_power": settings.gem_power}
    about: dict[str, Any] = {**describe(info), "dim": dim, "dtype": "float32", "views": made_by}
    if settings.pool == "concat":  # no picture has a vector of this length
        about |= {"card": None, "fingerprint": f"{info.fingerprint}+concat"}
    return {FORMAT: json.dumps(about)}


def _write_failures(out: Path, failures: Sequence[Failure]) -> None:
    with write_atomically(out / FAILURES_FILE) as file:
        for one in failures:
            line = json.dumps({"id": one.id, "path": one.path, "reason": one.reason}, ensure_ascii=False)
            file.write(line.encode("utf-8", "backslashreplace") + b"\n")
