"""``--path-file FILE``: one path a line, on disk or in a bucket."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from multimodal_search.errors import DataError, SkipInput
from multimodal_search.sources.inputs.folder import file_key
from multimodal_search.sources.inputs.lines import LineFile
from multimodal_search.types import Failure, Input, Modality

_USELESS_LINES = 1000  # so many to begin with, and the list or the flags are wrong


class PathFileInputs:
    """Lines ``<dataset>/real/path``: the id keeps the prefix, the real path lacks it.

    Args:
        lines: the file's lines.
        root: what real paths are relative to: a folder, or ``s3://bucket``.
        on_disk: whether ``root`` is a folder.
        dataset: the prefix, without its slash; None where paths have none.
    """

    kind = "paths"
    modality = Modality.IMAGE

    def __init__(self, lines: LineFile, root: str, *, on_disk: bool, dataset: str | None) -> None:
        self.root = root
        self.failures: list[Failure] = []
        self._lines = lines
        self._on_disk = on_disk
        self._prefix = f"{dataset.rstrip('/')}/" if dataset else ""

    @property
    def count(self) -> int:
        """Lines that are neither blank nor doubles."""
        return self._lines.count

    def __iter__(self) -> Iterator[Input]:
        """In the order of the lines.

        Raises:
            DataError: the first lines are all useless, or no line is of use.
        """
        self.failures.clear()
        useful = False
        for number, line in self._lines:
            try:
                one = self._input(line)
            except SkipInput as skip:
                shown = line[:500].decode("utf-8", "backslashreplace")
                self.failures.append(
                    Failure(shown, None, f"line {number} of {self._lines.path}: {skip.reason}")
                )
                if not useful and len(self.failures) >= _USELESS_LINES:
                    raise self._useless() from None
                continue
            useful = True
            yield one
        if not useful:
            raise self._useless()

    def _input(self, line: bytes) -> Input:
        try:
            written = line.decode()
        except UnicodeDecodeError:
            raise SkipInput("it is not UTF-8") from None
        if "\0" in written:
            raise SkipInput("it holds a NUL character")
        if not written.startswith(self._prefix):
            raise SkipInput(f"it does not start with {self._prefix!r} (--dataset)")
        path = written.removeprefix(self._prefix)
        if not path or path.endswith("/"):
            raise SkipInput("it names no file")
        path = self._inside(path)
        location = f"{self.root}/{path}"
        return Input(written, file_key(location) if self._on_disk else "", location)

    def _inside(self, path: str) -> str:
        """The path below the root.

        Raises:
            SkipInput: it leads out.
        """
        if self._on_disk and path.startswith(f"{self.root}/"):  # written in full
            path = path.removeprefix(f"{self.root}/")
        parts = path.split("/")
        # a key may hold empty parts; dots would be taken out on the way to S3, and the object not be found
        if self._on_disk or "." in parts or ".." in parts:
            path = posixpath.normpath(path)
        if path == ".." or path.startswith("../") or (self._on_disk and path.startswith("/")):
            raise SkipInput(f"it leads out of {self.root}")
        return path

    def _useless(self) -> DataError:
        first = self.failures[0]
        return DataError(
            f"None of the first {len(self.failures)} lines can be used; {first.reason}: {first.id!r}.",
            where=f"--path-file {self._lines.path}",
            remedy="check the file and --dataset: a line is <dataset>/path/below/the/target",
        )


def disk_root(target_dir: Path) -> str:
    """The folder of ``--target-dir``, absolute.

    Raises:
        DataError: it is no folder.
    """
    root = target_dir.resolve()
    if not root.is_dir():
        raise DataError(
            "The folder is a file." if root.exists() else "The folder does not exist.",
            where=f"--target-dir {target_dir}",
            remedy="name the folder that the paths are relative to",
        )
    return str(root).rstrip("/")
