"""A bundle that is open for questions: query -> encoders -> heads -> nearest vectors -> moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from multimodal_search.errors import BundleError, DataError, SettingsError, SkipInput
from multimodal_search.filters import Filter
from multimodal_search.index.backends.base import Searchable
from multimodal_search.index.metric import Metric
from multimodal_search.projectors.bundle import INFO_FILE, BundleInfo, load_projectors, read_bundle_info
from multimodal_search.projectors.heads import Projector
from multimodal_search.search import queries
from multimodal_search.search.device import resolve_device
from multimodal_search.search.hits import Hit
from multimodal_search.search.indexed import index_of, ranker_of
from multimodal_search.search.options import Time, wanted
from multimodal_search.search.parts import Part, PartKind, Weights, combined, parts_of, plain_vector
from multimodal_search.search.rows import Rows
from multimodal_search.search.space import CommonSpace
from multimodal_search.sources.paths import Place, below, folder_of
from multimodal_search.sources.series import find_layout, read_series
from multimodal_search.storage import fetch_folder, is_s3
from multimodal_search.tables import FeatureTable, open_table
from multimodal_search.types import FloatArray, IntArray, Modality, Series

_VECTORS = "vectors"
_DESCRIBED = ("type", "moment_id", "scene_id", "text", "image_path", "location", "timestamp_us", "metadata")
_PREFERRED = (Modality.IMAGE, Modality.TEXT, Modality.TIMESERIES)


class Searcher:
    """A bundle that is open for questions. Nothing of it is changed; encoders load on the first query.

    Attributes:
        folder: the bundle.
        info: what ``bundle.json`` says.
        root: what image paths are relative to.
        columns: what is known of each vector: its moment, its type, and the moment's own metadata.
        common: the space in which words, pictures and signals meet.
    """

    def __init__(
        self,
        folder: Path,
        info: BundleInfo,
        table: FeatureTable,
        projectors: Mapping[Modality, Projector],
        device: str,
        engine: Searchable | None = None,
    ) -> None:
        self.folder = folder
        self.info = info
        self._table = table
        self._engine = engine
        self.common = CommonSpace(folder, info, projectors, device)
        self.columns = table.columns()
        kinds = np.asarray(self.columns["type"].to_pylist(), dtype=np.str_)
        self._of: dict[Modality, IntArray] = {
            modality: rows for modality in Modality if len(rows := np.flatnonzero(kinds == modality.value))
        }
        self._opened: dict[Modality, Rows] = {}

    @classmethod
    def open(cls, bundle: str | Path, device: str = "auto", *, engine: Searchable | None = None) -> Self:
        """Open what training wrote; it may have been moved, also to S3 (``s3://``): then it is fetched.

        Args:
            device: ``auto``, ``cpu`` or ``cuda``: where queries are encoded.
            engine: holds the rows of the bundle's ``vectors/``, numbered as there; instead of its own index.

        Raises:
            BundleError: the folder holds no whole bundle.
            SettingsError: ``cuda`` without a CUDA device.
        """
        folder = fetch_folder(str(bundle), INFO_FILE) if is_s3(bundle) else Path(bundle).expanduser()
        info = read_bundle_info(folder)
        device = resolve_device(device)
        table = open_table(folder / _VECTORS, verify=False) if (folder / _VECTORS).is_dir() else None
        if table is None or not set(_DESCRIBED) <= set(table.columns().column_names):
            raise BundleError(
                "The bundle's vectors are missing, or do not say which moments they are of.",
                where=folder / _VECTORS,
                remedy="copy the whole bundle folder, or train again",
            )
        return cls(folder, info, table, load_projectors(folder, info, device), device, engine)

    def __len__(self) -> int:
        """How many items can be found."""
        return len(set(self.columns["moment_id"].to_pylist()))

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What can be asked with."""
        return tuple(self.info.encoders)

    @property
    def dim(self) -> int:
        """Length of the vectors in the common space."""
        return self.common.dim

    @cached_property
    def root(self) -> Place:
        """The data's root at training; where that is gone, the copy that the bundle itself brings, if any."""
        known, own = str(self.info.data.get("root", "")), self.folder / "sample_data"
        places = (Path(known), own / Path(known).name, own)
        return known if is_s3(known) else next((one for one in places if one.is_dir()), places[0])

    def image_file(self, hit: Hit) -> Place | None:
        """Where a hit's picture is: a path, an ``s3://`` address, or None."""
        return None if hit.image_path is None else below(self.root, hit.image_path)

    def series(self, hit: Hit) -> Series | None:
        """A hit's signal, where the data keeps it as ``.npy`` and it can be read; else None."""
        if hit.series_path is None:
            return None
        path = below(self.root, hit.series_path)
        try:
            return read_series(path, find_layout(folder_of(path)))
        except (SkipInput, DataError):
            return None

    def search(
        self,
        text: queries.TextQueries | None = None,
        image: queries.ImageQueries | None = None,
        series: queries.SeriesQueries | None = None,
        k: int = 10,
        *,
        id: queries.TextQueries | None = None,
        vector: queries.VectorQueries | None = None,
        where: str | Filter | None = None,
        after: Time | None = None,
        before: Time | None = None,
        against: Modality | str | None = None,
        weights: Weights | None = None,
        metric: Metric | None = None,
        per_scene: int | None = None,
        diverse: bool | float = False,
        merge_seconds: float | None = None,
    ) -> list[Hit]:
        """The ``k`` moments nearest to the query, best first.

        A query is a weighted list of parts, of any kinds: each becomes a vector of length one, and the query
        is their weighted sum. A part is a value, or a pair (value, weight); a list of them is several parts:
        ``text=["rain", ("night", -1.0)]``. One kind of the moments' vectors is compared: cosines of different
        kinds are on different scales.

        Args:
            text: words, in any language that the text encoder knows.
            image: a path, an ``s3://`` address, a file's bytes, or a PIL image.
            series: a ``.npy`` path, a (time, channels) array, or a ``Series``.
            k: at most this many hits.
            id: of a moment in the bundle: its vector (of the compared kind, where it has one).
            vector: (dim,) in the common space, or the path of a ``.npy`` file with one.
            where: a condition on metadata, such as ``location == 'tokyo' and speed_max > 10``.
            after: ISO 8601 or microseconds: the first time that counts.
            before: the first time that does not.
            against: ``image``, ``text`` or ``timeseries``: which vectors of the moments to compare with; only
                moments that have one can be found. By default a signal alone is compared with signals,
                everything else with pictures; and where the bundle lacks those, with what it has.
            weights: kind of part -> a factor for all its parts, or a list with one for each.
            metric: ``cosine``, ``l2`` or ``ip``: vectors have length one, so that only the score differs.
            per_scene: at most so many moments of one scene.
            diverse: choose hits that differ from each other; a number 0 to 1 says how far (True: 0.5).
            merge_seconds: frames of one scene this near in time are one moment. By default two and a half
                of the data's usual intervals.

        Raises:
            SettingsError: no query, or options that mean nothing here.
            DataError: the query cannot be used; the message says why.
            EncoderError: an encoder cannot be loaded, or is not the one that made the bundle.
        """
        options = wanted(
            k,
            where=where,
            after=after,
            before=before,
            metric=metric,
            per_scene=per_scene,
            diverse=diverse,
            merge_seconds=merge_seconds,
        )
        asked: dict[PartKind, Any] = {
            "text": text,
            "image": image,
            "series": series,
            "id": id,
            "vector": vector,
        }
        query, target = self.encode(asked, weights, against)
        return self.rows(target).nearest(query, options)

    def encode(
        self,
        asked: Mapping[PartKind, Any],
        weights: Weights | None = None,
        against: Modality | str | None = None,
        *,
        vector_of: Callable[[Part], FloatArray] | None = None,
    ) -> tuple[FloatArray, Modality]:
        """((dim,) of length one, what it is compared with): a query as ``search`` understands it.

        Args:
            asked: kind of part -> what ``search`` takes under that name.
            vector_of: words, a picture or a signal -> (dim,), in place of ``space.vector``: a server encodes
                those of several queries at once.

        Raises:
            SettingsError, DataError, EncoderError: as ``search``.
        """
        parts = parts_of(asked, weights)
        target = self._target({part.kind for part in parts}, against)
        vectors = [self._part_vector(part, target, vector_of or self.common.vector) for part in parts]
        return combined(vectors, parts, unit=True), target

    @property
    def space(self) -> str:
        """Hex digest of the common space: encoders and heads. Vectors of another one cannot be compared."""
        return self.common.digest

    def rows(self, against: Modality | str) -> Rows:
        """The moments' vectors of one kind.

        Raises:
            SettingsError: the bundle has none.
        """
        modality = self._target(set(), against)
        if modality not in self._opened:
            rows = self._of[modality]
            columns = self.columns.take(pa.array(rows))
            self._opened[modality] = Rows(
                columns["moment_id"].to_pylist(),
                self.dim,
                lambda some: self._table.gather(rows[some]),
                columns.select([name for name in columns.column_names if name not in ("id", "key")]),
                ranker=ranker_of(self._index, rows),
            )
        return self._opened[modality]

    def vectors(self, ids: Sequence[str], against: Modality | str | None = None) -> FloatArray:
        """(n, dim) float32 of length one: the vectors of these moments; ``search(vector=...)`` takes them.

        Args:
            against: which of their vectors; by default as ``search`` compares. A moment without one gives
                its next kind.

        Raises:
            DataError: an unknown id; the message names the nearest ones.
        """
        target = self._target(set(), against)
        found = [self.having(one, target).vectors([one]).reshape(-1) for one in ids]
        return np.stack(found) if found else np.empty((0, self.dim), dtype=np.float32)

    @cached_property
    def _index(self) -> Searchable | None:
        return index_of(self.folder / _VECTORS, self._table) if self._engine is None else self._engine

    def _target(self, kinds: set[str], against: Modality | str | None) -> Modality:
        present = [modality for modality in Modality if modality in self._of]
        if against is not None:
            names = [modality.value for modality in present]
            if str(against) not in names:
                raise SettingsError(
                    f"The bundle has no {str(against)!r} vectors to compare with.",
                    remedy=f"use one of: {', '.join(names)}",
                )
            return Modality(str(against))
        if not present:
            raise BundleError("The bundle holds no vectors.", where=self.folder, remedy="train again")
        if kinds == {"series"} and Modality.TIMESERIES in present:
            return Modality.TIMESERIES
        return min(present, key=_PREFERRED.index)

    def _part_vector(
        self, part: Part, target: Modality, vector_of: Callable[[Part], FloatArray]
    ) -> FloatArray:
        if part.kind == "vector":
            return plain_vector(part.value, self.dim)
        if part.kind == "id":
            kind = self._kind_of(str(part.value), target)
            vector = self.rows(kind).vectors([str(part.value)]).reshape(-1)
        else:
            kind, vector = part.modality, vector_of(part)
        return self.common.as_query(kind, vector) if kind is target else vector

    def having(self, one: str, against: Modality | str | None = None) -> Rows:
        """Rows that have this moment, of the compared kind if it can be; without it where it is unknown."""
        return self.rows(self._kind_of(one, self._target(set(), against)))

    def _kind_of(self, one: str, target: Modality) -> Modality:
        kinds = [modality for modality in (target, *_PREFERRED) if modality in self._of]
        return next((kind for kind in kinds if self.rows(kind).has(one)), target)
