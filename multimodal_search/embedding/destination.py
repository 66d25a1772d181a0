"""Where the features go: the table itself, or a single file (or a folder of views) made from its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from multimodal_search.embedding.unfinished import FOLDER as UNFINISHED
from multimodal_search.errors import OutputError, SettingsError, require
from multimodal_search.settings import EmbedSettings
from multimodal_search.storage import ensure_bucket, ensure_writable_folder, is_s3

Kind = Literal["table", "parquet", "npy", "hdf5", "views"]
_SUFFIXES: dict[str, Kind] = {".parquet": "parquet", ".npy": "npy", ".hdf5": "hdf5", ".h5": "hdf5"}


@dataclass(frozen=True, slots=True)
class Destination:
    """What ``--out`` means.

    Attributes:
        url: as given; a local path or an ``s3://`` address.
        kind: what it will hold.
        parts_url: the feature table; ``url`` itself, or a folder beside (inside, for views) it.
    """

    url: str
    kind: Kind
    parts_url: str

    @property
    def unfinished(self) -> Path | None:
        """The local folder for checkpoints of parts; S3 has none."""
        return None if is_s3(self.url) else Path(self.parts_url) / UNFINISHED


def destination(settings: EmbedSettings) -> Destination:
    """Read ``--out``.

    Raises:
        SettingsError: it names a kind of file that is not written, or does not go with other flags.
    """
    if settings.hash == "phash":
        require("imagehash", extra="bulk")
    url = settings.out.rstrip("/") if is_s3(settings.out) else str(Path(settings.out).expanduser())
    suffix = Path(url).suffix.lower()
    kind = _SUFFIXES.get(suffix, "table")
    if settings.views:
        if kind != "table":
            raise SettingsError(
                f"--views writes an array an id, so --out {settings.out!r} must be a folder.",
                remedy="name a folder, for example --out data/features",
            )
        if settings.pool == "grid":
            raise SettingsError(
                "--views stores one vector a view, and --pool grid makes many.",
                remedy="choose another --pool",
            )
        return Destination(url, "views", f"{url}/.parts")
    if kind == "table":
        if suffix in {".json", ".csv", ".pt", ".pkl", ".npz", ".feather", ".txt", ".faiss"}:
            raise SettingsError(
                f"--out {settings.out!r}: {suffix} files are not written.",
                remedy="a folder, or a name ending in .parquet, .npy or .hdf5",
            )
        return Destination(url, "table", url)
    if kind == "hdf5":
        if settings.compression == "zstd":
            raise SettingsError("HDF5 files have no zstd compression.", remedy="--compression gzip")
    elif settings.id_pattern is not None:
        raise SettingsError("--id-pattern names the data sets of an .hdf5 file.", remedy="leave it out")
    return Destination(url, kind, f"{url}.parts")


def ensure_writable(where: Destination) -> None:
    """Find out before any long work that something can be written there.

    Raises:
        OutputError: it cannot.
    """
    if where.kind != "table" and not is_s3(where.url) and where.kind != "views" and Path(where.url).is_dir():
        raise OutputError("A folder is where the file should go.", where=where.url, remedy="another --out")
    if is_s3(where.url):
        ensure_bucket(where.url)
    else:
        ensure_writable_folder(where.parts_url)
