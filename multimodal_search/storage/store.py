"""A flat place for whole files, in a local folder or under an ``s3://`` prefix."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Files that are either whole or absent. Picklable; safe to use from several threads and processes.

    Attributes:
        url: the folder's path or the ``s3://`` prefix.
    """

    url: str

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file, replacing one of that name.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def write_file(self, name: str, path: Path) -> None:
        """Copy a local file of any size into the store, without holding it in memory, as ``write`` does.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that must not be there yet; False where it is: one of several callers gets True.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def read(self, name: str) -> bytes:
        """The content.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the store cannot be reached.
        """
        ...

    def read_file(self, name: str, path: Path) -> None:
        """Copy a file of any size out of the store, without holding it in memory; ``path`` appears whole.

        Raises:
            FileNotFoundError: there is no such file.
            BundleError: it was replaced meanwhile.
            DataError: the store cannot be reached.
            OutputError: ``path`` cannot be written.
        """
        ...

    def names(self, prefix: str = "") -> dict[str, int]:
        """File name -> size in bytes, of the names that start so; without temporary and hidden files."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; one that is absent is no error."""
        ...
