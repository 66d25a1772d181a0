"""Places on S3 in a command's settings, and the local ones that the command works with in their stead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from multimodal_search.errors import SettingsError
from multimodal_search.settings import (
    EvaluateSettings,
    ScenarioSettings,
    SearchSettings,
    ServeSettings,
    Settings,
)
from multimodal_search.storage import (
    SUMS,
    ensure_writable_folder,
    fetch_folder,
    is_s3,
    local_folder,
    output_folder,
    parse_s3,
)

S = TypeVar("S", bound=Settings)
B = TypeVar("B", EvaluateSettings, SearchSettings, ScenarioSettings, ServeSettings)
BUNDLE = "bundle.json"


@contextlib.contextmanager
def output_at_hand(settings: S, marker: str = SUMS, *, field: str = "out") -> Iterator[S]:
    """The settings with a local folder to write to, which is sent once the block has ended without an error.

    Args:
        settings: of the command.
        marker: the file that the command writes last, as of ``storage.send_folder``.
        field: which of the settings it is.

    Raises:
        OutputError: as ``storage.output_folder``.
    """
    place = getattr(settings, field)
    if place is None or not is_s3(place):
        yield settings
        return
    with output_folder(place, marker) as folder:
        yield settings.model_copy(update={field: str(folder)})


def bundle_at_hand(settings: B) -> B:
    """The settings with a local bundle; one on S3 is fetched into the user's cache, as far as it changed.

    Raises:
        BundleError, DataError, OutputError: as ``storage.fetch_folder``.
    """
    if not is_s3(settings.bundle):
        return settings
    return settings.model_copy(update={"bundle": str(fetch_folder(settings.bundle, BUNDLE))})


def index_at_hand(location: str, role: str, *, fetch: bool = True) -> Path:
    """The Faiss file of an index on S3 in the user's cache, where what changed of it is brought.

    Args:
        location: ``s3://bucket/prefix/name.faiss``, as ``index --out`` and ``--backup`` left it.
        role: as of ``storage.local_folder``.
        fetch: False only names it.

    Raises:
        BundleError, DataError, OutputError: as ``index.restore``.
    """
    from multimodal_search import index

    place = parent_of(location)
    path = ensure_writable_folder(local_folder(place, role)) / location.rpartition("/")[2]
    if fetch:
        index.restore(place, path)
    return path


def parent_of(location: str) -> str:
    """The prefix of a file on S3.

    Raises:
        SettingsError: it names a bucket alone.
    """
    address = parse_s3(location)
    parent, _, name = address.key.rpartition("/")
    if not name:
        raise SettingsError(f"{location!r} names a bucket, not a file.", remedy="s3://bucket/moments.faiss")
    return str(address._replace(key=parent))
