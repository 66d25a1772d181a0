"""Opening a feature table for reading: a folder as it is, an ``s3://`` prefix through a local copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multimodal_search.errors import BundleError
from multimodal_search.storage import is_s3, open_store
from multimodal_search.storage.store import Store
from multimodal_search.tables.format import DamagedPartError, PartInfo, refuse_other_encoder
from multimodal_search.tables.local_copy import LocalCopy
from multimodal_search.tables.manifest import read_manifest
from multimodal_search.tables.parts import compare_checksums, compare_sizes
from multimodal_search.tables.reader import FeatureTable
from multimodal_search.tables.recovery import in_threads


def open_table(
    location: str | Path, *, fingerprint: str | None = None, verify: bool = True, skip_damaged: bool = False
) -> FeatureTable:
    """Open a feature table for reading.

    Args:
        location: the table's folder, or its ``s3://`` prefix: parts that the local copy lacks are fetched.
        fingerprint: of the encoder that asks; another one's table is refused.
        verify: read every part once and compare checksums (about 1 GB/s); sizes are compared always, and
            so are the checksums of fetched parts.
        skip_damaged: leave damaged parts out and list them in ``damaged``, instead of refusing the table.

    Raises:
        BundleError: there is no table, it cannot be understood, or a part is damaged.
        EncoderError: the table was made by another encoder.
        DataError: S3 cannot be reached or refuses.
        OutputError: the local copy cannot be written.
    """
    store = open_store(location)
    try:
        info, parts = read_manifest(store)
    except (FileNotFoundError, DamagedPartError) as error:
        reason = str(error) if isinstance(error, DamagedPartError) else "manifest.json is missing"
        raise BundleError(
            f"There is no whole feature table here: {reason}.",
            where=location,
            remedy="run the command that made it again: it puts the table together from its parts",
        ) from error
    if fingerprint is not None:
        refuse_other_encoder(location, info.fingerprint, fingerprint)
    if is_s3(location):
        copy = LocalCopy(store)
        damaged = _fetch(copy, parts)
    else:
        copy = None
        damaged = _compare(store, parts, checksums=verify)
    if damaged and not skip_damaged:
        raise BundleError(
            f"{len(damaged)} of {len(parts)} parts are damaged: {next(iter(damaged.values()))}.",
            where=location,
            remedy="run the command that made it again: it computes the damaged parts anew",
        )
    whole = [part for part in parts if part.name not in damaged]
    return FeatureTable(store, info, whole, damaged, copy=copy)


def _compare(store: Store, parts: Sequence[PartInfo], *, checksums: bool) -> dict[str, str]:
    """Part -> what is wrong with it."""
    sizes = store.names("part-")

    def look(part: PartInfo) -> str | None:
        try:
            compare_sizes(part, sizes)
            if checksums:
                compare_checksums(store, part)
        except DamagedPartError as error:
            return str(error)
        return None

    return _reasons(parts, list(in_threads(look, parts)))


def _fetch(copy: LocalCopy, parts: Sequence[PartInfo]) -> dict[str, str]:
    """Bring all parts into the local copy: part -> why that is not possible."""

    def look(part: PartInfo) -> str | None:
        try:
            copy.fetch(part)
        except BundleError as error:
            return error.what
        return None

    damaged = _reasons(parts, list(in_threads(look, parts)))
    copy.remove_others(parts)
    return damaged


def _reasons(parts: Sequence[PartInfo], reasons: Sequence[str | None]) -> dict[str, str]:
    return {part.name: why for part, why in zip(parts, reasons, strict=True) if why is not None}
