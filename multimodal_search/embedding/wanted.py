"""Which rows the items need from an encoder, and what each input's content is now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from tqdm import tqdm

from multimodal_search.embedding.pipeline import Row
from multimodal_search.embedding.prefetch import prefetch
from multimodal_search.errors import SkipInput
from multimodal_search.sources.base import Source
from multimodal_search.sources.identity import image_paths, text_key
from multimodal_search.storage import S3_THREADS, is_s3
from multimodal_search.types import Failure, Item, Modality, Series


@dataclass(slots=True)
class Wanted:
    """The rows that one modality of some items needs, and which items they serve."""

    rows: dict[str, Row] = field(default_factory=dict)
    links: list[tuple[str, ...]] = field(default_factory=list)  # row ids of each item, the primary one first
    failures: list[Failure] = field(default_factory=list)  # inputs that are not even there


def wanted_rows(
    source: Source, modality: Modality, items: Sequence[Item], cameras: Sequence[str], *, progress: bool
) -> Wanted:
    """The rows of one modality that these items need."""
    if modality is Modality.IMAGE:
        return wanted_images(source, items, cameras)
    if modality is Modality.TEXT:
        return wanted_texts(items)
    return wanted_series(source, items, progress=progress)


def wanted_texts(items: Iterable[Item]) -> Wanted:
    """A row for each different description; white space around it does not count."""
    wanted = Wanted()
    for item in items:
        texts = tuple(dict.fromkeys(text.strip() for text in item.text if text.strip()))
        for text in texts:
            wanted.rows.setdefault(text, Row(text, text_key(text), item.id))
        wanted.links.append(texts)
    return wanted


def wanted_images(source: Source, items: Sequence[Item], cameras: Sequence[str]) -> Wanted:
    """A row for each different picture that is there."""
    wanted = Wanted()
    first_item: dict[str, str] = {}
    for item in items:
        paths = tuple(dict.fromkeys(image_paths(item, cameras)))
        wanted.links.append(paths)
        for path in paths:
            first_item.setdefault(path, item.id)
    # a request each for s3:// images, so many at a time; local files answer faster than a thread starts, and
    # what lies below a root on S3 was listed when the source was read
    workers = S3_THREADS if any(is_s3(path) for path in first_item) else 0
    keys = prefetch(first_item, partial(_image_key, source), num_workers=workers, ahead=4 * S3_THREADS)
    for (path, item_id), key in zip(first_item.items(), keys, strict=True):
        if isinstance(key, SkipInput):
            wanted.failures.append(Failure(item_id, path, key.reason))
        else:
            wanted.rows[path] = Row(path, key, item_id, path)
    return wanted


def _image_key(source: Source, path: str) -> str | SkipInput:
    try:
        return source.image_key(path)
    except SkipInput as skip:
        return skip
    except FileNotFoundError:
        return SkipInput("the image is missing")
    except OSError as error:
        return SkipInput(f"the image cannot be read: {error.strerror or error}")


def wanted_series(source: Source, items: Sequence[Item], *, progress: bool) -> Wanted:
    """A row for each item with a signal; signals are read, since no file's date tells of them."""
    wanted = Wanted()
    bar = tqdm(
        zip(items, read_signals(source, items), strict=True),
        total=len(items), desc="reading signals", unit="item", disable=not progress, delay=2.0, leave=False,
    )  # fmt: skip
    for item, series in bar:
        link: tuple[str, ...] = ()
        if isinstance(series, SkipInput):
            wanted.failures.append(Failure(item.id, item.series_path, series.reason))
        elif series is not None:
            wanted.rows[item.id] = Row(item.id, series_key(series), item.id, item.series_path)
            link = (item.id,)
        wanted.links.append(link)
    return wanted


def read_signals(source: Source, items: Iterable[Item]) -> Iterator[Series | SkipInput | None]:
    """Each item's signal, or why it cannot be used; from S3 many at a time, since each is small and far."""
    workers = S3_THREADS if is_s3(source.root) else 0
    return prefetch(items, partial(_signal, source), num_workers=workers, ahead=2 * S3_THREADS)


def _signal(source: Source, item: Item) -> Series | SkipInput | None:
    try:
        return source.series(item)
    except SkipInput as skip:
        return skip


def series_key(series: Series) -> str:
    """A hash of a signal's times, values and channel names."""
    digest = hashlib.sha256("\n".join(series.channels).encode("utf-8", "surrogatepass"))
    for array in (series.timestamps_seconds, series.values):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()[:32]
