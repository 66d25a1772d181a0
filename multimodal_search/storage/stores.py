"""The two stores: a local folder, and an ``s3://`` prefix."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from multimodal_search.errors import DataError, OutputError
from multimodal_search.storage import s3
from multimodal_search.storage.addresses import S3Address, is_s3, parse_s3
from multimodal_search.storage.local import TEMPORARY_SUFFIX, output_error, write_atomically
from multimodal_search.storage.s3_file import fetch_object
from multimodal_search.storage.store import Store


def open_store(url: str | Path) -> Store:
    """The store of a folder, or of an ``s3://`` prefix; nothing is made or asked for yet.

    Raises:
        SettingsError: it starts as an S3 address and is none.
    """
    if is_s3(url):
        return S3Store(str(parse_s3(str(url))))
    return LocalStore(str(Path(url).expanduser()))


@dataclass(slots=True, unsafe_hash=True)
class LocalStore:
    """Files of one folder, which is made when the first one is written."""

    url: str

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file, replacing one of that name.

        Raises:
            OutputError: the disk is full, or the folder cannot be written to.
        """
        path = self._ready(name)
        with write_atomically(path) as file:
            file.write(content)

    def write_file(self, name: str, path: Path) -> None:
        """Copy a local file of any size.

        Raises:
            OutputError: the disk is full, or the folder cannot be written to.
        """
        target = self._ready(name)
        with path.open("rb") as source, write_atomically(target) as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that must not be there yet; False where it is: one of several callers gets True.

        Raises:
            OutputError: it cannot be written.
        """
        path = self._ready(name)
        whole = path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}{TEMPORARY_SUFFIX}")
        try:
            with write_atomically(whole) as file:
                file.write(content)
            os.link(whole, path)  # a rename would replace
        except FileExistsError:
            return False
        except OSError as error:
            raise output_error(error, path) from error
        finally:
            with contextlib.suppress(OSError):
                whole.unlink(missing_ok=True)
        return True

    def read(self, name: str) -> bytes:
        """The content.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: it cannot be read.
        """
        path = Path(self.url, name)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(f"no such file: {path}") from error
        except OSError as error:
            raise _unreadable(error, path) from error

    def read_file(self, name: str, path: Path) -> None:
        """Copy a file of any size out of the store.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: it cannot be read.
            OutputError: ``path`` cannot be written.
        """
        source = Path(self.url, name)
        try:
            file = source.open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(error, source) from error
        with file, write_atomically(path) as target:
            shutil.copyfileobj(file, target, 1 << 20)

    def names(self, prefix: str = "") -> dict[str, int]:
        """File name -> size in bytes, sorted; without temporary and hidden files."""
        try:
            with os.scandir(self.url) as entries:
                found = {
                    entry.name: entry.stat().st_size
                    for entry in entries
                    if entry.name.startswith(prefix) and not entry.name.startswith(".") and entry.is_file()
                }
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unreadable(error, Path(self.url)) from error
        return dict(sorted(found.items()))

    def remove(self, name: str) -> None:
        """Remove a file; one that is absent is no error.

        Raises:
            OutputError: it may not be removed.
        """
        path = Path(self.url, name)
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise output_error(error, path) from error

    def _ready(self, name: str) -> Path:
        path = Path(self.url, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(error, path.parent) from error
        return path


@dataclass(slots=True, unsafe_hash=True)
class S3Store:
    """Objects under one prefix; reached as ``current_s3`` says in the process that asks."""

    url: str

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write an object, replacing one of that name.

        Raises:
            OutputError: the bucket is missing, S3 refuses, or it has not answered for long.
        """
        s3.write_object(self._address(name), content)

    def write_file(self, name: str, path: Path) -> None:
        """Copy a local file of any size.

        Raises:
            OutputError: the bucket is missing, S3 refuses, or it has not answered for long.
        """
        s3.write_file(self._address(name), path)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that must not be there yet; False where it is: one of several callers gets True.

        Raises:
            OutputError: it cannot be written.
        """
        address = self._address(name)
        if s3.write_object(address, content, only_new=True):
            return True
        # the first try may have been ours, its answer lost
        with contextlib.suppress(FileNotFoundError, DataError):
            return s3.read_whole(address) == content
        return False

    def read(self, name: str) -> bytes:
        """The content.

        Raises:
            FileNotFoundError: there is no such object.
            DataError: the bucket is missing, S3 refuses, or it has not answered for long.
        """
        return s3.read_whole(self._address(name))

    def read_file(self, name: str, path: Path) -> None:
        """Copy an object of any size out of the store.

        Raises:
            FileNotFoundError: there is no such object.
            BundleError: it was replaced meanwhile.
            DataError: the bucket is missing, S3 refuses, or it has not answered for long.
            OutputError: ``path`` cannot be written.
        """
        fetch_object(self._address(name), path)

    def names(self, prefix: str = "") -> dict[str, int]:
        """Name -> size in bytes, sorted, of the objects right under the prefix; without hidden ones.

        Raises:
            OutputError: the bucket is missing, S3 refuses, or it has not answered for long.
        """
        base = self._address("").key
        found = {
            one.key.removeprefix(base): one.size_bytes
            for one in s3.list_objects(self._address(prefix), kind=OutputError, recursive=False)
        }
        return {name: size for name, size in found.items() if name and not name.startswith(".")}

    def remove(self, name: str) -> None:
        """Remove an object; one that is absent is no error.

        Raises:
            OutputError: it may not be removed, or S3 cannot be reached.
        """
        s3.remove_object(self._address(name))

    def _address(self, name: str) -> S3Address:
        bucket, prefix = parse_s3(self.url)
        return S3Address(bucket, f"{prefix}/{name}" if prefix else name)


def _unreadable(error: OSError, path: Path) -> DataError:
    return DataError(
        f"It cannot be read ({error.strerror or error}).", where=path, remedy="check its permissions"
    )
