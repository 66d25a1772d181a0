"""Local files that are either whole or absent."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal, overload

from multimodal_search.errors import OutputError

TEMPORARY_SUFFIX = ".tmp"
_DISK_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP}


@overload
def write_atomically(
    path: str | Path, mode: Literal["wb"] = ...
) -> contextlib.AbstractContextManager[IO[bytes]]: ...
@overload
def write_atomically(path: str | Path, mode: Literal["w"]) -> contextlib.AbstractContextManager[IO[str]]: ...
def write_atomically(
    path: str | Path, mode: Literal["wb", "w"] = "wb"
) -> contextlib.AbstractContextManager[IO[Any]]:
    """A file that appears under its name only when it is whole and on the disk.

    It is written under a temporary name in the same folder, synced, then renamed over ``path``. When the
    block raises, ``path`` stays as it was and the temporary file is removed.

    Args:
        path: the file to write; its folder exists.
        mode: ``wb``, or ``w`` for UTF-8 text with ``\\n`` line ends on every system.

    Raises:
        OutputError: the disk is full, or the folder is absent or not writable.
    """
    return _writing(Path(path), mode)


@contextlib.contextmanager
def _writing(path: Path, mode: Literal["wb", "w"]) -> Iterator[IO[Any]]:
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    text: dict[str, Any] = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
    file: IO[Any] | None = None
    try:
        with _naming_the_output(path):
            file = temporary.open(mode.replace("w", "x"), **text)
        try:
            yield file
        except (OSError, RuntimeError) as error:  # RuntimeError: torch.save's own writer on a full disk
            if _is_disk_full(error, path.parent):
                raise output_error(error, path) from error
            raise
        with _naming_the_output(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            temporary.replace(path)
            fsync_folder(path.parent)
    finally:
        if file is not None:
            with contextlib.suppress(OSError):  # closing flushes, which fails again on a full disk
                file.close()
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write a JSON file atomically; NaN is refused, since other programs cannot read it.

    Raises:
        OutputError: the file cannot be written.
        ValueError: the value holds NaN or infinity.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False) + "\n"
    with write_atomically(path) as file:
        # a lone surrogate (a file name that is not UTF-8) becomes its JSON escape
        file.write(text.encode("utf-8", "backslashreplace"))


def ensure_writable_folder(path: str | Path) -> Path:
    """Make the folder if need be and prove that a file can be written there, before any long work.

    Raises:
        OutputError: a file is in the way, or nothing can be written there.
    """
    if str(path).startswith("s3:/"):  # with one slash where it went through a Path
        raise OutputError(
            "This needs a folder on this machine.",
            where=path,
            remedy="in Python: with multimodal_search.storage.output_folder(address) as folder",
        )
    folder = Path(path)
    with _naming_the_output(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
        try:
            probe.write_bytes(b"0")  # a byte: an empty file fits on a full disk
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
    return folder


def remove_leftovers(folder: Path) -> int:
    """Remove temporary files that a killed run left in ``folder``; returns how many.

    Only for a folder that no other run writes to at the same time.
    """
    leftovers = [path for path in folder.glob(f".*{TEMPORARY_SUFFIX}") if path.is_file()]
    for path in leftovers:
        with contextlib.suppress(OSError):
            path.unlink()
    return len(leftovers)


def fsync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut, where the system can."""
    if os.name == "nt":  # Windows cannot open folders
        return
    with contextlib.suppress(OSError):  # some network and FUSE file systems refuse it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def default_features_dir() -> Path:
    """Where feature tables are kept between runs when nothing else is said.

    ``$MULTIMODAL_SEARCH_FEATURES_DIR``, or ``multimodal_search/features`` in the user's cache folder.
    """
    if chosen := os.environ.get("MULTIMODAL_SEARCH_FEATURES_DIR"):
        return Path(chosen).expanduser()
    return user_cache_dir() / "features"


def user_cache_dir() -> Path:
    """``multimodal_search`` in the user's cache folder."""
    if cache := os.environ.get("XDG_CACHE_HOME"):
        base = Path(cache).expanduser()
    elif sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        base = Path(local)
    else:
        base = Path("~/.cache").expanduser()
    return base / "multimodal_search"


def output_error(error: BaseException, path: Path) -> OutputError:
    """The message for a failed write: what happened, to which file, and the way out."""
    code = error.errno if isinstance(error, OSError) else None
    if _is_disk_full(error, path.parent):
        free = _free_bytes(path.parent)
        left = "" if free is None else f" ({free / 1e6:.1f} MB free)"
        return OutputError(
            f"The disk is full or the quota is used up{left}.",
            where=path,
            remedy="free some space or choose another folder; what was finished before is kept",
        )
    if code in _REFUSED:
        return OutputError(
            f"Writing here is not permitted ({os.strerror(code or 0)}).",
            where=path,
            remedy="choose a folder that you may write to, or change its permissions",
        )
    if code in _IN_THE_WAY:
        return OutputError(
            f"A file is where a folder is needed, or the other way round ({os.strerror(code or 0)}).",
            where=path,
            remedy="move it away or choose another folder",
        )
    return OutputError(f"Writing failed: {error}.", where=path, remedy="choose another folder")


@contextlib.contextmanager
def _naming_the_output(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise output_error(error, path) from error


def _is_disk_full(error: BaseException, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _DISK_FULL
    if not isinstance(error, OSError | RuntimeError) or isinstance(error, OutputError):
        return False
    # numpy and torch report a short write without an errno: ask the disk
    free = _free_bytes(folder)
    return free is not None and free < 65536


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
