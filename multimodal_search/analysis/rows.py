"""Which rows can be analysed, what is known of them, and what other files say of them by id."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.filters.fields import flatten
from multimodal_search.storage import write_atomically
from multimodal_search.tables.vectors import VectorSet

LEFT_OUT_FILE = "left_out.csv"
_TEXT_COLUMNS = ("text", "description", "caption", "texts")
_ID_COLUMNS = ("id", "specimen_id")


@dataclass(frozen=True, slots=True)
class Left:
    """A row that has no place anywhere: not finite, or zero."""

    id: str
    reason: str


def usable_rows(vectors: VectorSet) -> tuple[VectorSet, list[Left]]:
    """The rows that have neighbours, and the others with the reason.

    Raises:
        DataError: there is no usable row.
    """
    usable = vectors.usable()
    if not len(vectors):
        raise DataError("There are no rows.", where=vectors.location, remedy="embed something first")
    bad = np.flatnonzero(~usable)
    finite = np.isfinite(vectors.gather(bad)).all(axis=1) if len(bad) else np.zeros(0, dtype=np.bool_)
    left = [
        Left(vectors.ids[row], "zero" if whole else "not finite")
        for row, whole in zip(bad.tolist(), finite.tolist(), strict=True)
    ]
    if not usable.any():
        raise DataError(
            f"All {len(vectors)} rows are zero or not finite.",
            where=vectors.location,
            remedy="look at what made them",
        )
    return (vectors.select(np.flatnonzero(usable)) if left else vectors), left


def write_left_out(folder: Path, left: Sequence[Left]) -> None:
    """``left_out.csv`` (id, reason); an older one goes where nothing was left out.

    Raises:
        OutputError: the file cannot be written.
    """
    path = folder / LEFT_OUT_FILE
    if not left:
        path.unlink(missing_ok=True)
        return
    write_csv(path, ["id", "reason"], [[one.id, one.reason] for one in left])


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A CSV file, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    with write_atomically(path, "w") as file:
        file.write(text.getvalue())


def field_values(columns: pa.Table | None, name: str) -> list[Any]:
    """A value a row of a column or of a key of the metadata; None where a row lacks it.

    Raises:
        SettingsError: no row has this field.
    """
    if columns is None:
        raise SettingsError(
            f"No row has a field {name!r}.", remedy="these vectors have no metadata: a feature table has"
        )
    column = flatten(columns).column(name)
    found: list[Any] = [None] * column.rows
    for values in column.kinds.values():
        for row, value in enumerate(values.to_pylist()):
            if value is not None:
                found[row] = value
    return found


def texts_of(vectors: VectorSet) -> list[str] | None:
    """A text a row ("" where it has none) from the first column of texts; None without such a column."""
    names = [] if vectors.columns is None else flatten(vectors.columns).names
    for name in _TEXT_COLUMNS:
        if name in names:
            values = [
                " ".join(str(one).split()) if one else "" for one in field_values(vectors.columns, name)
            ]
            if any(values):
                return values
    return None


def read_by_id(path: Path, column: str) -> dict[str, str]:
    """``id -> value`` of a CSV file with a header.

    Args:
        column: name of the column of values; where there are only two columns, the second is taken.

    Raises:
        DataError: no such file, no such columns, an id twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"The file cannot be read: {reason}.", where=path, remedy="a CSV in UTF-8") from error
    header = rows[0] if rows else []
    own = next((header.index(one) for one in _ID_COLUMNS if one in header), None)
    value = header.index(column) if column in header else (1 if len(header) == 2 else None)
    if own is None or value is None or own == value:
        raise DataError(
            f"The columns are {', '.join(header) or 'none'}.", where=path, remedy=f"a header: id,{column}"
        )
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) <= max(own, value):
            raise DataError(f"Line {number} has {len(row)} fields.", where=path, remedy=f"id and {column}")
        if row[own] in found:
            raise DataError(f"The id {row[own]!r} stands there twice.", where=path, remedy="make ids unique")
        found[row[own]] = row[value]
    return found
