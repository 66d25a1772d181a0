"""``.npy`` and, beside it, ``.ids.txt``: what numpy maps into memory, and whose rows they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.storage import write_atomically
from multimodal_search.tables.reader import FeatureTable

_NPY: Any = np.lib.format  # numpy's stubs have no types for it
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}


def ids_path(path: Path) -> Path:
    """``features.npy`` -> ``features.ids.txt``."""
    return path.with_suffix(".ids.txt")


def write_npy(table: FeatureTable, path: Path) -> None:
    """(rows, dim), or (rows, patches, dim); ids in the order of rows.

    The ids are renamed into place first: the ``.npy`` is there only with them.

    Raises:
        OutputError: the disk is full or not writable.
    """
    shape = (len(table.latest_rows()), *table.info.row_shape)
    description = {
        "descr": _NPY.dtype_to_descr(np.dtype(table.info.dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    with write_atomically(path) as file, write_atomically(ids_path(path)) as ids:
        _NPY.write_array_header_1_0(file, description)
        for columns, vectors in table.blocks():
            file.write(np.ascontiguousarray(vectors).data)
            lines = "".join(f"{escaped(one)}\n" for one in columns["id"].to_pylist())
            ids.write(lines.encode("utf-8"))


def read_ids(path: str | Path) -> list[str]:
    """The ids of ``features.ids.txt``, one a row of ``features.npy``.

    A line break in an id is written as ``\\n`` (``\\r``), and a backslash as two.
    """
    lines = Path(path).read_bytes().decode("utf-8").split("\n")[:-1]
    return [re.sub(r"\\[\\nr]", lambda match: _PLAIN[match[0]], line) for line in lines]


def escaped(one: str) -> str:
    """An id as a line of a file of ids; ``read_ids`` reads it back."""
    return re.sub(r"[\\\n\r]", lambda match: _ESCAPES[match[0]], one)
