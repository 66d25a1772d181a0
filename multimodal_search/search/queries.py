"""What a person may ask with, made into what an encoder takes; whatever cannot be used is said plainly."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from multimodal_search.embedding.images import decode
from multimodal_search.errors import DataError, SkipInput
from multimodal_search.sources.paths import Place, folder_of
from multimodal_search.sources.series import (
    TIME_CHANNEL,
    Layout,
    find_layout,
    in_time_order,
    read_series,
    repaired,
)
from multimodal_search.storage import is_s3, read_bytes
from multimodal_search.types import EncoderCard, FloatArray, Modality, Series

ImageQuery = str | Path | bytes | Image.Image
SeriesQuery = str | Path | FloatArray | Series
VectorQuery = str | Path | FloatArray | Sequence[float]

# one, one with its weight, or a list of either
TextQueries = str | tuple[str, float] | Sequence[str | tuple[str, float]]
ImageQueries = ImageQuery | tuple[ImageQuery, float] | Sequence[ImageQuery | tuple[ImageQuery, float]]
SeriesQueries = SeriesQuery | tuple[SeriesQuery, float] | Sequence[SeriesQuery | tuple[SeriesQuery, float]]
VectorQueries = VectorQuery | tuple[VectorQuery, float] | Sequence[VectorQuery | tuple[VectorQuery, float]]


def read(modality: Modality, query: Any, card: EncoderCard) -> str | Image.Image | Series:
    """What an encoder of this modality takes.

    Raises:
        DataError: it cannot be read; the message says why.
    """
    if modality is Modality.TEXT:
        return words(query)
    return picture(query) if modality is Modality.IMAGE else series(query, card)


def words(query: str) -> str:
    """The words, stripped.

    Raises:
        DataError: there is nothing but white space.
    """
    if not isinstance(query, str):
        raise DataError(f"The query text is no text: {query!r}.", remedy="give words")
    if not query.strip():
        raise DataError(
            "The query text is empty.", remedy="give a few words, such as 'bus at an intersection'"
        )
    return query.strip()


def picture(query: ImageQuery) -> Image.Image:
    """Upright RGB.

    Raises:
        DataError: the file is absent, or is no picture that can be read.
    """
    if isinstance(query, Image.Image):
        return _converted(query)
    if not isinstance(query, bytes):
        return _decoded(_found_picture(query), query)
    return _decoded(query, "bytes")


def _found_picture(place: str | Path) -> Path | bytes:
    with contextlib.suppress(FileNotFoundError):
        if is_s3(place):
            return read_bytes(str(place))
        if (path := Path(place).expanduser()).is_file():
            return path
    raise DataError(f"There is no picture {str(place)!r}.", remedy="give the path of an image file")


def _converted(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "RGB":
        return upright
    # through the decoder: 16 bits, alpha and palettes become what they became for the bundle's pictures
    memory = io.BytesIO()
    try:
        upright.save(memory, format="TIFF")
    except OSError:  # a mode that no file format holds, such as HSV
        return upright.convert("RGB")
    return _decoded(memory.getvalue(), "image")


def _decoded(source: Path | bytes, where: object) -> Image.Image:
    try:
        return decode(source)
    except SkipInput as skip:
        raise DataError(f"The picture cannot be used: {skip.reason}.", where=where) from skip


def series(query: SeriesQuery, card: EncoderCard) -> Series:
    """A signal with named channels.

    A ``.npy`` file, or object on S3, is read by the ``channels.json`` beside it. Without one, and for an
    array, the columns are the channels of the bundle's signal encoder in their order, at its rate, after an
    optional first column of times in seconds.

    Raises:
        DataError: it cannot be read, or has another number of columns.
    """
    if isinstance(query, Series):
        return query
    try:
        if isinstance(query, str | Path):
            return _from_file(query if is_s3(query) else Path(query).expanduser(), card)
        return _from_array(np.asarray(query), card)
    except SkipInput as skip:
        where = query if isinstance(query, str | Path) else None
        raise DataError(f"The signal cannot be used: {skip.reason}.", where=where) from skip


def _from_file(path: Place, card: EncoderCard) -> Series:
    if isinstance(path, Path) and not path.is_file():
        raise DataError(f"There is no signal {str(path)!r}.", remedy="give the path of a .npy file")
    layout = find_layout(folder_of(path))
    if layout is not None:
        return read_series(path, layout)
    plain = read_series(path, Layout())
    return _from_array(plain.values, card)


def _from_array(values: Any, card: EncoderCard) -> Series:
    channels = tuple(str(name) for name in card.options["channels"])
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiub":
        raise SkipInput(f"an array of shape {values.shape} and dtype {values.dtype}, not (time, channels)")
    values = values.astype(np.float64)
    if values.shape[1] == len(channels) + 1:
        times, values = values[:, 0], values[:, 1:]
    elif values.shape[1] == len(channels):
        times = np.arange(len(values)) / float(card.options["rate_hz"])
    else:
        raise DataError(
            f"The signal has {values.shape[1]} columns; the bundle's encoder knows {len(channels)} channels.",
            remedy=f"give the columns {', '.join(channels)} (with {TIME_CHANNEL} before them, or without)",
        )
    ordered_times, ordered = in_time_order(times, values)
    if not ordered_times.size:
        raise SkipInput("no row has a time")
    return repaired(Series(ordered_times, ordered, channels))
