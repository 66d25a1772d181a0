"""What clients send: told by content, bounded in every way, kept for a while under a name nobody guesses."""

from __future__ import annotations

import csv
import io
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv

from multimodal_search.embedding.images import decode
from multimodal_search.errors import DataError, SkipInput
from multimodal_search.search import queries
from multimodal_search.serving.problems import Refused
from multimodal_search.sources.series import TIME_CHANNEL
from multimodal_search.storage import write_atomically
from multimodal_search.types import EncoderCard, FloatArray

Kind = Literal["image", "series"]
MAX_PIXELS = 50_000_000
_LARGEST_PX = 2048
_LONGEST_SECONDS = 3600.0
_MOST_BYTES = 512 << 20
_MOST_FILES = 500
_KEPT_SECONDS = 3600.0
_ENDINGS: dict[Kind, str] = {"image": ".image", "series": ".npy"}
_NAME = re.compile(r"[A-Za-z0-9_-]{22}")
_EMPTY = {"", "nan", "NaN", "null", "NULL", "None"}


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that was looked at and kept."""

    upload_id: str
    kind: Kind
    path: Path


class Uploads:
    """Files of clients, in a folder that all workers share.

    Args:
        folder: exists; it is the server's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: bytes, card: EncoderCard | None) -> Uploaded:
        """Look at a file and keep it: a picture, or a signal as ``.npy`` or CSV.

        Args:
            card: of the bundle's signal encoder; None where it takes no signals.

        Raises:
            Refused: neither, too large when unpacked, or damaged (422).
        """
        kind = kind_of(content)
        name = secrets.token_urlsafe(16)
        path = self._folder / f"{name}{_ENDINGS[kind]}"
        self._make_room(len(content))
        if kind == "image":
            content = _picture(content)
        elif card is None:
            raise Refused(422, "This bundle cannot be asked with signals.")
        elif not content.startswith(b"\x93NUMPY"):
            content = _npy(_table(content, card))
        with write_atomically(path) as file:
            file.write(content)
        if kind == "series" and card is not None:
            try:
                _check_series(path, card)
            except Refused:
                path.unlink(missing_ok=True)
                raise
        return Uploaded(name, kind, path)

    def find(self, upload_id: str, kind: Kind) -> Path:
        """The file of an upload.

        Raises:
            Refused: there is none, or no longer (422).
        """
        path = self._folder / f"{upload_id}{_ENDINGS[kind]}"
        if not _NAME.fullmatch(upload_id) or not path.is_file():
            raise Refused(422, f"There is no upload of this name and kind ({kind}).", "upload the file again")
        path.touch()
        return path

    def _make_room(self, size_bytes: int) -> None:
        """The oldest files go where there are too many, too large, or too old ones."""
        there = []
        for path in self._folder.iterdir():
            try:
                status = path.stat()
            except OSError:
                continue  # another worker was quicker
            there.append((status.st_mtime, status.st_size, path))
        there.sort(reverse=True)
        total, now = size_bytes, time.time()
        for number, (at, size, path) in enumerate(there, start=1):
            total += size
            if number >= _MOST_FILES or total > _MOST_BYTES or now - at > _KEPT_SECONDS:
                path.unlink(missing_ok=True)


def kind_of(content: bytes) -> Kind:
    """By the first bytes; a name or a stated type counts for nothing.

    Raises:
        Refused: neither a picture nor a signal (422).
    """
    if not content:
        raise Refused(422, "The file is empty.")
    if content.startswith(b"\x93NUMPY"):
        return "series"
    if content.startswith((b"\x80", b"PK")):
        raise Refused(422, "Pickles and archives are never opened.", "save plain numbers: numpy.save, or CSV")
    first = content[:4096]
    if b"\0" not in first and (b"," in first or b"\n" in first):
        try:
            first.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return "series" if error.start > len(first) - 4 and len(content) > len(first) else "image"
        return "image" if re.match(rb"P[1-6]\s", first) else "series"
    return "image"


def _picture(content: bytes) -> bytes:
    """As it came, or smaller: it is decoded again by every query that names it."""
    try:
        picture = decode(content, max_pixels=MAX_PIXELS)
    except SkipInput as skip:
        raise Refused(422, f"The picture cannot be used: {skip.reason}.") from None
    if max(picture.size) <= _LARGEST_PX:
        return content
    picture.thumbnail((_LARGEST_PX, _LARGEST_PX))
    memory = io.BytesIO()
    picture.save(memory, "PNG", compress_level=1)
    return memory.getvalue()


def _check_series(path: Path, card: EncoderCard) -> None:
    try:
        times = queries.series(path, card).timestamps_seconds
    except DataError as error:
        raise Refused(422, error.what, error.remedy) from None
    if float(times[-1]) - float(times[0]) > _LONGEST_SECONDS:
        raise Refused(
            422, f"The signal is longer than {_LONGEST_SECONDS:g} s.", "send the stretch that is meant"
        )


def _npy(table: FloatArray) -> bytes:
    memory = io.BytesIO()
    np.save(memory, table, allow_pickle=False)
    return memory.getvalue()


def _table(content: bytes, card: EncoderCard) -> FloatArray:
    """(T, 1 + C) float64: seconds and the encoder's channels in its order, NaN where the CSV has none."""
    channels = [str(one) for one in card.options["channels"]]
    rate_hz = float(card.options["rate_hz"])
    try:
        head = next(csv.reader(io.StringIO(content[:65_536].decode("utf-8-sig", "ignore"))), [])
        names = [one.strip() for one in head]
        numeric = all(one in _EMPTY or _is_number(one) for one in names)
        if numeric:
            names = _names(len(names), channels)
        if len(set(names)) < len(names):
            raise Refused(422, "The CSV names a column twice.")
        read = pyarrow.csv.read_csv(
            io.BytesIO(content.removeprefix(b"\xef\xbb\xbf")),
            pyarrow.csv.ReadOptions(column_names=names, skip_rows=0 if numeric else 1, use_threads=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.float64() for name in names}, null_values=sorted(_EMPTY)
            ),
        )
    except (pa.ArrowException, ValueError, csv.Error):
        raise Refused(
            422, "The CSV cannot be read.", "a row of names, then numbers, separated by commas"
        ) from None
    known = [name for name in channels if name in names]
    if not known or not read.num_rows:
        raise Refused(422, "The CSV has none of the channels.", f"name columns {', '.join(channels)}")
    columns = {name: read[name].to_numpy().astype(np.float64) for name in names}
    times = columns.get(TIME_CHANNEL, np.arange(read.num_rows) / rate_hz)
    empty = np.full(read.num_rows, np.nan)
    return np.stack([times, *(columns.get(name, empty) for name in channels)], axis=1)


def _names(count: int, channels: list[str]) -> list[str]:
    if count == len(channels):
        return channels
    if count == len(channels) + 1:
        return [TIME_CHANNEL, *channels]
    raise Refused(
        422,
        f"The CSV has {count} columns and no names; the bundle knows {len(channels)} channels.",
        f"name its columns: {', '.join(channels)}",
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
