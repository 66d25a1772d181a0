"""The raw content of an input, and what tells whether it is still the same."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from multimodal_search.errors import SkipInput
from multimodal_search.storage import is_s3, read_object
from multimodal_search.types import Input

MAX_BYTES = 1 << 30  # a larger file is no picture, and would fill the memory


class Content(NamedTuple):
    """Bytes of a file or object, and their key: size and time, or S3's size and entity tag."""

    raw: bytes
    key: str


def read_input(one: Input) -> Content:
    """Read a file or an ``s3://`` object whole; for reading threads.

    Raises:
        SkipInput: it cannot be had; ``again`` where another try may bring it.
        DataError: the store as a whole cannot be used.
    """
    if not one.location:
        return Content(one.id.encode("utf-8", "surrogatepass"), one.key)
    if is_s3(one.location):
        try:
            return Content(*read_object(one.location, max_bytes=MAX_BYTES))
        except FileNotFoundError:
            raise SkipInput("the object is missing") from None
    try:
        return _read_file(Path(one.location))
    except FileNotFoundError:
        raise SkipInput("the file is missing") from None
    except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
        raise SkipInput(f"the file cannot be read: {error.strerror}") from None
    except OSError as error:  # a network file system may answer again
        raise SkipInput(f"the file cannot be read: {error.strerror or error}", again=True) from None


def _read_file(path: Path) -> Content:
    # by descriptor: it is the file that is read that must be regular (a pipe would wait for ever)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SkipInput("not a regular file")
        if status.st_size > MAX_BYTES:
            raise SkipInput(f"too large for a picture: {status.st_size / 1e9:.1f} GB")
        return Content(file.read(), f"{status.st_size}:{status.st_mtime_ns}")
