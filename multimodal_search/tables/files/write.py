"""Writing the single file that ``--out`` names, from the table beside it; left alone if nothing changed."""

from __future__ import annotations

import glob
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from multimodal_search.errors import OutputError, SettingsError, require
from multimodal_search.storage import ensure_writable_folder, is_s3, open_store
from multimodal_search.storage.store import Store
from multimodal_search.tables.files.hdf5 import write_hdf5
from multimodal_search.tables.files.npy import ids_path, write_npy
from multimodal_search.tables.files.parquet import write_parquet
from multimodal_search.tables.files.views import plan_views, views_exist, write_views
from multimodal_search.tables.format import WRITTEN
from multimodal_search.tables.manifest import table_digest
from multimodal_search.tables.reader import FeatureTable

FileKind = Literal["parquet", "npy", "hdf5", "views"]
Compression = Literal["none", "zstd", "gzip"]
_SUFFIXES: dict[str, FileKind] = {".parquet": "parquet", ".npy": "npy", ".hdf5": "hdf5", ".h5": "hdf5"}


def write_single_file(
    table: FeatureTable,
    target: str | Path,
    *,
    kind: FileKind | None = None,
    compression: Compression = "none",
    id_pattern: str | None = None,
    overwrite: bool = False,
) -> bool:
    """Write the latest row of each id, in the table's order, a few megabytes at a time; whole or not at all.

    Args:
        target: a local path or an ``s3://`` address; for views, a folder.
        kind: what to write (default: by the suffix of ``target``).
        compression: of ``.parquet`` and ``.hdf5``.
        id_pattern: of ``.hdf5``: its first group is an image's id.
        overwrite: also a file that this table did not write.

    Returns:
        Whether it was written: False where the table has not changed since.

    Raises:
        OutputError: it cannot be written, or a file is there that this table did not write.
        DataError: ids do not make names (see ``write_hdf5`` and ``write_views``).
        SettingsError: a suffix or a compression that is not known.
    """
    kind = kind or _kind_of(target)
    if kind == "hdf5" and compression == "zstd":
        raise SettingsError("HDF5 files have no zstd compression.", remedy="use --compression gzip")
    place = _Place.of(target, kind)
    state = {
        "table": table_digest(table.info, table.parts),
        "compression": compression,
        "id_pattern": id_pattern,
    }
    record = _Record(table.store, place.name)
    former = record.read()
    if former is not None and former.get("state") == state and _is_there(table, place, former):
        return False
    claim_target(target, table.store.url, kind=kind, overwrite=overwrite)
    if kind == "views":
        write_views(table, place.parent)
        record.write({"state": state, "files": {}})
        return True
    writers: dict[FileKind, Callable[[FeatureTable, Path], None]] = {
        "parquet": partial(write_parquet, compression=compression),
        "npy": write_npy,
        "hdf5": partial(write_hdf5, gzip=compression == "gzip", id_pattern=id_pattern),
    }
    place.remove_leftovers()
    if is_s3(place.parent):
        with tempfile.TemporaryDirectory(prefix="multimodal-search-") as folder:
            writers[kind](table, Path(folder, place.name))
            for name in place.files:
                place.store.write_file(name, Path(folder, name))
    else:
        writers[kind](table, ensure_writable_folder(place.parent) / place.name)
    there = place.store.names()
    record.write({"state": state, "files": {name: there[name] for name in place.files}})
    return True


def claim_target(
    target: str | Path, table_url: str, *, kind: FileKind | None = None, overwrite: bool = False
) -> None:
    """Note in the table's folder that ``target`` is made from it; best before any long work.

    Raises:
        OutputError: a file is there that this table did not write.
        MissingDependencyError: ``.hdf5`` without h5py.
    """
    kind = kind or _kind_of(target)
    if kind == "hdf5":
        require("h5py", extra="bulk")
    place = _Place.of(target, kind)
    record = _Record(open_store(table_url), place.name)
    if record.read() is not None:
        return
    there = place.store.names()
    found = [name for name in place.files if name in there]
    if kind == "views":
        found = sorted(there) if is_s3(place.parent) else _visible(Path(place.parent))
    if found and not overwrite:
        raise OutputError(
            f"{found[0]} is there, and the parts that it was made from are not.",
            where=target,
            remedy=f"put its parts back ({table_url}), name another --out, or compute all anew: --overwrite",
        )
    record.write({"state": None, "files": {}})


@dataclass(frozen=True, slots=True)
class _Place:
    """A target: its parent, its name, and all files that belong to it, the one that makes it count last."""

    parent: str
    name: str
    files: tuple[str, ...]

    @classmethod
    def of(cls, target: str | Path, kind: FileKind) -> _Place:
        url = str(target).rstrip("/") if is_s3(target) else str(Path(target).expanduser().absolute())
        if kind == "views":
            return cls(url, "views", ())
        parent, _, name = url.rpartition("/") if is_s3(url) else (str(Path(url).parent), "", Path(url).name)
        ids = (ids_path(Path(name)).name,) if kind == "npy" else ()
        return cls(parent, name, (*ids, name))

    @property
    def store(self) -> Store:
        return open_store(self.parent)

    def remove_leftovers(self) -> None:
        """Remove temporary files of these names that a killed run left."""
        for name in () if is_s3(self.parent) else self.files:
            for path in Path(self.parent).glob(f".{glob.escape(name[:100])}.*.tmp"):
                path.unlink(missing_ok=True)


class _Record:
    """What the table's folder knows of a file that was made from it."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def read(self) -> Mapping[str, Any] | None:
        found = self._all().get(self._name)
        return found if isinstance(found, dict) else None

    def write(self, value: Mapping[str, Any]) -> None:
        content = json.dumps({**self._all(), self._name: value}, indent=2) + "\n"
        self._store.write(WRITTEN, content.encode())

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self._store.read(WRITTEN))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}


def _is_there(table: FeatureTable, place: _Place, former: Mapping[str, Any]) -> bool:
    if not place.files:
        return views_exist(table, plan_views(table), place.parent)
    there = place.store.names()
    return bool({name: there.get(name) for name in place.files} == former["files"])


def _visible(folder: Path) -> list[str]:
    """What is in a folder, but for the table's own hidden folder."""
    return sorted(one.name for one in folder.iterdir() if one.name[0] != ".") if folder.is_dir() else []


def _kind_of(target: str | Path) -> FileKind:
    suffix = Path(target).suffix.lower()
    if suffix not in _SUFFIXES:
        raise SettingsError(
            f"{suffix or 'no suffix'!r} is no kind of feature file.",
            where=target,
            remedy="end the name in " + ", ".join(_SUFFIXES),
        )
    return _SUFFIXES[suffix]
