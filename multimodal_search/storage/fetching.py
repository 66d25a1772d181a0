"""An ``s3://`` prefix as a folder in the user's cache: whole or absent, and only what changed is fetched."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock

from multimodal_search.errors import BundleError, DataError
from multimodal_search.storage import s3
from multimodal_search.storage.addresses import S3Address, parse_object, parse_s3
from multimodal_search.storage.checksums import SUMS, FileSum, Sums, parse_sums, sum_of, sum_of_bytes
from multimodal_search.storage.local import (
    TEMPORARY_SUFFIX,
    default_features_dir,
    ensure_writable_folder,
    write_atomically,
)
from multimodal_search.storage.s3_file import fetch_object
from multimodal_search.storage.sending import is_refused, under

_log = logging.getLogger(__name__)
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Remote:
    """A whole copy of a folder on S3.

    Attributes:
        sums: its files; with their tags alone where it has no ``checksums.json``.
        marker: the content of the marker file; None where ``checksums.json`` is the marker.
    """

    address: S3Address
    sums: Sums
    marker: bytes | None


def fetch_folder(url: str, marker: str) -> Path:
    """A folder in the user's cache that holds what is under the prefix.

    Each file is compared with ``checksums.json``; where other programs copied the files there, with S3's own
    listing. A second call fetches what has changed since. A kill leaves a folder without its marker.

    Args:
        url: ``s3://bucket/prefix``.
        marker: the file without which the prefix holds nothing whole, for example ``bundle.json``.

    Raises:
        BundleError: nothing whole is there, a file is not what was sent, or was replaced meanwhile.
        DataError: S3 cannot be reached or refuses.
        OutputError: the cache cannot be written.
    """
    folder = local_folder(url, "copies")
    with lock_of(folder):
        remote = look(parse_s3(url), marker)
        if note_of(folder) != remote.sums or not _sizes_fit(folder, remote.sums.files):
            bring(remote, folder, marker)
    return folder


def fetch_file(url: str) -> Path:
    """An object as a file in the user's cache; a second call fetches it only where it was replaced.

    Args:
        url: ``s3://bucket/key``.

    Raises:
        FileNotFoundError: there is no such object.
        BundleError: it was replaced meanwhile.
        DataError: S3 cannot be reached or refuses.
        OutputError: the cache cannot be written.
    """
    address = parse_object(url)
    name = PurePosixPath(address.key).name
    folder = local_folder(url, "files")
    with lock_of(folder):
        tag, note = s3.content_key(url), note_of(folder)
        path = ensure_writable_folder(folder) / name
        if not (path.is_file() and note is not None and note.files[name].tag == tag):
            write_note(folder, None)
            tag = fetch_object(address, path)
            write_note(folder, Sums({name: FileSum(path.stat().st_size, None, tag)}))
    return path


def local_folder(url: str, role: str) -> Path:
    """The folder in the user's cache that belongs to a prefix; ``role`` says what for."""
    url = str(parse_s3(url))
    name = re.sub(r"[^A-Za-z0-9.]+", "-", url.removeprefix("s3://")).strip("-.")[-60:]
    mark = hashlib.sha256(url.encode()).hexdigest()[:12]
    return default_features_dir().parent / role / f"{name}-{mark}"


def lock_of(folder: Path) -> FileLock:
    """One process at a time brings or sends."""
    ensure_writable_folder(folder.parent)
    return FileLock(_beside(folder, ".lock"))


def note_of(folder: Path) -> Sums | None:
    """What the folder was when it was last the same as the prefix."""
    try:
        return parse_sums(_beside(folder, ".json").read_bytes(), folder)
    except (FileNotFoundError, BundleError):
        return None


def write_note(folder: Path, sums: Sums | None) -> None:
    """Remember that, or forget it."""
    path = _beside(folder, ".json")
    if sums is None:
        path.unlink(missing_ok=True)
        return
    with write_atomically(path) as file:
        file.write(sums.to_bytes())


