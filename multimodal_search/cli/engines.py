"""Flags of other engines, for the commands that load vectors into one or ask it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from multimodal_search.errors import SettingsError
from multimodal_search.index.backends import ClusterOptions, collection_name, open_backend
from multimodal_search.index.backends.points import PointBackend
from multimodal_search.index.plain_export import COSMOS_DIM, export_plain
from multimodal_search.settings.search import EngineSettings, IndexSettings
from multimodal_search.storage import output_file
from multimodal_search.tables.files.npy import read_ids
from multimodal_search.tables.vectors import VectorSet, open_vectors

_LOCAL = ("out", "append", "restore", "backup")
_KEY = "QDRANT_API_KEY"


def load_into(settings: IndexSettings, vectors: VectorSet) -> int:
    """``multimodal-search index --backend qdrant|qdrant-edge``: upload, or with ``--delete`` remove rows."""
    if local := [name for name in _LOCAL if getattr(settings, name)]:
        raise SettingsError(
            f"--{local[0]} is of a local index, not of --backend {settings.backend}.",
            remedy="an upload adds what is missing" if local[0] == "append" else "leave it out",
        )
    backend = _opened(settings, vectors, settings)
    try:
        if settings.delete is not None:
            gone = backend.delete(read_ids(settings.delete))
            print(f"{gone} rows deleted; {backend.count()} rows in {settings.url}")
            return 0
        with tqdm(total=len(vectors), unit="row", disable=None) as bar:
            done = backend.upload(vectors, progress=lambda rows, _: bar.update(rows - bar.n))
        print(
            f"{done.sent} rows sent, {done.present} were there, {done.unusable} have no usable vector; "
            f"{backend.count()} rows in {settings.url}"
        )
    finally:
        backend.close()
    return 0


def write_plain(settings: IndexSettings, vectors: VectorSet) -> int:
    """``multimodal-search index --format lancedb|cosmos``."""
    if settings.format == "index":
        raise SettingsError("--format index is no plain file.")
    if settings.out is None or not settings.out.endswith(".parquet"):
        raise SettingsError(
            f"--format {settings.format} writes a Parquet file.", remedy="name it: --out vectors.parquet"
        )
    if settings.backend != "faiss":
        raise SettingsError("--format writes a file, --backend fills an engine.", remedy="give one of them")
    with tqdm(total=len(vectors), unit="row", disable=None) as bar, output_file(settings.out) as out:
        rows = export_plain(vectors, out, settings.format, progress=lambda done, _: bar.update(done - bar.n))
    print(f"{rows} rows in {settings.out}; {len(vectors) - rows} without a usable vector left out")
    if settings.format == "cosmos" and vectors.dim != COSMOS_DIM:
        print(
            f"note: Cosmos Dataset Search's pipeline has {COSMOS_DIM} numbers a vector, these {vectors.dim}"
        )
    return 0


@contextmanager
def engine_of(settings: EngineSettings, bundle: str | Path) -> Iterator[PointBackend]:
    """The engine that holds a bundle's rows, ready to be asked.

    Raises:
        SettingsError: no address.
        DataError: nothing or something else is there, or it cannot be reached.
        EncoderError: it holds vectors of another encoder.
    """
    vectors = open_vectors(bundle)
    backend = _opened(settings, vectors)
    try:
        backend.verify_fingerprint(vectors.fingerprint)
        backend.verify_rows(vectors)
        yield backend
    finally:
        backend.close()


def _opened(settings: EngineSettings, vectors: VectorSet, new: IndexSettings | None = None) -> PointBackend:
    if settings.backend == "faiss":
        raise SettingsError("A local index has no --url.")
    if settings.url is None:
        raise SettingsError(
            f"--backend {settings.backend} needs an address.",
            remedy="--url http://host:6333"
            if settings.backend == "qdrant"
            else "--url FOLDER, which it makes if it is not there",
        )
    cluster = settings.backend == "qdrant"
    options = None if new is None else ClusterOptions(new.shards, new.replicas, new.quantize)
    if not cluster and options not in (None, ClusterOptions()):
        raise SettingsError(
            "--shards, --replicas and --quantize are of --backend qdrant.", remedy="leave them out"
        )
    return open_backend(
        settings.backend,
        settings.url,
        collection=collection_name(vectors.fingerprint, settings.collection) if cluster else None,
        api_key=(settings.api_key or os.environ.get(_KEY)) if cluster else settings.api_key,
        metric="cosine" if new is None else new.metric,
        rows=None if new is not None else vectors.ids,
        options=options,
    )
