"""A query of a client, asked: parts and uploads -> one vector -> moments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.filters import Filter, In, all_of, parse
from multimodal_search.search.hits import Hit
from multimodal_search.search.options import Wanted, wanted
from multimodal_search.search.parts import PartKind
from multimodal_search.serving.measuring import Metrics
from multimodal_search.serving.problems import Refused
from multimodal_search.serving.queries import Query, Stretch
from multimodal_search.serving.state import Opened
from multimodal_search.serving.uploads import Uploads
from multimodal_search.types import Modality, Series

Asked = dict[PartKind, list[tuple[Any, float]]]


class Asking:
    """Asks a bundle.

    Args:
        uploads: what queries may name.
    """

    def __init__(self, uploads: Uploads, metrics: Metrics) -> None:
        self._uploads = uploads
        self._metrics = metrics

    def hits(
        self, opened: Opened, query: Query, files: Mapping[str, Path], took_ms: dict[str, float]
    ) -> list[Hit]:
        """The moments, best first.

        Args:
            files: ``@image`` and ``@series``, where they came with the request.
            took_ms: receives the milliseconds of each step.

        Raises:
            Refused, SettingsError, DataError: the query means nothing here.
            EncoderError: the bundle's encoder cannot be loaded.
        """
        if query.within == []:
            return []
        options = wanted(
            query.k,
            where=condition(query),
            after=query.after,
            before=query.before,
            per_scene=query.per_scene,
            diverse=query.diverse,
        )
        if not query.parts:
            with self._metrics.step("search", took_ms):
                return listed(opened, query.modality, options)
        with self._metrics.step("encode", took_ms):
            asked = self.parts(opened, query, files)
            vector, target = opened.searcher.encode(
                asked, against=query.modality, vector_of=opened.batcher.vector
            )
        with self._metrics.step("search", took_ms):
            return opened.searcher.rows(target).nearest(vector, options)

    def parts(self, opened: Opened, query: Query, files: Mapping[str, Path]) -> Asked:
        """What ``Searcher.encode`` takes.

        Raises:
            Refused: an upload that is not there (422).
            DataError, SettingsError: a signal that cannot be cut.
        """
        asked: Asked = {}
        for part in query.parts:
            if part.text is not None:
                asked.setdefault("text", []).append((part.text, part.weight))
            elif part.id is not None:
                asked.setdefault("id", []).append((part.id, part.weight))
            elif part.image is not None:
                file = files.get(part.image) or self._uploads.find(part.image, "image")
                asked.setdefault("image", []).append((file, part.weight))
            elif part.series is not None:
                file = files.get(part.series) or self._uploads.find(part.series, "series")
                asked.setdefault("series", []).append((file, part.weight))
            elif part.series_of is not None:
                asked.setdefault("series", []).append((cut(opened, part.series_of), part.weight))
        return asked


def listed(opened: Opened, modality: str | None, options: Wanted) -> list[Hit]:
    """The moments that the filters leave, in the order of the data; their scores say nothing.

    Raises:
        SettingsError: a filter on a field that is not there.
    """
    kinds = set(opened.searcher.columns["type"].unique().to_pylist())
    target = Modality(modality) if modality else next(one for one in Modality if one.value in kinds)
    rows = opened.searcher.rows(target)
    left = np.arange(len(rows)) if options.where is None else np.flatnonzero(options.where.mask(rows.fields))
    found: dict[str, Hit] = {}
    of_scene: Counter[str] = Counter()
    for row in left.tolist():
        if rows.ids[row] in found:
            continue
        hit = rows.hit(rows.ids[row])
        of_scene[hit.scene_id] += 1
        if options.per_scene is None or of_scene[hit.scene_id] <= options.per_scene:
            found[hit.id] = hit
        if len(found) == options.k:
            break
    return list(found.values())


def condition(query: Query) -> Filter | None:
    """The filter and the choice of moments of a query.

    Raises:
        SettingsError: the filter cannot be read.
    """
    chosen = None if query.within is None else In("id", tuple(query.within))
    return all_of(parse(query.where) if query.where and query.where.strip() else None, chosen)


def cut(opened: Opened, stretch: Stretch) -> Series:
    """A stretch of a moment's signal.

    Raises:
        DataError: the moment has no signal, or none there.
        SettingsError: it ends before it starts.
    """
    try:
        hit = opened.moment(stretch.id)
    except Refused as error:
        raise DataError(error.what) from None
    series = opened.searcher.series(hit)
    if series is None:
        raise DataError("This moment has no signal.")
    if stretch.end_seconds <= stretch.start_seconds:
        raise SettingsError("The stretch of signal ends before it starts.")
    times = series.timestamps_seconds
    inside = (times >= stretch.start_seconds) & (times <= stretch.end_seconds)
    if np.count_nonzero(inside) < 2:
        raise DataError(
            "The moment has no signal in this stretch.",
            remedy=f"it lasts from {times[0]:g} to {times[-1]:g} s",
        )
    return Series(times[inside], series.values[inside], series.channels)