def look(address: S3Address, marker: str) -> Remote:
    """What is under the prefix.

    Raises:
        BundleError: nothing, or nothing whole.
        DataError: S3 cannot be reached or refuses.
    """
    sums = _listed_sums(address)
    if marker == SUMS:
        if sums is None or not sums.whole:
            raise _not_whole(address, marker, "it is not there" if sums is None else "files are missing")
        return Remote(address, sums, None)
    try:
        content = s3.read_whole(under(address, marker), patient=False)
    except FileNotFoundError:
        raise _not_whole(address, marker, f"there is no {marker}") from None
    if sums is None:
        return Remote(address, _tags(address), content)
    if not sums.whole or sum_of_bytes(content) != sums.files.get(marker):
        raise _not_whole(address, marker, f"its {marker} is not the one that {SUMS} lists")
    return Remote(address, sums, content)


def bring(remote: Remote, folder: Path, marker: str) -> None:
    """Make the folder the same as the prefix; files that were never on S3 stay."""
    ensure_writable_folder(folder)
    for leftover in folder.rglob(f".*{TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)  # of a killed run
    files, before = remote.sums.files, note_of(folder) or Sums()
    missing = {
        name: one
        for name, one in files.items()
        if name != marker and not _is_here(_inside(folder, name), one, before.files.get(name))
    }
    write_note(folder, None)
    (folder / marker).unlink(missing_ok=True)
    for name in set(before.files) - set(files):
        _inside(folder, name).unlink(missing_ok=True)
    if missing:
        size = sum(one.size_bytes for one in missing.values())
        _log.info(
            "fetching %d of %d files (%.1f MB) from %s", len(missing), len(files), size / 1e6, remote.address
        )
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            list(pool.map(lambda name: _fetch(remote, name, _inside(folder, name), missing[name]), missing))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    write_note(folder, remote.sums)
    if remote.marker is not None:
        with write_atomically(folder / marker) as file:
            file.write(remote.marker)


def _fetch(remote: Remote, name: str, path: Path, wanted: FileSum) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    address = under(remote.address, name)
    try:
        tag = fetch_object(address, path)
    except FileNotFoundError:
        raise _unlike(remote, f"{name} is missing") from None
    found = sum_of(path)
    if found.size_bytes == wanted.size_bytes and (
        found.sha256 == wanted.sha256 if wanted.sha256 is not None else tag == wanted.tag
    ):
        return
    path.unlink()
    raise _unlike(remote, f"{name} has another checksum than when it was sent")


def _unlike(remote: Remote, reason: str) -> BundleError:
    """It is damaged, or was replaced since it was looked at."""
    now = _listed_sums(remote.address)
    if (now or _tags(remote.address)) != remote.sums:
        return BundleError(
            f"It was replaced while it was fetched ({reason}).", where=remote.address, remedy="run it again"
        )
    return BundleError(f"The copy is damaged: {reason}.", where=remote.address, remedy="send it there again")


def _listed_sums(address: S3Address) -> Sums | None:
    try:
        content = s3.read_whole(under(address, SUMS), patient=False)
    except FileNotFoundError:
        return None
    except DataError as error:
        if is_refused(error):  # so is an absent object, to who may not list
            return None
        raise
    return parse_sums(content, under(address, SUMS))


def _tags(address: S3Address) -> Sums:
    base = under(address, "")
    listed = {
        one.key.removeprefix(base.key): FileSum(one.size_bytes, None, one.content_key)
        for one in s3.list_objects(base)
    }
    return Sums({name: one for name, one in listed.items() if name and not name.endswith("/")})


def _not_whole(address: S3Address, marker: str, reason: str) -> BundleError:
    base = under(address, "")
    there = next(s3.list_objects(base), None)
    if there is None:
        return BundleError("There is nothing here.", where=base, remedy="check the bucket and the prefix")
    return BundleError(
        f"Nothing whole is here: {reason}.",
        where=base,
        remedy="files may be on their way: wait, or send them again"
        + ("" if marker == SUMS else f" (copied there by another program: remove {SUMS})"),
    )


def _is_here(path: Path, wanted: FileSum, before: FileSum | None) -> bool:
    if not path.is_file() or path.stat().st_size != wanted.size_bytes:
        return False
    return before == wanted if wanted.sha256 is None else sum_of(path) == wanted


def _sizes_fit(folder: Path, files: Mapping[str, FileSum]) -> bool:
    for name, one in files.items():
        path = _inside(folder, name)
        if not path.is_file() or path.stat().st_size != one.size_bytes:
            return False
    return True


def _inside(folder: Path, name: str) -> Path:
    """The file's place, which no name leads out of."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise BundleError(f"{name!r} is no name of a file of a copy.", where=folder)
    return folder.joinpath(*parts)


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)
