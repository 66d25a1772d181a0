"""The lines of a large text file: counted, cut to a range, doubles known; never all held."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.sources.paths import Place
from multimodal_search.storage import content_key, is_s3, open_object

_log = logging.getLogger(__name__)
_LONGEST_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 20
_HASHES_A_PIECE = 1 << 16
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class LineFile:
    """The lines ``start .. end - 1`` of a file, counted from 0, without blank ones and doubles.

    It is read once to know how many lines there are and which of them repeat an earlier one, and then again
    each time it is iterated. A line takes 8 bytes of memory while doubles are looked for, and a bit later on.

    Args:
        path: the file, or an ``s3://`` address: its object is read a piece at a time.
        flag: which flag named it, for messages.
        start: first line.
        end: the line after the last one; None is the end of the file.
        content: what of a line counts, from its bytes without white space at the ends.

    Attributes:
        path: the file.
        count: lines that are neither blank nor doubles.
        doubles: how many were left out as such.

    Raises:
        DataError: absent, unreadable, no text, or empty; S3 cannot be reached or refuses.
        SettingsError: the range does not lie in the file.
    """

    def __init__(
        self,
        path: Place,
        flag: str,
        *,
        start: int = 0,
        end: int | None = None,
        content: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.path: Place = path if is_s3(path) else Path(path)
        self._flag = flag
        self._content = content
        self._start = start
        with self._open() as file:
            self._stamp = self._content_key(file)
            self._refuse_utf16(file)
            n_lines = _count_lines(file)
            self._end = self._checked_end(start, end, n_lines)
            file.seek(0)
            for _ in islice(self._lines(file), start):
                pass
            self._offset = file.tell()
            hashes = self._hashes(file)
        repeats = _repeats(hashes)
        self.doubles = int(repeats.sum())
        self.count = len(repeats) - self.doubles
        self._repeats = np.packbits(repeats)
        if self.doubles:
            _log.warning("%s: %d lines repeat an earlier one and are left out", path, self.doubles)
        if not self.count:
            raise DataError("The lines are all blank.", where=self._where(), remedy="choose other lines")

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Line number, counted from 0, and content.

        Raises:
            DataError: the file has changed meanwhile, or cannot be read any more; or S3 is away.
        """
        seen = 0  # lines that are not blank
        with self._open() as file:
            if self._content_key(file) != self._stamp:
                raise DataError(
                    "The file has changed while it was read.", where=self.path, remedy="run again"
                )
            file.seek(self._offset)
            for number, content in self._contents(file):
                repeated = self._repeats[seen >> 3] >> (7 - (seen & 7)) & 1
                seen += 1
                if not repeated:
                    yield number, content

    def _contents(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        lines = islice(self._lines(file), self._end - self._start)
        for number, line in enumerate(lines, start=self._start):
            if number == 0:
                line = line.removeprefix(_UTF8_MARK)
            content = self._content(line.strip())
            if content:
                yield number, content

    def _hashes(self, file: IO[bytes]) -> npt.NDArray[np.int64]:
        """(lines with content,) Python's own hash, salted anew in each process: it never leaves this one."""
        pieces: list[npt.NDArray[np.int64]] = []
        contents = self._contents(file)
        while piece := [hash(content) for _, content in islice(contents, _HASHES_A_PIECE)]:
            pieces.append(np.array(piece, dtype=np.int64))
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)

    def _lines(self, file: IO[bytes]) -> Iterator[bytes]:
        while line := file.readline(_LONGEST_BYTES):
            if len(line) == _LONGEST_BYTES:
                raise DataError(
                    f"A line is longer than {_LONGEST_BYTES} bytes: this is no list.",
                    where=self._where(),
                    remedy="give a text file with one entry a line",
                )
            yield line

    def _checked_end(self, start: int, end: int | None, n_lines: int) -> int:
        if not n_lines:
            raise DataError("The file is empty.", where=self._where(), remedy="write one entry a line")
        if end is not None and end <= start:
            raise SettingsError(
                f"--end-line {end} does not come after --start-line {start}.",
                where=self.path,
                remedy="lines count from 0, and the end is the line after the last one",
            )
        if start >= n_lines or (end is not None and end > n_lines):
            wrong = f"--start-line {start}" if start >= n_lines else f"--end-line {end}"
            raise SettingsError(
                f"{wrong} lies outside the file, which has {n_lines} lines.",
                where=self.path,
                remedy=f"lines count from 0: --start-line is at most {n_lines - 1}, --end-line {n_lines}",
            )
        return n_lines if end is None else end

    def _refuse_utf16(self, file: IO[bytes]) -> None:
        if file.read(2) in _UTF16_MARKS:
            raise DataError("The file is UTF-16.", where=self._where(), remedy="save it as UTF-8")

    def _open(self) -> IO[bytes]:
        try:
            return open_object(str(self.path))[0] if is_s3(self.path) else Path(self.path).open("rb")
        except OSError as error:
            what = (
                "does not exist"
                if isinstance(error, FileNotFoundError)
                else f"cannot be read: {error.strerror}"
            )
            raise DataError(f"The file {what}.", where=self._where(), remedy="check the path") from error

    def _content_key(self, file: IO[bytes]) -> str:
        if is_s3(self.path):
            return content_key(self.path)
        status = os.fstat(file.fileno())
        return f"{status.st_size}:{status.st_mtime_ns}"

    def _where(self) -> str:
        return f"{self._flag} {self.path}"


def _count_lines(file: IO[bytes]) -> int:
    file.seek(0)
    count, last = 0, b"\n"
    while block := file.read(_BLOCK_BYTES):
        count += block.count(b"\n")
        last = block[-1:]
    return count + (last != b"\n")


def _repeats(hashes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(n,) whether a hash was there before."""
    repeats = np.zeros(len(hashes), dtype=bool)
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        candidates = np.flatnonzero(np.isin(hashes, twice))
        _, first = np.unique(hashes[candidates], return_index=True)
        repeats[candidates] = True
        repeats[candidates[first]] = False
    return repeats
