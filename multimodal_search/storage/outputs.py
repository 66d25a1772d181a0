"""Where a command writes: a local place itself, or one in the user's cache that is then sent to S3."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from multimodal_search.errors import BundleError, DataError, OutputError, ProjectError
from multimodal_search.storage import s3
from multimodal_search.storage.addresses import is_s3, parse_s3
from multimodal_search.storage.checksums import SUMS
from multimodal_search.storage.fetching import bring, local_folder, lock_of, look, note_of, write_note
from multimodal_search.storage.sending import ensure_writable, is_refused, send_folder, under

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def output_folder(place: str | Path, marker: str = SUMS) -> Iterator[Path]:
    """The folder to write to; it is sent where ``place`` is on S3, once the block has ended without an error.

    Of an ``s3://`` place the folder is one in the user's cache, always the same: a killed run goes on there.
    What is on S3 is brought first, so that the block finds what it would find in a local folder.

    Args:
        place: a folder, or ``s3://bucket/prefix``.
        marker: as of ``send_folder``.

    Raises:
        OutputError: on S3: nothing may be written there (found out first), or it could not be sent.
    """
    if not is_s3(place):
        yield Path(place).expanduser()
        return
    url = str(place)
    ensure_writable(url)
    folder = local_folder(url, "outputs")
    with lock_of(folder):
        _begin(url, folder, marker)
    yield folder
    with lock_of(folder), _keeping(folder):
        write_note(folder, send_folder(folder, url, marker).sums)


@contextlib.contextmanager
def output_file(place: str | Path) -> Iterator[Path]:
    """The file to write to; it is sent where ``place`` is on S3, once the block has ended without an error.

    Raises:
        OutputError: on S3: nothing may be written there (found out first), or it could not be sent.
    """
    if not is_s3(place):
        yield Path(place).expanduser()
        return
    address = parse_s3(str(place))
    parent, _, name = address.key.rpartition("/")
    if not name:
        raise OutputError("This names a bucket, not a file.", where=place, remedy="s3://bucket/name")
    ensure_writable(str(address._replace(key=parent)))
    with tempfile.TemporaryDirectory(prefix="multimodal-search-") as folder:
        path = Path(folder) / name
        yield path
        s3.write_file(under(address._replace(key=parent), name), path)
    _log.info("sent to %s", place)


def _begin(url: str, folder: Path, marker: str) -> None:
    """The folder becomes what is on S3, unless it has what a killed run added to that."""
    address, note = parse_s3(url), note_of(folder)
    try:
        remote = look(address, marker)
    except BundleError:
        # sent once and gone since: begin anew, as with a folder that somebody removed
        if note is not None and next(s3.list_objects(under(address, "")), None) is None:
            shutil.rmtree(folder, ignore_errors=True)
            write_note(folder, None)
    except DataError as error:
        if not is_refused(error):
            raise
        _log.warning("what is in %s may not be read: it is written anew", url)
    else:
        if note != remote.sums:
            bring(remote, folder, marker)
    folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    try:
        yield
    except ProjectError as error:
        raise OutputError(
            error.what,
            where=error.where,
            remedy=f"{error.remedy or 'run it again'}; all that was made is in {folder}, "
            "and the same command goes on from there",
        ) from error
