"""From a source and its frozen encoders to the features of all moments: what training reads."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.embedding.given import GivenTable
from multimodal_search.embedding.images import decode
from multimodal_search.embedding.pipeline import ROWS_PER_PART, Row, embed_rows, missing_rows
from multimodal_search.embedding.reading import MAX_BYTES
from multimodal_search.embedding.wanted import Wanted, wanted_rows
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import BundleError, DataError, SkipInput
from multimodal_search.sources.base import Source
from multimodal_search.sources.identity import text_key
from multimodal_search.storage import S3_THREADS, is_s3, read_object
from multimodal_search.tables import FeatureTable, TableInfo, TableWriter, open_table
from multimodal_search.types import Failure, FeatureSet, Item, Modality, MomentFeatures

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Job:
    """What all modalities share."""

    source: Source
    features_dir: Path
    batch_size: int
    num_workers: int
    rows_per_part: int
    progress: bool


def collect(
    source: Source,
    encoders: Mapping[Modality, FrozenEncoder],
    *,
    features_dir: str | Path,
    given: Mapping[Modality, GivenTable] | None = None,
    cameras: Sequence[str] = ("CAM_FRONT",),
    batch_size: int = 32,
    num_workers: int = 2,
    rows_per_part: int = ROWS_PER_PART,
    progress: bool = True,
) -> MomentFeatures:
    """Every input of every item, embedded once; what an earlier run embedded is found again.

    An item's rows are the pictures of the chosen cameras, each of its descriptions, and its signal. Items
    left without a picture and a signal are dropped, unless text is all that was asked for.

    Args:
        encoders: which modalities to embed, and with what.
        features_dir: where feature tables are kept; each has its own folder, named by encoder and data.
        given: tables made before, which are read in place of encoding; what they lack is left out.
        cameras: of ``item.images``, the primary one first; ``("all",)`` for all of them.
        batch_size: inputs a forward pass.
        num_workers: threads that decode images.

    Returns:
        The items that are left, one feature set for each modality that has rows, and all inputs skipped.

    Raises:
        DataError: no item is left, or a given table lacks more than half of the inputs.
        EncoderError: an encoder fails on everything.
        OutputError: the features cannot be written.
    """
    job = _Job(source, Path(features_dir), batch_size, num_workers, rows_per_part, progress)
    items = source.items()
    failures = list(source.failures)
    located: dict[Modality, _Located] = {}
    given = given or {}
    makers: dict[Modality, FrozenEncoder | GivenTable] = {**encoders, **given}
    for modality in (Modality.IMAGE, Modality.TIMESERIES, Modality.TEXT):
        if modality not in makers:
            continue
        if modality is Modality.TEXT and len(makers) > 1:
            # texts last: those of items without a picture or a signal need no vector
            items, located = _keep_items(items, located)
        wanted = wanted_rows(source, modality, items, cameras, progress=progress)
        if modality in given:
            found, failed = _look_up(source, wanted, given[modality])
        else:
            found, failed = _embed(job, wanted, encoders[modality])
        located[modality] = found
        failures += failed
    n_source = len(source.items())
    items, located = _keep_items(items, located)
    if not items:
        raise _nothing_left(source, n_source, failures)
    if len(items) < n_source:
        _log.warning("%d of %d items have no usable input and are left out", n_source - len(items), n_source)
    sets = {}
    for modality, one in located.items():
        if any(one.links):
            sets[modality] = one.feature_set(makers[modality])
        else:
            _log.warning("no item has a usable %s input: that modality is left out", modality)
    return MomentFeatures(tuple(items), sets, tuple(failures))


@dataclass(frozen=True, slots=True)
class _Located:
    """Where one modality's rows are: for each item the rows that exist, the primary one first."""

    table: FeatureTable | GivenTable | None
    row_of: Mapping[str, int]
    links: Sequence[tuple[str, ...]]

    def feature_set(self, maker: FrozenEncoder | GivenTable) -> FeatureSet:
        ids = tuple(dict.fromkeys(one for links in self.links for one in links))
        position = {one: i for i, one in enumerate(ids)}
        counts = [len(links) for links in self.links]
        assert self.table is not None
        return FeatureSet(
            vectors=self.table.gather(np.array([self.row_of[one] for one in ids], dtype=np.int64)),
            ids=ids,
            item_index=np.repeat(np.arange(len(counts), dtype=np.int64), counts),
            row_index=np.array([position[one] for links in self.links for one in links], dtype=np.int64),
            card=maker.card,
            fingerprint=maker.fingerprint,
        )


def _keep_items(
    items: Sequence[Item], located: Mapping[Modality, _Located]
) -> tuple[list[Item], dict[Modality, _Located]]:
    """Drop items without a row; text alone keeps an item only where it is the only modality."""
    deciding = [one.links for kind, one in located.items() if kind is not Modality.TEXT or len(located) == 1]
    keep = [i for i in range(len(items)) if any(links[i] for links in deciding)]
    kept = {
        kind: _Located(one.table, one.row_of, [one.links[i] for i in keep]) for kind, one in located.items()
    }
    return [items[i] for i in keep], kept


