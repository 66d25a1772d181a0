"""``--text-file FILE``: one text a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multimodal_search.errors import DataError
from multimodal_search.sources.identity import text_key
from multimodal_search.sources.inputs.lines import LineFile
from multimodal_search.sources.paths import Place
from multimodal_search.storage import is_s3
from multimodal_search.types import Failure, Input, Modality


class TextFileInputs:
    """The id of a row is its text, without white space at the ends: as training asks for it.

    Args:
        path: the file or ``s3://`` object, UTF-8.

    Raises:
        DataError: absent, unreadable, empty; S3 cannot be reached or refuses.
    """

    kind = "texts"
    modality = Modality.TEXT

    def __init__(self, path: Place) -> None:
        self.root = str(path if is_s3(path) else Path(path).resolve())
        self.failures: list[Failure] = []
        self._lines = LineFile(path, "--text-file", content=_stripped)

    @property
    def count(self) -> int:
        """Lines that are neither blank nor doubles."""
        return self._lines.count

    def __iter__(self) -> Iterator[Input]:
        """In the order of the lines.

        Raises:
            DataError: no line is UTF-8.
        """
        self.failures.clear()
        for number, line in self._lines:
            try:
                text = line.decode()
            except UnicodeDecodeError:
                shown = line[:500].decode("utf-8", "backslashreplace")
                self.failures.append(Failure(shown, None, f"line {number} of {self.root} is not UTF-8"))
            else:
                yield Input(text, text_key(text))
        if len(self.failures) == self._lines.count:
            raise DataError("No line is UTF-8.", where=f"--text-file {self.root}", remedy="save it as UTF-8")


def _stripped(line: bytes) -> bytes:
    """Without the white space of any script at its ends; bytes that are not UTF-8 stay as they are."""
    return line.decode("utf-8", "surrogateescape").strip().encode("utf-8", "surrogateescape")
