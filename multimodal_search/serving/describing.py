"""What a client is told of a bundle and its moments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow.compute as pc

from multimodal_search.search.hits import Hit
from multimodal_search.serving.answers import Channel, Config, FieldInfo, Moment, Recording, Signal, moment_of
from multimodal_search.serving.recordings import links_of
from multimodal_search.serving.state import Opened
from multimodal_search.types import Modality

_MOST_VALUES = 50
_LONGEST_VALUE = 200
_MOST_ROWS = 10_000
_UNITS = {
    "mps": "m/s",
    "mps2": "m/s²",
    "kmh": "km/h",
    "kph": "km/h",
    "radps": "rad/s",
    "rad": "rad",
    "deg": "°",
    "degps": "°/s",
    "m": "m",
    "s": "s",
    "hz": "Hz",
    "nm": "N·m",
    "n": "N",
    "rpm": "rpm",
    "percent": "%",
    "c": "°C",
    "v": "V",
    "a": "A",
}


def moments(opened: Opened, hits: Iterable[Hit]) -> list[Moment]:
    """Hits as a client gets them."""
    return [moment_of(hit, opened.map.place(hit.id), opened.texts(hit)) for hit in hits]


def config(opened: Opened, name: str) -> Config:
    """What the page needs to know.

    Args:
        name: of the bundle's folder.
    """
    searcher = opened.searcher
    card = searcher.info.encoders.get(Modality.TIMESERIES)
    return Config(
        title=str(searcher.info.data.get("title") or name),
        bundle=name,
        moments=opened.map.count,
        fields=field_list(opened),
        modalities=[one.value for one in searcher.modalities],
        channels=[] if card is None else channels(card.card.options.get("channels", ())),
        languages=["en", "ja"],
        map=bool(np.isfinite(opened.map.places).any()),
    )


def channels(names: Iterable[Any]) -> list[Channel]:
    """Channels and their units, which end their names: ``speed_mps``."""
    return [Channel(name=str(name), unit=unit_of(str(name))) for name in names]


def unit_of(name: str) -> str:
    """The unit that a channel's name ends in; empty where it names none."""
    match = re.search(r"_([a-z0-9]+)$", name.lower())
    return _UNITS.get(match.group(1), "") if match else ""


def signal(opened: Opened, hit: Hit) -> Signal | None:
    """A moment's signal, thinned where it is very long; None where it has none that can be read."""
    series = opened.searcher.series(hit)
    if series is None:
        return None
    step = -(-len(series.values) // _MOST_ROWS)  # no screen has more columns
    values, times = series.values[::step], series.timestamps_seconds[::step]
    rows = np.where(np.isfinite(values), values, np.nan).tolist()
    return Signal(
        channels=channels(series.channels),
        seconds=[round(one, 6) for one in times.tolist()],
        values=[[None if one != one else float(f"{one:.6g}") for one in row] for row in rows],
    )


def recording(hit: Hit) -> Recording | None:
    """Links to the recording that a moment was cut from."""
    links = links_of(hit)
    return None if links is None else Recording(foxglove_url=links[0], rerun_url=links[1])


def field_list(opened: Opened) -> list[FieldInfo]:
    """The fields a filter may ask, with their values or their range."""
    return [info for name in opened.map.names if (info := _field(opened, name)) is not None]


def _field(opened: Opened, name: str) -> FieldInfo | None:
    column = opened.map.fields.column(name)
    kinds = column.kinds
    if "number" in kinds:
        low, high = (one.as_py() for one in pc.min_max(kinds["number"]).values())
        if low is None or not np.isfinite([low, high]).all():
            return None
        kind = "time" if name == "timestamp_us" else "number"
        return FieldInfo.model_validate({"name": name, "type": kind, "min": low, "max": high})
    if "text" in kinds:
        counts = pc.value_counts(kinds["text"].drop_null()).to_pylist()
        counts.sort(key=lambda one: (-one["counts"], one["values"]))
        values = [one["values"] for one in counts if len(one["values"]) <= _LONGEST_VALUE]
        return FieldInfo(
            name=name, type="text", values=values[:_MOST_VALUES], more=len(counts) > _MOST_VALUES
        )
    return FieldInfo(name=name, type="bool") if "true or false" in kinds else None