def _embed(job: _Job, wanted: Wanted, encoder: FrozenEncoder) -> tuple[_Located, list[Failure]]:
    """Find or compute the wanted rows."""
    failures = list(wanted.failures)
    rows = []
    for row in wanted.rows.values():
        if _is_unicode(row.id):
            rows.append(row)
        else:  # Arrow's strings, and whoever reads the table, want UTF-8
            failures.append(row.failure("its name or text is not valid Unicode"))
    if not rows:
        return _Located(None, {}, [()] * len(wanted.links)), failures
    folder = table_folder(job.features_dir, encoder, job.source)
    table = _complete_table(folder, encoder, rows)
    if table is None:
        info = TableInfo(
            fingerprint=encoder.fingerprint,
            dim=encoder.card.dim,
            card=encoder.card,
            normalised=encoder.card.normalise,
            source={"kind": job.source.kind, "root": str(job.source.root)},
            settings={"batch_size": job.batch_size},
        )
        with TableWriter(folder, info) as writer:
            failures = embed_rows(
                rows,
                _reader(job.source, encoder.card.modality),
                encoder,
                writer,
                decode=decode if encoder.card.modality is Modality.IMAGE else None,
                batch_size=job.batch_size,
                **_threads(job, encoder.card.modality, rows),
                rows_per_part=job.rows_per_part,
                progress=job.progress,
                failed_before=failures,
            )
        table = writer.table
    places = table.locate([row.id for row in rows], [row.key for row in rows])
    row_of = {row.id: int(place) for row, place in zip(rows, places, strict=True) if place >= 0}
    links = [tuple(one for one in item if one in row_of) for item in wanted.links]
    return _Located(table, row_of, links), failures


def _look_up(source: Source, wanted: Wanted, given: GivenTable) -> tuple[_Located, list[Failure]]:
    """Find the wanted rows in a table that was made before."""
    row_of, failures = given.find(list(wanted.rows.values()), source)
    links = [tuple(one for one in item if one in row_of) for item in wanted.links]
    return _Located(given, row_of, links), [*wanted.failures, *failures]


def _complete_table(folder: Path, encoder: FrozenEncoder, rows: Sequence[Row]) -> FeatureTable | None:
    """The table, where it is whole and lacks nothing: it then needs no lock and no right to write."""
    try:
        table = open_table(folder, fingerprint=encoder.fingerprint)
    except BundleError:  # absent or damaged: the writer looks after it
        return None
    return None if missing_rows(rows, table).any() else table


def table_folder(features_dir: Path, encoder: FrozenEncoder, source: Source) -> Path:
    """Where the rows of this data through this encoder are kept."""
    card = encoder.card
    model = f"{card.modality}-{_slug(card.name)}-{encoder.fingerprint[:12]}"
    root = str(source.root) if is_s3(source.root) else str(Path(source.root).resolve())
    data = f"{source.kind}-{_slug(Path(root).name)}-{text_key(root)[:12]}"
    return features_dir / model / data


def _threads(job: _Job, modality: Modality, rows: Sequence[Row]) -> dict[str, int]:
    """Decoding and reading threads: text needs none, and a local disk's answers need no waiting for."""
    remote = is_s3(job.source.root) or any(is_s3(row.id) for row in rows)
    num_threads = S3_THREADS if remote else 1
    if modality is Modality.IMAGE:
        return {"num_workers": job.num_workers, "num_threads": num_threads}
    # local signals need not be readable from several threads
    return {"num_workers": int(remote and modality is Modality.TIMESERIES), "num_threads": num_threads}


def _reader(source: Source, modality: Modality) -> Callable[[Row], Any]:
    if modality is Modality.IMAGE:
        return partial(_read_image, source)
    if modality is Modality.TEXT:
        return lambda row: row.id
    items = {item.id: item for item in source.items()}
    return lambda row: source.series(items[row.id])


def _read_image(source: Source, row: Row) -> Path | bytes:
    """An object's content; a file is left to the decoder, which says more of one that cannot be read."""
    file = source.image_file(row.id)
    if not is_s3(file):
        return Path(file)
    try:
        return read_object(str(file), max_bytes=MAX_BYTES)[0]
    except FileNotFoundError:
        raise SkipInput("the image is missing") from None


def _nothing_left(source: Source, n_items: int, failures: Sequence[Failure]) -> DataError:
    reasons = Counter(failure.reason for failure in failures).most_common(3)
    said = "; ".join(f"{count} x {reason}" for reason, count in reasons) or "no item has an input"
    return DataError(
        f"None of {n_items} items has an input that can be used ({said}).",
        where=source.root,
        remedy="check the paths and that the files are whole; the cameras asked for must exist in the data",
    )


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:60] or "data"


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
