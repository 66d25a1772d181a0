"""The recordings that were named: files, folders of them, and ``s3://`` addresses."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from multimodal_search.errors import DataError, nearest
from multimodal_search.storage import content_key, is_s3, list_objects, open_object, parse_s3

_ENDING = ".mcap"


@dataclass(frozen=True, slots=True)
class Recording:
    """One file.

    Attributes:
        address: a path or an ``s3://`` address.
        name: of its scenes and its log: safe in a file's name, unique among the recordings of a run.
        key: changes when the content does.
    """

    address: str
    name: str
    key: str

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[BinaryIO, int]]:
        """The file, and its size in bytes.

        Raises:
            DataError: it is gone, or cannot be read.
        """
        try:
            if is_s3(self.address):
                stream, size_bytes = open_object(self.address)
            else:
                path = Path(self.address)
                stream, size_bytes = path.open("rb"), path.stat().st_size
        except OSError as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(
                f"It cannot be read ({reason}).", where=self.address, remedy="check it"
            ) from error
        with stream:
            yield stream, size_bytes


def find_recordings(places: Sequence[str]) -> list[Recording]:
    """All recordings, in the order given, those of a folder by name; one that is named twice comes once.

    A split recording (rosbag2's ``name_0.mcap``, ``name_1.mcap``) counts as several: no window reaches over.

    Raises:
        DataError: a place does not exist, or holds no ``.mcap``; says what is there.
    """
    found: dict[str, Recording] = {}
    for place in places:
        listed = list(_on_s3(place) if is_s3(place) else _local(Path(place)))
        found.update((one.address, one) for one in listed)
    many = Counter(one.name.lower() for one in found.values())  # some file systems know no case
    return [
        replace(one, name=f"{one.name}-{hashlib.sha256(one.address.encode()).hexdigest()[:8]}")
        if many[one.name.lower()] > 1
        else one
        for one in found.values()
    ]


def _local(path: Path) -> Iterator[Recording]:
    path = path.expanduser()
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.suffix.lower() == _ENDING and one.is_file())
        if not files:
            here = sorted(one.name for one in path.iterdir())[:5]
            raise DataError(
                "The folder holds no .mcap file.",
                where=path,
                remedy=f"there are: {', '.join(here)}" if here else "it is empty; check the path",
            )
        yield from (_recording(str(one), one.relative_to(path).as_posix()) for one in files)
    elif path.exists():
        yield _recording(str(path), path.name)
    else:
        beside = sorted(one.name for one in path.parent.iterdir()) if path.parent.is_dir() else []
        raise DataError(
            "There is no such file or folder.",
            where=path,
            remedy=nearest(path.name, beside) if beside else "check the path",
        )


def _on_s3(url: str) -> Iterator[Recording]:
    address = parse_s3(url)
    one_object = PurePosixPath(address.key).suffix.lower() == _ENDING
    some = False
    for listed in list_objects(address):
        exact = listed.key == address.key
        below = not address.key or listed.key.startswith(f"{address.key}/")
        if (exact and one_object) or (below and listed.key.lower().endswith(_ENDING)):
            some = True
            relative = PurePosixPath(listed.key).name if exact else listed.key[len(address.key) :].lstrip("/")
            yield Recording(f"s3://{address.bucket}/{listed.key}", _name(relative), listed.content_key)
    if not some:
        raise DataError(
            "There is no such object." if one_object else "No .mcap object is under this address.",
            where=url,
            remedy="check the bucket and the prefix",
        )


def _recording(address: str, relative: str) -> Recording:
    try:
        key = content_key(address)
    except OSError as error:
        raise DataError(f"It cannot be read ({error.strerror or error}).", where=address) from error
    return Recording(address, _name(relative), key)


def _name(relative: str) -> str:
    """A path within its folder as a file name."""
    stem = re.sub(r"(?i)\.mcap$", "", relative)
    return re.sub(r"[^\w.-]+", "_", stem).strip("._")[-120:] or "recording"
