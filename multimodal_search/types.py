"""The types that the stages hand to each other: frozen dataclasses, no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Pool = Literal["default", "cls", "mean", "grid"]


class Modality(StrEnum):
    """What a vector was made from."""

    IMAGE = "image"
    TEXT = "text"
    TIMESERIES = "timeseries"


@dataclass(frozen=True, slots=True)
class Item:
    """One moment (or one picture, or one specimen): a row of the data.

    Attributes:
        id: unique, stable and readable, for example ``scene-0061/1532402927647951``.
        scene_id: the scene it belongs to; splits never cut a scene.
        timestamp_us: microseconds since the epoch, or None.
        image_path: the primary picture, relative to the source's root or an ``s3://`` address.
        images: camera name -> path, the primary one included.
        text: descriptions; the first is the primary one; may be empty.
        series_path: where the signal comes from, for people; ``Source.series`` reads it.
        group: the log (drive) or category; splits keep a group together.
        metadata: flat, filterable values.
    """

    id: str
    scene_id: str
    timestamp_us: int | None = None
    image_path: str | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    text: tuple[str, ...] = ()
    series_path: str | None = None
    location: str | None = None
    group: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """A stretch of named signals.

    Attributes:
        timestamps_seconds: (T,) float64, strictly increasing.
        values: (T, C) float64; NaN where a channel has no value.
        channels: C names with their SI unit, for example ``speed_mps``.
    """

    timestamps_seconds: FloatArray
    values: FloatArray
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """One input of bulk embedding: named, not yet read.

    Attributes:
        id: of its row: unique, stable and readable. A path relative to the inputs' root, with ``/``; for
            a text the text itself.
        key: changes when the content does, as far as that is known before reading; empty where it is not.
        location: a local path or an ``s3://`` address; empty for a text.
    """

    id: str
    key: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """One input that was skipped, and why."""

    id: str
    path: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """What is known of an encoder without loading a weight.

    Attributes:
        name: ``family/model``.
        weights: a published tag, a local path, ``random``, or ``shipped``.
        dim: length of the embedding.
        image_size_px: (height, width) of the model's input; None for text and signals.
        space: encoders of equal ``space`` share one embedding space (CLIP's two towers).
        normalise: whether embeddings are L2-normalised before they are stored.
        options: what else rebuilds the encoder (channels and rate of a timeseries encoder).
    """

    name: str
    weights: str
    modality: Modality
    dim: int
    image_size_px: tuple[int, int] | None = None
    pool: Pool = "default"
    pools: tuple[Pool, ...] = ("default",)
    licence: str = "unknown"
    space: str | None = None
    normalise: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; ``from_json`` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EncoderCard:
        size = data.get("image_size_px")
        fixed = {
            "modality": Modality(data["modality"]),
            "image_size_px": tuple(size) if size else None,
            "pools": tuple(data.get("pools", ("default",))),
        }
        return cls(**{**data, **fixed})


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The frozen encoder's vectors of one modality, linked to items.

    A row may serve many items (a scene's description) and an item may have many rows (captions, cameras):
    link ``l`` says that row ``row_index[l]`` belongs to item ``item_index[l]``. An item's links are
    consecutive and in order of preference (its first link is its primary row).

    Attributes:
        vectors: (rows, dim) float16 or float32, often a memory map.
        ids: one a row: the image's path, the text itself, or the item's id.
        item_index: (links,) int64, non-decreasing.
        row_index: (links,) int64.
        fingerprint: of the encoder that made the vectors.
    """

    vectors: FloatArray
    ids: tuple[str, ...]
    item_index: IntArray
    row_index: IntArray
    card: EncoderCard
    fingerprint: str

    def primary_rows(self, n_items: int) -> IntArray:
        """(n_items,) the first row of each item, -1 where it has none."""
        first = np.full(n_items, -1, dtype=np.int64)
        # reversed, so that the first link is written last and stays
        first[self.item_index[::-1]] = self.row_index[::-1]
        return first


@dataclass(frozen=True, slots=True)
class MomentFeatures:
    """Items with the features of the modalities they have: all that training reads."""

    items: tuple[Item, ...]
    sets: Mapping[Modality, FeatureSet]
    failures: tuple[Failure, ...] = ()

    def scenes(self) -> tuple[str, ...]:
        """Scene ids in order of first appearance."""
        return tuple(dict.fromkeys(item.scene_id for item in self.items))

    def select(self, scene_ids: Collection[str]) -> MomentFeatures:
        """The items of these scenes; the vectors stay shared, only the links are cut."""
        wanted = set(scene_ids)
        keep = np.array([item.scene_id in wanted for item in self.items], dtype=bool)
        new_index = np.cumsum(keep) - 1
        sets = {}
        for modality, one in self.sets.items():
            links = keep[one.item_index]
            sets[modality] = replace(
                one,
                item_index=new_index[one.item_index[links]].astype(np.int64),
                row_index=one.row_index[links],
            )
        items = tuple(item for item, kept in zip(self.items, keep, strict=True) if kept)
        return MomentFeatures(items, sets, self.failures)
