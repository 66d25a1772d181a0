"""What a copy of a folder is made of: ``checksums.json`` lists each file's size and SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from multimodal_search.errors import BundleError

SUMS = "checksums.json"
FORMAT_VERSION = 1


class FileSum(NamedTuple):
    """One file; of files that other programs copied to S3 only S3's ``tag`` (a content key) is known."""

    size_bytes: int
    sha256: str | None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """The files of a copy.

    Attributes:
        files: name, with slashes -> what it is.
        whole: False while files are sent: what is listed is there, what is not may be anything.
    """

    files: Mapping[str, FileSum] = field(default_factory=dict)
    whole: bool = True

    def to_bytes(self) -> bytes:
        """As JSON, a line a file."""
        lines = [
            f"{json.dumps(name)}: {json.dumps({k: v for k, v in one._asdict().items() if v is not None})}"
            for name, one in sorted(self.files.items())
        ]
        head = f'{{"format_version": {FORMAT_VERSION}, "whole": {json.dumps(self.whole)}, "files": {{\n'
        return (head + ",\n".join(lines) + "\n}}\n").encode()


def parse_sums(content: bytes, where: object) -> Sums:
    """Read what ``to_bytes`` made.

    Raises:
        BundleError: it is something else.
    """
    try:
        told = json.loads(content)
        files = {
            str(name): FileSum(int(one["size_bytes"]), one.get("sha256"), one.get("tag"))
            for name, one in told["files"].items()
        }
        if int(told["format_version"]) > FORMAT_VERSION:
            raise ValueError(f"format {told['format_version']} is of a later version")
        return Sums(files, bool(told["whole"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{SUMS} cannot be read ({error!r}).", where=where, remedy="send the folder there again"
        ) from error


def sum_of(path: Path) -> FileSum:
    """Of a file, read in pieces."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileSum(file.tell(), digest)


def sum_of_bytes(content: bytes) -> FileSum:
    """Of a content at hand."""
    return FileSum(len(content), hashlib.sha256(content).hexdigest())
