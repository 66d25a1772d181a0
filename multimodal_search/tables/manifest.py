"""``manifest.json``: which parts are whole, and what all rows share."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from multimodal_search.errors import BundleError
from multimodal_search.storage.store import Store
from multimodal_search.tables.format import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    DamagedPartError,
    PartInfo,
    TableInfo,
)
from multimodal_search.types import EncoderCard

_SECONDS_BETWEEN_SAVES = 60.0
_COST_SHARE = 20  # writing it may take a twentieth of the time


class PartList:
    """The whole parts of a table, and the manifest that lists them."""

    def __init__(self, store: Store, info: TableInfo, parts: Iterable[PartInfo] = ()) -> None:
        self._store = store
        self._info = info
        self._parts = {part.name: part for part in parts}
        self._unlisted = 0
        self._save_seconds = 0.0
        self._saved_at = time.monotonic()

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def __len__(self) -> int:
        return len(self._parts)

    def get(self, name: str) -> PartInfo | None:
        """The part of this name."""
        return self._parts.get(name)

    def sorted(self) -> list[PartInfo]:
        """In the table's order."""
        return sorted(self._parts.values(), key=lambda part: part.order)

    def add(self, part: PartInfo) -> bool:
        """List a part that is whole; returns whether the manifest should be saved now.

        It grows with the table: rewritten for every part, it would cost the square of the parts.
        """
        self._parts[part.name] = part
        self._unlisted += 1
        since = time.monotonic() - self._saved_at
        many = self._unlisted * 16 >= len(self._parts) or since > _SECONDS_BETWEEN_SAVES
        return many and since >= _COST_SHARE * self._save_seconds

    def save(self) -> None:
        """Write the manifest.

        Raises:
            OutputError: it cannot be written.
        """
        start = time.monotonic()
        write_manifest(self._store, self._info, self.sorted())
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - start
        self._unlisted = 0


def describe(info: TableInfo) -> dict[str, Any]:
    """What all rows share, JSON-ready."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "card": info.card.to_json() if info.card else None,
        "fingerprint": info.fingerprint,
        "pool": info.card.pool if info.card else None,
        "normalised": info.normalised,
        "dtype": info.dtype,
        "dim": info.dim,
        "patches": info.patches,
        "source": dict(info.source),
        "settings": dict(info.settings),
    }


def write_manifest(store: Store, info: TableInfo, parts: Sequence[PartInfo]) -> None:
    """Write ``manifest.json``; only whole parts may be listed.

    Raises:
        OutputError: it cannot be written.
    """
    head = {**describe(info), "rows": sum(part.rows for part in parts)}
    text = json.dumps(head, ensure_ascii=False, indent=2, allow_nan=False).removesuffix("\n}")
    listed = ",\n".join(
        f"    {json.dumps(asdict(part))}" for part in parts
    )  # a part a line: many stay readable
    body = f'{text},\n  "parts": [\n{listed}\n  ]\n}}\n' if parts else f'{text},\n  "parts": []\n}}\n'
    # a lone surrogate (a file name that is not UTF-8) becomes its JSON escape
    store.write(MANIFEST, body.encode("utf-8", "backslashreplace"))


def read_manifest(store: Store) -> tuple[TableInfo, list[PartInfo]]:
    """What the manifest says; nothing is compared with the parts yet.

    Raises:
        FileNotFoundError: there is no manifest.
        DamagedPartError: it cannot be understood; the parts can still be read without it.
        BundleError: it was written by a newer version.
        DataError: the store cannot be reached.
    """
    raw = store.read(MANIFEST)
    try:
        data = json.loads(raw)
        if data["format"] != FORMAT:
            raise DamagedPartError(f"{MANIFEST} is of format {data['format']!r}, expected {FORMAT!r}")
        if data["format_version"] > FORMAT_VERSION:
            raise BundleError(
                f"The feature table's format is {data['format_version']}, newest known {FORMAT_VERSION}.",
                where=store.url,
                remedy="upgrade multimodal-search, or remove this folder and run again: "
                "the features are computed anew",
            )
        info = TableInfo(
            fingerprint=data["fingerprint"],
            dim=data["dim"],
            card=EncoderCard.from_json(data["card"]) if data["card"] else None,
            normalised=data["normalised"],
            dtype=data["dtype"],
            source=data["source"],
            settings=data["settings"],
            patches=data.get("patches"),
        )
        return info, [PartInfo(**part) for part in data["parts"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedPartError(f"{MANIFEST} lacks or misnames a field: {error}") from error
    except BundleError:  # a ValueError too, and meant for the user
        raise
    except ValueError as error:
        raise DamagedPartError(f"{MANIFEST} is not valid JSON: {error}") from error


def table_digest(info: TableInfo, parts: Sequence[PartInfo]) -> str:
    """What changes when any row of a table, or what they share, does."""
    listed = [(part.name, part.sequence, part.vectors_sha256, part.rows_sha256) for part in parts]
    return hashlib.sha256(json.dumps([describe(info), listed], sort_keys=True).encode()).hexdigest()
