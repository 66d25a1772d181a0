"""Search over vectors that are no bundle: an index, a feature table, a Parquet file, or ``.npy`` with ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self, cast

from multimodal_search import encoders
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import DataError, EncoderError, SettingsError, SkipInput
from multimodal_search.filters import Compare, Filter, all_of, parse
from multimodal_search.index import Index, is_index, load
from multimodal_search.index.metric import Metric
from multimodal_search.search import queries
from multimodal_search.search.device import resolve_device
from multimodal_search.search.hits import Hit
from multimodal_search.search.indexed import index_ranking
from multimodal_search.search.options import Time, wanted
from multimodal_search.search.parts import Part, Weights, combined, parts_of, plain_vector
from multimodal_search.search.rows import Rows
from multimodal_search.tables import open_vectors
from multimodal_search.types import EncoderCard, FloatArray, Modality


class VectorSearcher:
    """Vectors that are open for questions, without heads.

    Args:
        rows: what is searched.
        card: of the encoder that made them, if known: only then can one ask with words, pictures or signals.
        fingerprint: of that encoder.
        stored: the metric that the vectors were made ready for; None where they are as they were.
    """

    def __init__(
        self,
        rows: Rows,
        location: str,
        *,
        card: EncoderCard | None = None,
        fingerprint: str | None = None,
        stored: Metric | None = None,
        device: str = "cpu",
    ) -> None:
        self.location = location
        self._rows = rows
        self._card = card
        self._fingerprint = fingerprint
        self._stored = stored
        self._device = device
        self._encoders: dict[Modality, FrozenEncoder] = {}

    @classmethod
    def open(cls, location: str | Path, *, ids: str | Path | None = None, device: str = "auto") -> Self:
        """Open an index file of ``multimodal-search index``, or vectors as ``open_vectors`` takes them.

        Args:
            device: ``auto``, ``cpu`` or ``cuda``: where queries are encoded.

        Raises:
            DataError: nothing is there.
            BundleError: it is damaged.
        """
        path = Path(location).expanduser()
        if path.suffix == ".faiss" or is_index(path):
            return cls._from_index(load(path), device)
        found = open_vectors(location, ids=ids)
        known = found.columns
        names = found.ids
        if known is not None and "moment_id" in known.column_names:
            names = known["moment_id"].to_pylist()
        rows = Rows(names, found.dim, found.gather, known)
        return cls(rows, str(location), card=found.card, fingerprint=found.fingerprint, device=device)

    @classmethod
    def _from_index(cls, index: Index, device: str) -> Self:
        columns = index.columns
        names = columns["moment_id" if "moment_id" in columns.column_names else "id"].to_pylist()
        metric = cast(Metric, index.metric)
        rows = Rows(
            names,
            index.dim,
            index.vectors,
            columns,
            ranker=lambda query, allowed, scan: index_ranking(index, query, allowed, scan),
            metric=metric,
            usable=index.usable,
        )
        card = index.info.get("card")
        return cls(
            rows,
            str(index.path),
            card=EncoderCard.from_json(card) if card else None,
            fingerprint=index.fingerprint,
            stored=metric,
            device=device,
        )

    def __len__(self) -> int:
        return len(self._rows)

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
        """The ``k`` nearest rows, best first; arguments as ``Searcher.search`` takes them.

        With the metrics ``ip`` and ``l2`` vectors count with their length: parts are added as they are, and
        with ``l2`` divided by the sum of their weights, so that several are asked for by their mean.

        Args:
            against: only rows whose column ``type`` is this.
            metric: None is the index's own; ``cosine`` without an index.

        Raises:
            SettingsError: no query, or options that mean nothing here.
            DataError: the query cannot be used, or an id is unknown.
            EncoderError: nobody knows which encoder made the vectors, or it is another one.
        """
        options = wanted(
            k,
            where=all_of(
                parse(where) if isinstance(where, str) else where,
                Compare("type", "==", str(against)) if against else None,
            ),
            after=after,
            before=before,
            metric=self._metric(metric),
            per_scene=per_scene,
            diverse=diverse,
            merge_seconds=merge_seconds,
        )
        parts = parts_of(
            {"text": text, "image": image, "series": series, "id": id, "vector": vector}, weights
        )
        vectors = [self._part_vector(part) for part in parts]
        return self._rows.nearest(self._query(vectors, parts, self._metric(metric)), options)

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        """(n, dim) float32: the vectors of these ids.

        Raises:
            DataError: an unknown id; the message names the nearest ones.
        """
        return self._rows.vectors(ids)

    def _metric(self, asked: Metric | None) -> Metric:
        metric = asked or self._rows.metric
        if self._stored == "cosine" and metric != "cosine":
            raise SettingsError(
                f"The index was built for the cosine: it has no lengths, which {metric} needs.",
                where=self.location,
                remedy=f"build one with --metric {metric}, or search the table that it was built from",
            )
        return metric

    def _query(self, vectors: Sequence[FloatArray], parts: Sequence[Part], metric: Metric) -> FloatArray:
        if metric == "cosine":
            return combined(vectors, parts, unit=True)
        total = combined(vectors, parts, unit=False)
        if metric == "ip":
            return total
        if any(part.weight < 0 for part in parts):
            raise SettingsError(
                "With the metric l2 a query has a place, and no place is away from a part.",
                remedy="use --metric cosine for negatives",
            )
        return total / sum(part.weight for part in parts)

    def _part_vector(self, part: Part) -> FloatArray:
        if part.kind == "vector":
            return plain_vector(part.value, self._rows.dim)
        if part.kind == "id":
            return self._rows.vectors([str(part.value)]).reshape(-1)
        modality = part.modality
        encoder = self._encoder(modality)
        raw = queries.read(modality, part.value, encoder.card)
        try:
            return encoder.embed([encoder.preprocess(raw)]).reshape(-1)
        except SkipInput as skip:
            raise DataError(f"The query {part.kind} cannot be used: {skip.reason}.") from skip

    def _encoder(self, modality: Modality) -> FrozenEncoder:
        if modality not in self._encoders:
            self._encoders[modality] = self._built(modality)
        return self._encoders[modality]

    def _built(self, modality: Modality) -> FrozenEncoder:
        if self._card is None or self._fingerprint is None:
            raise EncoderError(
                "Nobody knows which encoder made these vectors.",
                where=self.location,
                remedy="ask with a vector or an id, or search the feature table itself",
            )
        device = resolve_device(self._device)  # torch loads only where something is encoded
        own = encoders.build_from_card(self._card, device)
        # also where the other tower is asked: it is of the same weights only if this one is
        encoders.verify(own, self._fingerprint, Path(self.location))
        if modality is self._card.modality:
            return own
        other = None if self._card.space is None else _tower(self._card, modality)
        if other is None:
            raise EncoderError(
                f"{self._card.name} embeds {self._card.modality.value}s; it cannot be asked with "
                f"{modality.value}.",
                where=self.location,
                remedy=f"ask with {self._card.modality.value}, or train a bundle, in which all kinds meet",
            )
        return encoders.build_from_card(other, device)


def _tower(card: EncoderCard, modality: Modality) -> EncoderCard | None:
    """The same model's encoder of another modality, if it is of the same space."""
    try:
        other = encoders.card(card.name, modality, card.weights)
    except EncoderError:
        return None
    return other if other.space == card.space else None
