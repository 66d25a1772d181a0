"""Rows of a table that people write by hand or export: each with the place that an error message needs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from multimodal_search.errors import DataError
from multimodal_search.sources.paths import Place
from multimodal_search.storage import read_bytes

Row = tuple[str, Mapping[str, Any]]
_SHOWN = 5  # faulty lines named in one message


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's columns, and its rows as (where, column -> value)."""

    file: Place
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def read_rows(file: Place) -> Rows:
    """A CSV (comma or semicolon), TSV, JSON lines or Parquet file, told apart by its suffix.

    Args:
        file: a path, or an ``s3://`` address, which is read as one object.

    Raises:
        DataError: the file is missing, of another kind, not UTF-8, or malformed (with line numbers); or S3
            cannot be reached or refuses.
    """
    if isinstance(file, Path) and file.is_dir():
        raise DataError(
            f"{file} is a folder, not a file of pairs.",
            where="--pairs",
            remedy="give the .csv, .tsv, .jsonl or .parquet file; a folder of scenes goes to --data-dir",
        )
    if isinstance(file, Path) and not file.is_file():
        raise _missing(file)
    readers = {
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".tab": _read_csv,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".parquet": _read_parquet,
        ".pq": _read_parquet,
    }
    reader = readers.get(_suffix(file))
    if reader is None:
        raise DataError(
            f"{_suffix(file) or 'A file without a suffix'} is no format of pairs.",
            where=file,
            remedy="use .csv, .tsv, .jsonl or .parquet",
        )
    try:
        return reader(file, read_bytes(file))
    except FileNotFoundError as error:
        raise _missing(file) from error
    except OSError as error:
        raise DataError(f"The file cannot be read: {error}.", where=file, remedy="check the file") from error


def _missing(file: Place) -> DataError:
    return DataError(f"The file {file} does not exist.", where="--pairs", remedy="check the path")


def _suffix(file: Place) -> str:
    return PurePosixPath(file).suffix.lower()


def _text(file: Place, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"The file is not UTF-8 (line {line}, byte {error.start}).",
            where=f"{file}:{line}",
            remedy="save it as UTF-8 (in Excel: 'CSV UTF-8')",
        ) from error


def _read_csv(file: Place, content: bytes) -> Rows:
    text = _text(file, content)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(file, text), strict=True)
    columns: tuple[str, ...] | None = None
    rows: list[Row] = []
    faulty: list[str] = []
    start = 1
    try:
        for values in reader:
            line, start = start, reader.line_num + 1
            if not any(value.strip() for value in values):
                continue
            if columns is None:
                columns = _unique(tuple(value.strip() for value in values), file)
            elif len(values) != len(columns):
                faulty.append(f"line {line} has {len(values)}")
            else:
                rows.append((f"{file}, line {line}", dict(zip(columns, values, strict=True))))
    except csv.Error as error:
        raise DataError(
            f"Line {start} is malformed: {error}.",
            where=f"{file}:{start}",
            remedy='put values that hold quotes, separators or newlines in "quotes", doubling inner quotes',
        ) from error
    if faulty:
        more = f" and {len(faulty) - _SHOWN} more" if len(faulty) > _SHOWN else ""
        raise DataError(
            f"{len(columns or ())} columns, but {', '.join(faulty[:_SHOWN])}{more}.",
            where=file,
            remedy='put values that hold the separator in "quotes"',
        )
    return Rows(file, columns or (), tuple(rows))


def _delimiter(file: Place, text: str) -> str:
    if _suffix(file) != ".csv":
        return "\t"
    header = text.lstrip().partition("\n")[0]
    return max(",;\t", key=header.count)  # Excel writes semicolons where the comma is the decimal sign


def _unique(columns: tuple[str, ...], file: Place) -> tuple[str, ...]:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(
            f"Columns of the same name: {', '.join(map(repr, twice))}.",
            where=file,
            remedy="give every column a name of its own",
        )
    return columns


def _read_json_lines(file: Place, content: bytes) -> Rows:
    columns: dict[str, None] = {}
    rows: list[Row] = []
    # not splitlines, which also cuts at U+2028 inside a text
    for number, line in enumerate(_text(file, content).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"Line {number} is not valid JSON: {error.msg} (line {number}, column {error.colno}).",
                where=f"{file}:{number}:{error.colno}",
                remedy="one JSON object a line",
            ) from error
        except (RecursionError, ValueError) as error:
            raise DataError(
                f"Line {number} cannot be read: {error}.", where=where, remedy="correct it"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"Line {number} is not an object.", where=where, remedy="one JSON object a line")
        columns.update(dict.fromkeys(row))
        rows.append((where, row))
    return Rows(file, tuple(columns), tuple(rows))


def _read_parquet(file: Place, content: bytes) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content)) as opened:
            table = opened.read()
    except (pyarrow.ArrowException, EOFError) as error:
        raise DataError(
            f"The file is no whole Parquet file: {error}.", where=file, remedy="write it again"
        ) from error
    columns = _unique(tuple(table.column_names), file)
    rows = tuple((f"{file}, row {index}", row) for index, row in enumerate(table.to_pylist()))
    return Rows(file, columns, rows)
