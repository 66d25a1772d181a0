"""Query -> encoder -> head -> exact scan over the bundle's vectors -> moments."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from multimodal_search import encoders
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import BundleError, DataError, SettingsError, SkipInput
from multimodal_search.projectors.bundle import BundleInfo, load_projectors, read_bundle_info
from multimodal_search.projectors.heads import Projector
from multimodal_search.search import queries
from multimodal_search.storage import is_s3
from multimodal_search.tables import FeatureTable, open_table
from multimodal_search.types import FloatArray, IntArray, Modality

logger = logging.getLogger(__name__)

_VECTORS = "vectors"
_DESCRIBED = ("type", "moment_id", "scene_id", "text", "image_path", "location", "timestamp_us", "metadata")
_SCAN_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Hit:
    """One moment that was found.

    Attributes:
        score: cosine between the query and the moment's vector, -1 to 1; comparable within one search only.
        text: the moment's first description, empty where it has none.
        image_path: relative to ``Searcher.root``, or ``s3://``; None where it has no picture.
    """

    id: str
    scene_id: str
    score: float
    text: str
    image_path: str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    location: str | None = None
    timestamp_us: int | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


class Searcher:
    """A bundle that is open for questions. Nothing of it is changed; encoders load on the first query.

    Attributes:
        folder: the bundle.
        info: what ``bundle.json`` says.
        root: what image paths are relative to.
    """

    def __init__(
        self,
        folder: Path,
        info: BundleInfo,
        table: FeatureTable,
        projectors: Mapping[Modality, Projector],
        device: str,
    ) -> None:
        self.folder = folder
        self.info = info
        self._table = table
        self._projectors = projectors
        self._device = device
        self._encoders: dict[Modality, FrozenEncoder] = {}
        self._columns = table.columns().select(_DESCRIBED)
        kinds = np.asarray(self._columns["type"].to_pylist(), dtype=np.str_)
        self._rows: dict[Modality, IntArray] = {
            modality: rows for modality in Modality if len(rows := np.flatnonzero(kinds == modality.value))
        }

    @classmethod
    def open(cls, bundle: str | Path, device: str = "auto") -> Self:
        """Open the folder that training wrote; it may have been moved.

        Args:
            device: ``auto``, ``cpu`` or ``cuda``: where queries are encoded.

        Raises:
            BundleError: the folder holds no whole bundle.
            SettingsError: ``cuda`` without a CUDA device.
        """
        folder = Path(bundle).expanduser()
        info = read_bundle_info(folder)
        device = _resolve(device)
        table = open_table(folder / _VECTORS, verify=False)
        if not set(_DESCRIBED) <= set(table.columns().column_names):
            raise BundleError(
                "The bundle's vectors do not say which moments they are of.",
                where=folder / _VECTORS,
                remedy="copy the whole bundle folder, or train again",
            )
        return cls(folder, info, table, load_projectors(folder, info, device), device)

    def __len__(self) -> int:
        """How many moments can be found."""
        return len(set(self._columns["moment_id"].to_pylist()))

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What can be asked with."""
        return tuple(self.info.encoders)

    @cached_property
    def root(self) -> Path:
        """The data's root at training; where that is gone, the copy that the bundle itself brings, if any."""
        known = Path(str(self.info.data.get("root", "")))
        own = self.folder / "sample_data"
        return own if not known.is_dir() and own.is_dir() else known

    def image_file(self, hit: Hit) -> Path | str | None:
        """Where a hit's picture is: a path, an ``s3://`` address, or None."""
        if hit.image_path is None or is_s3(hit.image_path):
            return hit.image_path
        return self.root / hit.image_path

    def search(
        self,
        text: str | Sequence[str] | None = None,
        image: queries.ImageQuery | None = None,
        series: queries.SeriesQuery | None = None,
        k: int = 10,
        *,
        against: Modality | str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> list[Hit]:
        """The ``k`` moments nearest to the query, best first.

        Several parts (two phrases, words and a picture) become one query: the weighted mean of their vectors.
        One kind of the moments' vectors is compared: cosines of different kinds are on different scales.

        Args:
            text: words, in any language that the text encoder knows; several phrases as a list.
            image: a path, an ``s3://`` address, a file's bytes, or a PIL image.
            series: a ``.npy`` path, a (time, channels) array, or a ``Series``.
            k: at most this many hits.
            against: ``image``, ``text`` or ``timeseries``: which vectors of the moments to compare with; only
                moments that have one can be found. By default a signal alone is compared with signals,
                everything else with pictures; and where the bundle lacks those, with what it has.
            weights: ``text``, ``image``, ``series`` -> weight of that part; 1 where it is not given.

        Raises:
            SettingsError: no query, ``k`` under 1, weights or ``against`` that mean nothing here.
            DataError: the query cannot be used; the message says why.
            EncoderError: an encoder cannot be loaded, or is not the one that made the bundle.
        """
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise SettingsError(f"k must be a whole number of at least 1, not {k!r}.")
        asked = {"text": text, "image": image, "series": series}
        parts = {name: part for name, part in asked.items() if part is not None}
        if not parts:
            raise SettingsError(
                "Nothing to search for.", remedy="give text, an image, a series, or several of them"
            )
        target = self._target(tuple(parts), against)
        weighed = _weights(weights, tuple(parts))
        vector = np.zeros(next(iter(self.info.heads.values())).out_dim, dtype=np.float64)
        for name, part in parts.items():
            vector += weighed[name] * self._query_vector(name, part)
        return self._nearest(_unit(vector), target, int(k))

    def _target(self, parts: tuple[str, ...], against: Modality | str | None) -> Modality:
        present = [modality for modality in Modality if modality in self._rows]
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
        wanted = [Modality.IMAGE, Modality.TEXT, Modality.TIMESERIES]
        if parts == ("series",):
            wanted.insert(0, Modality.TIMESERIES)
        return next(modality for modality in wanted if modality in present)

    def _query_vector(self, name: str, part: Any) -> FloatArray:
        """(dim,) of length one."""
        modality = Modality.TIMESERIES if name == "series" else Modality(name)
        if modality not in self.info.encoders:
            raise SettingsError(
                f"The bundle was made without {modality.value}, so that it cannot be asked with {name}.",
                where=self.folder,
                remedy="it takes: " + ", ".join(one.value for one in self.info.encoders),
            )
        raw: list[Any]
        if modality is Modality.TEXT:
            raw = queries.texts(part)
        elif modality is Modality.IMAGE:
            raw = [queries.picture(part)]
        else:
            raw = [queries.series(part, self.info.encoders[modality].card)]
        encoder = self._encoder(modality)
        try:
            ready = [encoder.preprocess(one) for one in raw]
        except SkipInput as skip:
            raise DataError(f"The query {name} cannot be used: {skip.reason}.") from skip
        projected = self._projectors[modality].project(encoder.embed(ready)).astype(np.float64)
        return _unit(projected.sum(axis=0))

    def _encoder(self, modality: Modality) -> FrozenEncoder:
        if modality not in self._encoders:
            known = self.info.encoders[modality]
            encoder = encoders.build_from_card(known.card, self._device)
            encoders.verify(encoder, known.fingerprint, self.folder)
            self._encoders[modality] = encoder
        return self._encoders[modality]

    def _nearest(self, query: FloatArray, target: Modality, k: int) -> list[Hit]:
        """Exact scan in blocks of the memory map; equal scores in the order of the data."""
        rows = self._rows[target]
        scores = np.concatenate(
            [
                self._table.gather(rows[start : start + _SCAN_ROWS]).astype(np.float32, copy=False)
                @ query.astype(np.float32)
                for start in range(0, len(rows), _SCAN_ROWS)
            ]
        )
        best = np.argsort(-scores, kind="stable")[:k]
        return [self._hit(int(rows[place]), float(scores[place])) for place in best]

    def _hit(self, row: int, score: float) -> Hit:
        known = {name: self._columns[name][row].as_py() for name in _DESCRIBED}
        return Hit(
            id=known["moment_id"],
            scene_id=known["scene_id"],
            score=score,
            text=known["text"],
            image_path=known["image_path"],
            metadata=json.loads(known["metadata"]),
            location=known["location"],
            timestamp_us=known["timestamp_us"],
        )


def _weights(weights: Mapping[str, float] | None, parts: tuple[str, ...]) -> dict[str, float]:
    given = dict(weights or {})
    if wrong := [name for name in given if name not in parts]:
        raise SettingsError(
            f"A weight for {wrong[0]!r}, which is not part of this query ({', '.join(parts)})."
        )
    out = {name: float(given.get(name, 1.0)) for name in parts}
    if not all(np.isfinite(one) for one in out.values()) or not any(out.values()):
        raise SettingsError(f"The weights must be numbers that are not all zero, not {given}.")
    return out


def _unit(vector: FloatArray) -> FloatArray:
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0.0:
        raise DataError("The query has no direction: its parts cancel, or its encoder found nothing in it.")
    return vector / length


def _resolve(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "--device cuda, but this machine shows no CUDA device to torch.", remedy="use --device cpu"
        )
    if device not in ("cpu", "cuda"):
        raise SettingsError(f"Unknown device {device!r}.", remedy="use auto, cpu or cuda")
    return device
