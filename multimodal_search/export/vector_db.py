"""``vector_db.json``: one entry a modality a moment, streamed, for any program that reads JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from multimodal_search.export.moments import MomentVectors, describe
from multimodal_search.storage import write_atomically
from multimodal_search.types import FloatArray, Item, Modality

FILE = "vector_db.json"
_DECIMALS = 7
_BLOCK_ROWS = 512


def write_vector_db(path: Path, items: Sequence[Item], vectors: Mapping[Modality, MomentVectors]) -> int:
    """Write the database, entry by entry; what is held in memory does not grow with the data.

    Each entry has ``id``, ``scene_id``, ``type``, ``text``, ``image_path``, where known ``location``,
    ``timestamp_us`` and ``metadata``, and ``vec`` (7 decimals: 5e-8 at most from the vector searched).

    Returns:
        How many entries were written.

    Raises:
        OutputError: the disk is full or not writable; an older file stays as it was.
    """
    count = 0
    with write_atomically(path) as file:
        file.write(b"[")
        for entry in _entries(items, vectors):
            file.write(b",\n" if count else b"\n")
            file.write(entry)
            count += 1
        file.write(b"\n]\n")
    return count


def _entries(items: Sequence[Item], vectors: Mapping[Modality, MomentVectors]) -> Iterator[bytes]:
    for start in range(0, len(items), _BLOCK_ROWS):
        block = range(start, min(start + _BLOCK_ROWS, len(items)))
        texts = {}
        for modality, one in vectors.items():
            rows = one.rows[block.start : block.stop]
            written = iter(format_rows(one.vectors[rows[rows >= 0]]))
            texts[modality] = [next(written) if row >= 0 else None for row in rows]
        for place, index in enumerate(block):
            known = describe(items[index])
            for modality, of_block in texts.items():
                vec = of_block[place]
                if vec is None:
                    continue
                head = json.dumps({**known, "type": modality.value}, ensure_ascii=False, allow_nan=False)
                # a lone surrogate (a file name that is not UTF-8) becomes its JSON escape
                yield head[:-1].encode("utf-8", "backslashreplace") + b', "vec": ' + vec + b"}"


def format_rows(vectors: FloatArray) -> list[bytes]:
    """A JSON array a row, all digits of a block made at once (``benchmarks/vector_db.py`` has the times).

    Args:
        vectors: (rows, dim), finite, between -9 and 9.

    A number takes a fixed width, ``-0.1234567`` or `` 0.1234567``; JSON allows the space.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    if not np.all(np.abs(wide) < 9):  # false for NaN as well
        raise ValueError("vectors must be finite and between -9 and 9 to be written with a fixed width")
    scaled = np.rint(wide * 10**_DECIMALS).astype(np.int64)
    rows, dim = scaled.shape
    text = np.full((rows, dim, _DECIMALS + 4), ord(","), dtype=np.uint8)
    text[:, :, 0] = np.where(scaled < 0, ord("-"), ord(" "))
    text[:, :, 2] = ord(".")
    rest = np.abs(scaled)
    for place in range(_DECIMALS, 0, -1):
        rest, digit = np.divmod(rest, 10)
        text[:, :, 2 + place] = digit + ord("0")
    text[:, :, 1] = rest + ord("0")
    flat = text.reshape(rows, dim * (_DECIMALS + 4))
    # the last comma of a row is left out
    return [b"[" + row[:-1].tobytes() + b"]" for row in flat]
