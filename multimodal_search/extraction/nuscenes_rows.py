"""Rows of a nuScenes table, one after another: the tables of trainval hold gigabytes and millions of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from multimodal_search.errors import DataError

Row = dict[str, Any]
T = TypeVar("T")
_CHUNK_CHARACTERS = 4_000_000
_LONGEST_ROW_CHARACTERS = 4 * _CHUNK_CHARACTERS
_BETWEEN = re.compile(r"[\s,]*")
REMEDY = "unpack the version's metadata again, or correct the converter that wrote it"


def stream_rows(path: Path, advance: Callable[[int], object] = lambda _: None) -> Iterator[Row]:
    """The objects of a JSON list, without holding the list.

    Args:
        path: the table.
        advance: told how many characters were read, now and then.

    Raises:
        DataError: not a list of objects, cut short, or damaged; says at which record.
    """
    decoder, count, position, buffer = json.JSONDecoder(), 0, 0, ""
    try:
        with path.open(encoding="utf-8-sig") as file:
            buffer = file.read(_CHUNK_CHARACTERS)
            advance(len(buffer))
            position = _opened(buffer, path)
            while True:
                between = _BETWEEN.match(buffer, position)
                position = between.end() if between else position
                try:
                    row, position = decoder.raw_decode(buffer, position)
                except json.JSONDecodeError as error:
                    if buffer.startswith("]", position):
                        return
                    more = file.read(_CHUNK_CHARACTERS)
                    if not more or len(buffer) - position > _LONGEST_ROW_CHARACTERS:
                        raise _damaged(path, count, error, buffer) from error
                    advance(len(more))
                    buffer, position = buffer[position:] + more, 0
                    continue
                if not isinstance(row, dict):
                    raise DataError(f"Record {count} of {path.name} is no object.", where=path, remedy=REMEDY)
                count += 1
                yield row
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read: {error}.", where=path, remedy=REMEDY) from error


def _opened(buffer: str, path: Path) -> int:
    start = len(buffer) - len(buffer.lstrip())
    if not buffer.startswith("[", start):
        what = "is empty" if start == len(buffer) else "holds no list"
        raise DataError(f"{path.name} {what}.", where=path, remedy=REMEDY)
    return start + 1


def _damaged(path: Path, count: int, error: json.JSONDecodeError, buffer: str) -> DataError:
    if error.pos >= len(buffer.rstrip()) or error.msg.startswith("Unterminated"):
        what = f"{path.name} ends in the middle, after {count} whole records: it was cut short"
    else:
        what = f"{path.name} is not valid JSON: {error.msg}, in record {count} (counting from 0)"
    return DataError(f"{what}.", where=path, remedy=REMEDY)


def value(row: Row, key: str, table: Path) -> Any:
    """A field that a row must have.

    Raises:
        DataError: it does not; says which row.
    """
    if key not in row:
        raise disagree(row, table, f"it has no {key!r}")
    return row[key]


def lookup(known: Mapping[Any, T], row: Row, key: str, table: Path, other: str) -> T:
    """What a row's token points to, in another table.

    Raises:
        DataError: nothing; says which token.
    """
    try:
        return known[row[key]]
    except (KeyError, TypeError):
        token = value(row, key, table)
    raise disagree(row, table, f"its {key} {token!r} is in no row of {other}.json")


def disagree(row: Row, table: Path, what: str) -> DataError:
    """The error of a row that does not fit: says which."""
    return DataError(
        f"The tables do not agree: {table.name}, row {row.get('token')!r}: {what}.",
        where=table,
        remedy=REMEDY,
    )
