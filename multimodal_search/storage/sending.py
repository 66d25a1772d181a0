"""A folder copied to an ``s3://`` prefix, so that a copy that is not whole never looks so."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from multimodal_search.errors import BundleError, DataError, OutputError, ProjectError
from multimodal_search.storage import s3
from multimodal_search.storage.addresses import S3Address, parse_s3
from multimodal_search.storage.checksums import SUMS, FileSum, Sums, parse_sums, sum_of
from multimodal_search.storage.local import TEMPORARY_SUFFIX
from multimodal_search.storage.s3_errors import error_code, explaining
from multimodal_search.storage.s3_requests import insist

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_log = logging.getLogger(__name__)
_THREADS = 8
_PASSING = (TEMPORARY_SUFFIX, ".lock", ".partial")
_NOT_OFFERED = {"NotImplemented", "MethodNotAllowed", "501", "405"}  # by a small store: the work decides
_NOTED_BYTES = 256 << 20  # what is sent again, at most, after a kill


class Sent(NamedTuple):
    """How many files were sent, and all that the copy has."""

    files: int
    sums: Sums


def send_folder(folder: str | Path, url: str, marker: str = SUMS) -> Sent:
    """Make ``url`` a copy of the folder; what is there already, by its checksum, is not sent again.

    The marker is taken away first. Then come the changed files, each of which S3 compares with its SHA-256,
    then ``checksums.json``, which lists them all, and the marker last: while it is there, and is the one that
    ``checksums.json`` lists, the copy is whole. Files that an earlier copy brought and the folder no longer
    has are removed; other objects stay. Locks and temporary files are left out.

    Args:
        folder: not changed meanwhile.
        url: ``s3://bucket/prefix``.
        marker: the file whose presence means whole; without one, ``checksums.json`` itself (``"whole"``).

    Raises:
        OutputError: the folder is empty or has no marker; the bucket is missing, S3 refuses, or it has been
            away for ``outage_seconds``.
    """
    root, address = Path(folder), parse_s3(url)
    paths = dict(_files(root))
    if not paths:
        raise OutputError("There is nothing to upload.", where=root, remedy="run the command that fills it")
    if marker not in (SUMS, *paths):
        raise OutputError(
            f"The folder is not whole: {marker} is missing.", where=root, remedy="run the command again"
        )
    with ThreadPoolExecutor(_THREADS) as pool:
        sums = Sums(dict(zip(paths, pool.map(sum_of, paths.values()), strict=True)))
    known = _known(address)
    sizes = _sizes(address) if known.files else {}
    kept = {
        name: one
        for name, one in sums.files.items()
        if known.files.get(name) == one and sizes.get(name) == one.size_bytes
    }
    if known == sums and kept == sums.files:
        return Sent(0, sums)
    if marker != SUMS:
        _take_away(under(address, marker))
        kept.pop(marker, None)
    # what is about to change is listed no longer: a kill from here on leaves nothing that seems to fit
    _write_sums(address, Sums(kept, whole=False))
    changed = {name: paths[name] for name in paths if name not in kept and name != marker}
    told = (len(paths) - len(kept), len(paths), sum(sums.files[name].size_bytes for name in changed) / 1e6)
    _log.info("sending %d of %d files (%.1f MB) to %s", *told, url)
    _send(address, changed, sums.files, dict(kept))
    _remove_stale(address, set(known.files) - set(sums.files))
    _compare_sizes(address, {name: one for name, one in sums.files.items() if name != marker})
    _write_sums(address, sums)
    if marker != SUMS:
        s3.write_file(under(address, marker), paths[marker], sha256=sums.files[marker].sha256)
    _log.info("sent to %s", url)
    return Sent(len(sums.files) - len(kept), sums)


def ensure_writable(url: str) -> None:
    """Find out before any long work that the bucket is there, and that one may write under the prefix.

    Raises:
        OutputError: the bucket is missing, credentials are absent, expired or refused, S3 cannot be reached.
    """
    s3.ensure_bucket(url)
    address = under(parse_s3(url), ".probe")

    def ask(client: S3Client) -> None:
        try:  # needs the right to write, and leaves nothing that a listing shows
            begun = client.create_multipart_upload(Bucket=address.bucket, Key=address.key)
        except client.exceptions.ClientError as error:
            if error_code(error) in _NOT_OFFERED:
                return
            raise
        with contextlib.suppress(client.exceptions.ClientError):
            client.abort_multipart_upload(Bucket=address.bucket, Key=address.key, UploadId=begun["UploadId"])

    with explaining(parse_s3(url), OutputError):
        insist(ask, address.bucket)


def under(address: S3Address, name: str) -> S3Address:
    """The address of a file below a prefix."""
    return address._replace(key=f"{address.key}/{name}" if address.key else name)


def is_refused(error: ProjectError) -> bool:
    """Whether S3 said that this may not be done; also of an absent object, to who may not list."""
    return error_code(error.__cause__ or error) in {"403", "AccessDenied"}


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Hidden ones too, by which a run goes on: journals, parts; but nothing that a live run alone needs."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        passing = any(part.startswith(".") and part.endswith(_PASSING) for part in name.split("/"))
        if path.is_file() and not passing and name != SUMS:
            yield name, path


def _known(address: S3Address) -> Sums:
    """What an earlier copy listed; nothing where there was none."""
    try:
        return parse_sums(s3.read_whole(under(address, SUMS)), under(address, SUMS))
    except (FileNotFoundError, BundleError):
        return Sums()
    except DataError as error:
        if is_refused(error):
            return Sums()
        raise OutputError(error.what, where=error.where, remedy=error.remedy) from error


def _sizes(address: S3Address) -> dict[str, int]:
    """Name -> size in bytes of all objects under the prefix."""
    base = under(address, "")
    return {one.key.removeprefix(base.key): one.size_bytes for one in s3.list_objects(base, kind=OutputError)}


def _take_away(marker: S3Address) -> None:
    try:
        s3.remove_object(marker)
    except OutputError as error:
        if not is_refused(error):
            raise
        # it may be written, but not deleted: nobody takes this for the real one
        s3.write_object(marker, json.dumps({"unfinished": "files are being sent here"}).encode())


def _write_sums(address: S3Address, sums: Sums) -> None:
    s3.write_object(under(address, SUMS), sums.to_bytes())


def _send(
    address: S3Address, paths: Mapping[str, Path], sums: Mapping[str, FileSum], there: dict[str, FileSum]
) -> None:
    """Several at a time; now and then it is noted which are there, so that a killed run goes on."""
    noted_bytes = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        sending = {
            pool.submit(s3.write_file, under(address, name), path, sha256=sums[name].sha256): name
            for name, path in paths.items()
        }
        try:
            for one in as_completed(sending):
                one.result()
                name = sending[one]
                there[name] = sums[name]
                noted_bytes += sums[name].size_bytes
                if noted_bytes >= _NOTED_BYTES:
                    _write_sums(address, Sums(there, whole=False))
                    noted_bytes = 0
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _remove_stale(address: S3Address, names: set[str]) -> None:
    for name in sorted(names):
        try:
            s3.remove_object(under(address, name))
        except OutputError as error:
            if not is_refused(error):
                raise
            _log.warning("%s is of an earlier copy and may not be deleted", under(address, name))


def _compare_sizes(address: S3Address, sums: Mapping[str, FileSum]) -> None:
    try:
        sizes = _sizes(address)
    except OutputError as error:
        if is_refused(error):  # each file was compared by S3 when it came
            return
        raise
    for name, one in sums.items():
        if sizes.get(name) != one.size_bytes:
            raise OutputError(
                f"{name} did not arrive whole ({sizes.get(name, 'no')} of {one.size_bytes} bytes).",
                where=address,
                remedy="run it again; perhaps another run writes there, too",
            )
