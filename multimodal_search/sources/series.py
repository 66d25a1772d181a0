"""Signals from ``.npy`` files: read without ever unpickling, put in order, repaired up to a stated share."""

from __future__ import annotations

import io
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import DataError, SkipInput
from multimodal_search.sources.paths import Place, below
from multimodal_search.storage import is_s3, read_bytes, read_object
from multimodal_search.types import FloatArray, Series

logger = logging.getLogger("multimodal_search")

DEFAULT_RATE_HZ = 10.0
MAX_REPAIRED_SHARE = 0.2  # of a channel's samples; beyond it the channel counts as missing
TIME_CHANNEL = "timestamp_seconds"
_LONGEST_SECONDS = 86_400.0  # microseconds taken for seconds would be resampled to billions of rows
_MOST_BYTES = 1 << 30  # of an object, which is read whole
_LARGEST = 1e12  # no signal of a vehicle in SI units comes near; larger values are broken, like infinity

# Where the car is, or which car it is: with these a signal finds its picture by place and not by motion.
_TELLTALE = re.compile(
    r"(lat|latitude|lon|lng|longitude|altitude|pos|position|easting|northing|utm|x|y|z|heading|yaw|course"
    r"|odom|odometer|mileage|battery|battery_level|steer_offset|steering_offset|steer_offset_can)"
    r"(_[xyz])?(_(m|km|deg|rad|degrees|radians|can|percent))?"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of a folder's ``.npy`` files are.

    Attributes:
        channels: a name a column, or None where nobody said (``channel_00``, ...).
        rate_hz: rows a second, where no column is ``timestamp_seconds``.
    """

    channels: tuple[str, ...] | None = None
    rate_hz: float = DEFAULT_RATE_HZ


def read_layout(folder: Place) -> Layout:
    """What ``find_layout`` finds, or the columns of which nothing is known.

    Raises:
        DataError: as ``find_layout``.
    """
    found = find_layout(folder, patient=True)
    if found is not None:
        return found
    logger.info(
        "%s has no channels.json: its columns are called channel_00, ... and taken for %g Hz",
        folder,
        DEFAULT_RATE_HZ,
    )
    return Layout()


def find_layout(folder: Place, *, patient: bool = False) -> Layout | None:
    """``channels.json`` of a folder of signals, local or on S3: ``{"channels": [...], "rate_hz": 10}``.

    Args:
        folder: the signals' folder.
        patient: a long job asks: wait while S3 is away.

    Raises:
        DataError: the file is there and cannot be understood; or S3 cannot be reached or refuses.
    """
    path = below(folder, "channels.json")
    remedy = 'write {"channels": ["speed_mps", ...], "rate_hz": 10}'
    try:
        content: Any = json.loads(read_bytes(path, patient=patient).decode("utf-8-sig"))
    except FileNotFoundError:
        return None
    except DataError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"channels.json cannot be read: {error}", where=path, remedy=remedy) from error
    if not isinstance(content, dict):
        raise DataError("channels.json must hold an object.", where=path, remedy=remedy)
    names, rate = content.get("channels"), content.get("rate_hz", DEFAULT_RATE_HZ)
    if names is not None and (
        not isinstance(names, list)
        or not names
        or not all(isinstance(one, str) and one for one in names)
        or len(set(names)) < len(names)
    ):
        raise DataError('"channels" must be a list of different names.', where=path, remedy=remedy)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1e6:
        raise DataError(f'"rate_hz" must be a positive number, not {rate!r}.', where=path, remedy=remedy)
    layout = Layout(tuple(names) if names else None, float(rate))
    _, dropped = _told_apart(layout.channels or ())
    if dropped:
        logger.warning("not used, since they give the place or the car away: %s", ", ".join(dropped))
    return layout


def read_series(path: Place, layout: Layout | None = None, *, patient: bool = False) -> Series:
    """A ``.npy`` file or ``s3://`` object of shape (T, D), in time order and repaired.

    Channels that give the place or the car away (position, absolute heading, odometer, battery) are left out.

    Args:
        path: the file or object.
        layout: what its columns are.
        patient: it is one of a long job's many: wait while S3 is away, and skip what S3 refuses.

    Raises:
        SkipInput: missing, truncated, pickled, not numeric, of the wrong rank, empty, or mostly not finite.
        DataError: S3 cannot be reached or refuses.
    """
    layout = layout or Layout()
    try:
        table = _as_table(_read_object(str(path), patient) if is_s3(path) else Path(path))
    except FileNotFoundError as error:
        raise SkipInput("series missing") from error
    names = layout.channels or tuple(f"channel_{index:02d}" for index in range(table.shape[1]))
    if len(names) != table.shape[1]:
        raise SkipInput(f"the series has {table.shape[1]} columns, channels.json names {len(names)}")
    if names[0] == TIME_CHANNEL:
        times, table, names = table[:, 0], table[:, 1:], names[1:]
    else:
        times = np.arange(table.shape[0]) / layout.rate_hz
    kept, _ = _told_apart(names)
    if not kept:
        raise SkipInput("the series has no channel that can be used")
    ordered_times, ordered_values = in_time_order(times, table[:, kept])
    if not ordered_times.size:
        raise SkipInput("the series has no row with a time")
    # Python's floats overflow to infinity without a warning
    span = float(ordered_times[-1]) - float(ordered_times[0])
    if not span < _LONGEST_SECONDS:
        raise SkipInput(f"the series lasts {span:g} s, more than a day; are its times in seconds?")
    return repaired(Series(ordered_times, ordered_values, tuple(names[index] for index in kept)))


def _told_apart(names: tuple[str, ...]) -> tuple[list[int], list[str]]:
    """Columns to keep, and the names of those that are left out."""
    telltale = [bool(_TELLTALE.fullmatch(name.lower())) for name in names]
    keep = [index for index, bad in enumerate(telltale) if not bad]
    return keep, [name for name, bad in zip(names, telltale, strict=True) if bad]


def _read_object(url: str, patient: bool) -> bytes:
    return read_object(url, max_bytes=_MOST_BYTES)[0] if patient else read_bytes(url)


def _as_table(source: Path | bytes) -> FloatArray:
    """(T, D) float64. A file is mapped, so that a header that promises terabytes costs nothing."""
    try:
        if (source.stat().st_size if isinstance(source, Path) else len(source)) == 0:
            raise SkipInput("the series file is empty (0 bytes)")
        if isinstance(source, Path):
            raw = np.load(source, mmap_mode="r", allow_pickle=False)
        else:
            raw = np.load(io.BytesIO(source), allow_pickle=False)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, OverflowError, TypeError) as error:
        raise SkipInput(_load_reason(error, source)) from error
    if not isinstance(raw, np.ndarray):
        raise SkipInput("the series is an .npz archive, not an .npy file")
    if raw.dtype.kind not in "fiub":
        raise SkipInput(f"the series is not numeric (dtype {raw.dtype})")
    if raw.ndim != 2:
        raise SkipInput(f"the series has shape {raw.shape}, (time, channels) is wanted")
    if raw.size == 0:
        raise SkipInput(f"the series is empty (shape {raw.shape})")
    with np.errstate(over="ignore"):
        return np.array(raw, dtype=np.float64)


def _is_array_or_pickle(source: Path | bytes) -> bool:
    """numpy takes whatever is neither of its formats for a pickle, which at least begins as one."""
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            return file.read(6).startswith((np.lib.format.MAGIC_PREFIX, b"\x80"))
    except OSError:
        return True  # unreadable: the error itself says more


def _load_reason(error: Exception, source: Path | bytes) -> str:
    text = str(error)
    if not _is_array_or_pickle(source):
        return "the series is not an .npy file"
    if "pickle" in text or "Python objects" in text:
        return "the series is pickled; it is never unpickled, since that runs code: save plain numbers"
    # what is not mapped is allocated first: memory enough for no table is what a broken header asks for
    broken_off = "greater than file size", "reshape", "EOF: reading array data"
    if any(one in text for one in broken_off) or isinstance(error, EOFError | MemoryError):
        return "the series file is truncated"
    return f"the series cannot be read ({text or type(error).__name__})"


def in_time_order(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows sorted by time; rows of equal time averaged, rows without a finite time dropped.

    Args:
        times: (T,) seconds, in any order.
        values: (T, C), NaN or infinite where there is no value.

    Returns:
        (T',) strictly increasing times and (T', C) values, T' <= T.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    finite = np.isfinite(times)
    if not finite.all():
        times, values = times[finite], values[finite]
    if times.size < 2 or (times[1:] > times[:-1]).all():
        return times, values
    unique, group = np.unique(times, return_inverse=True)
    known = np.isfinite(values)
    sums = np.zeros((unique.size, values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, group, np.where(known, values, 0.0))
    np.add.at(counts, group, known)
    return unique, np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def repaired(series: Series, *, max_share: float = MAX_REPAIRED_SHARE) -> Series:
    """NaN, infinite and absurd values replaced by interpolation in time, up to ``max_share`` of a channel.

    A channel with more of them becomes missing: NaN throughout.

    Raises:
        SkipInput: every channel is missing.
    """
    values = np.array(series.values, dtype=np.float64)
    broken = ~(np.abs(values) < _LARGEST)  # true for NaN as well
    shares = broken.mean(axis=0)
    for channel in np.flatnonzero(shares > 0):
        bad = broken[:, channel]
        if shares[channel] > max_share:
            values[:, channel] = np.nan
            continue
        good_times = series.timestamps_seconds[~bad]
        values[bad, channel] = np.interp(series.timestamps_seconds[bad], good_times, values[~bad, channel])
    if not np.isfinite(values).any():
        raise SkipInput(
            f"every channel is NaN or infinite for more than {max_share:.0%} of the time, too much to repair"
        )
    return Series(series.timestamps_seconds, values, series.channels)


def window(series: Series, centre_seconds: float, length_seconds: float) -> Series:
    """The rows within half a length of the centre; fewer where the series ends sooner."""
    times = series.timestamps_seconds
    low, high = np.searchsorted(
        times, [centre_seconds - length_seconds / 2 - 1e-9, centre_seconds + length_seconds / 2 + 1e-9]
    )
    return Series(times[low:high], series.values[low:high], series.channels)
