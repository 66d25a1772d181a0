"""What a feature table consists of: names of its files, what all rows share, what is known of a part.

::

    part-<hash>.npy              (rows, dim) or (rows, patches, dim), float16 or float32
    part-<hash>.failures.jsonl   inputs of this part without a row, and why; only where there are any
    part-<hash>.parquet          id, key, metadata columns of its rows; written last: the part counts by it
    manifest.json                encoder, settings, and the whole parts with sizes and checksums
    failures.jsonl               inputs without a row, of all parts
    written.json                 which single files were made of which state of the table

A part's name is a hash of the inputs it was planned with, and its parquet file carries the checksums of the
others: a table whose manifest is lost, or is behind its parts after a kill, is put together from its parts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from multimodal_search.errors import BundleError, EncoderError
from multimodal_search.types import EncoderCard

FORMAT = "multimodal_search.feature_table"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
FAILURES = "failures.jsonl"
WRITTEN = "written.json"
VECTORS_SUFFIX = ".npy"
ROWS_SUFFIX = ".parquet"
FAILURES_SUFFIX = ".failures.jsonl"
ROWS_PER_GENERATION = 10**9
_BINDING_SETTINGS = ("precision", "decode", "hash")
_FILE = re.compile(r"(part-[0-9a-f]{16}(?:-[0-9]+)?(?:-[0-9a-f]{8})?)(\.npy|\.failures\.jsonl|\.parquet)")


@dataclass(frozen=True, slots=True)
class TableInfo:
    """What all rows of a table have in common.

    Attributes:
        fingerprint: of the encoder (and projector) that made the vectors.
        dim: length of a vector.
        card: of the encoder, None for vectors that no single encoder made.
        normalised: whether vectors have length 1.
        source: which data the rows come from, for people.
        settings: how they were made; ``precision``, ``decode`` and ``hash`` bind later runs.
        patches: vectors a row, for patch grids; None where a row is one vector.
    """

    fingerprint: str
    dim: int
    card: EncoderCard | None = None
    normalised: bool = True
    dtype: Literal["float32", "float16"] = "float32"
    source: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    patches: int | None = None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """(dim,) or (patches, dim)."""
        return (self.dim,) if self.patches is None else (self.patches, self.dim)

    @property
    def binding(self) -> dict[str, Any]:
        """What a run must share with a table to add rows to it."""
        return {
            "fingerprint": self.fingerprint,
            "pool": self.card.pool if self.card else None,
            "dim": self.dim,
            "patches": self.patches,
            "dtype": self.dtype,
            "normalised": self.normalised,
            **{name: self.settings.get(name) for name in _BINDING_SETTINGS},
        }


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One part as the manifest lists it.

    Attributes:
        name: its files' name, without the suffix.
        rows: how many it holds; 0 where all its inputs failed.
        sequence: ``generation * 10**9 + place in the plan``; of two rows with one id, the later part's holds.
        inputs: how many it was planned with; other parts hold those that are neither rows nor failures here.
        failures: inputs that have no row, and why, is in a file of their own.
    """

    name: str
    rows: int
    vectors_bytes: int
    vectors_sha256: str
    rows_bytes: int
    rows_sha256: str
    sequence: int
    inputs: int = 0
    failures: int = 0
    failures_bytes: int = 0
    failures_sha256: str = ""

    @property
    def generation(self) -> int:
        """0, and 1 more for each time that the content behind its ids had changed."""
        return self.sequence // ROWS_PER_GENERATION

    @property
    def order(self) -> tuple[int, str]:
        """Sorts parts into the table's order."""
        return self.sequence, self.name

    @property
    def files(self) -> list[tuple[str, int, str]]:
        """(file name, bytes, SHA-256) of its files."""
        files = [
            (self.name + VECTORS_SUFFIX, self.vectors_bytes, self.vectors_sha256),
            (self.name + ROWS_SUFFIX, self.rows_bytes, self.rows_sha256),
        ]
        if self.failures:
            files.append((self.name + FAILURES_SUFFIX, self.failures_bytes, self.failures_sha256))
        return files


class DamagedPartError(Exception):
    """A part (or the manifest) that is not whole; the reason is for the warning."""


def part_name(ids: Sequence[str], keys: Sequence[str]) -> str:
    """The name of the part that is planned with these inputs in this order."""
    digest = hashlib.sha256()
    for texts in (ids, keys):
        for text in texts:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little"))
            digest.update(raw)
    return f"part-{digest.hexdigest()[:16]}"


def stored_name(name: str, sequence: int, tried: Sequence[str] | None) -> str:
    """The name of a planned part's files.

    One plan can lead to several parts, of which none may replace another: content may change and change back,
    and a part may hold only the inputs that other parts lacked.

    Args:
        tried: the inputs that became rows or failures; None for all that were planned.
    """
    generation = sequence // ROWS_PER_GENERATION
    if tried is None:
        return f"{name}-{generation}" if generation else name
    return f"{name}-{generation}-{part_name(sorted(tried), ()).removeprefix('part-')[:8]}"


def part_of_file(file_name: str) -> str | None:
    """Which part's file this is, None for one that is no part's."""
    match = _FILE.fullmatch(file_name)
    return match.group(1) if match else None


def refuse_other_encoder(where: object, found: str, asked: str, differing: str = "") -> None:
    """Raise EncoderError unless the two fingerprints are the same."""
    if found != asked:
        also = f"; it has {differing}" if differing else ""
        raise EncoderError(
            f"The feature table was made by another encoder ({found[:12]}, this one is {asked[:12]}{also}).",
            where=where,
            remedy="use the encoder that made it, or another folder: their vectors cannot be compared",
        )


def refuse_other_table(where: object, found: Mapping[str, Any], info: TableInfo) -> None:
    """Compare what is there with what is to be added (``TableInfo.binding``).

    Raises:
        EncoderError: another encoder made what is there.
        BundleError: something else differs.
    """
    compared = {name: wanted for name, wanted in info.binding.items() if name != "fingerprint"}
    if compared["pool"] is None or found.get("pool") is None:  # vectors without a card
        del compared["pool"]
    differing = [
        f"{name} {found.get(name)!r}, not {wanted!r}"
        for name, wanted in compared.items()
        if found.get(name) != wanted
    ]
    refuse_other_encoder(where, str(found["fingerprint"]), info.fingerprint, "; ".join(differing))
    if differing:
        raise BundleError(
            f"The feature table here has {'; '.join(differing)}.",
            where=where,
            remedy="use the flags that it was made with, another output, or --overwrite to start again",
        )
