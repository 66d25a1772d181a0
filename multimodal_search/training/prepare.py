"""From settings to features: the source, the frozen encoders, and the table that training reads."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from multimodal_search import encoders as encoder_registry
from multimodal_search.embedding.collect import collect
from multimodal_search.embedding.wanted import read_signals
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import DataError, SettingsError, SkipInput
from multimodal_search.projectors.bundle import BundleInfo
from multimodal_search.settings import EvaluateSettings, TrainSettings
from multimodal_search.sources.base import Source
from multimodal_search.storage import default_features_dir
from multimodal_search.training.given import Given, pair_hint
from multimodal_search.types import Item, Modality, MomentFeatures

logger = logging.getLogger("multimodal_search")

SERIES_ENCODERS = ("timeseries/statistics", "timeseries/kernels")
Encoders = Mapping[Modality, FrozenEncoder]


def resolve_device(device: str) -> str:
    """``auto`` -> the best there is.

    Raises:
        SettingsError: ``cuda`` was asked for and there is none.
    """
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise SettingsError(
            "--device cuda, but this machine shows no CUDA device to torch.",
            where=f"torch {torch.__version__}, CUDA build: {torch.version.cuda or 'none'}",
            remedy="use --device cpu, or install a driver and a torch build that match",
        )
    if device == "auto":
        return "cuda" if available else "cpu"
    if device == "cpu" and available:
        logger.warning("running on the CPU although a GPU is there; --device cuda is much faster")
    return device


def build_encoders(
    settings: TrainSettings, source: Source, device: str, given: Given | None = None
) -> dict[Modality, FrozenEncoder]:
    """The image and text encoders for the modalities that the items have and no given table holds.

    Raises:
        EncoderError: unknown encoder, or weights that cannot be reached.
        DataError: a given table holds what no item has.
    """
    given = given or {}
    items = source.items()
    present = {
        Modality.IMAGE: any(item.image_path or item.images for item in items),
        Modality.TEXT: any(text.strip() for item in items for text in item.text),
    }
    defaults = encoder_registry.default_encoders(source.kind == "sample")
    asked = {
        Modality.IMAGE: (settings.image_encoder, settings.image_weights),
        Modality.TEXT: (settings.text_encoder, settings.text_weights),
    }
    for modality, table in given.items():
        if not present[modality]:
            raise DataError(
                f"--features gives {modality} features, but no item of this data has one.",
                where=table.place,
                remedy="leave that table out, or check the data",
            )
    built = {}
    for modality, (name, weights) in asked.items():
        if not present[modality] or modality in given:
            continue
        default_name, default_weights = defaults[modality]
        if name is None:
            name, weights = default_name, weights or default_weights
        built[modality] = encoder_registry.build(name, modality, weights, device)
    if Modality.IMAGE in given and Modality.TEXT in built and settings.text_encoder is None:
        pair_hint(given, built[Modality.TEXT].card.space)
    return built


def series_channels(source: Source) -> tuple[str, ...]:
    """The names of all channels, over the first usable signal of each scene, in order of appearance.

    Raises:
        DataError: no item has a usable signal.
    """
    names: dict[str, None] = {}
    seen: set[str] = set()
    reasons: list[str] = []
    asked: deque[Item] = deque()

    def of_other_scenes() -> Iterator[Item]:
        for item in source.items():
            if item.scene_id not in seen:
                asked.append(item)
                yield item

    for series in read_signals(source, of_other_scenes()):
        item = asked.popleft()
        if item.scene_id in seen:  # some are read before the one before them is known
            continue
        if isinstance(series, SkipInput):
            reasons.append(series.reason)
        elif series is not None:
            seen.add(item.scene_id)
            names.update(dict.fromkeys(series.channels))
    if not names:
        raise DataError(
            "--include-timeseries, but no item has a usable signal"
            + (f" (the first reason: {reasons[0]})" if reasons else "")
            + ".",
            where=source.root,
            remedy="leave the flag out, or add the signals (docs/data.md says where they are looked for)",
        )
    return tuple(names)


def build_series_encoders(source: Source, device: str) -> dict[str, FrozenEncoder]:
    """The candidates for the signals, by name; cross-validation keeps the winner."""
    channels = series_channels(source)
    return {
        name: encoder_registry.build(name, Modality.TIMESERIES, None, device, channels=channels)
        for name in SERIES_ENCODERS
    }


def bundle_encoders(
    info: BundleInfo, device: str, modalities: set[Modality], where: Path
) -> dict[Modality, FrozenEncoder]:
    """The encoders that made the bundle in ``where``, checked against the fingerprints it holds.

    Raises:
        EncoderError: an encoder gives other vectors than those in the bundle.
    """
    built = {}
    for modality, (card, fingerprint) in info.encoders.items():
        if modality in modalities:
            built[modality] = encoder_registry.build_from_card(card, device)
            encoder_registry.verify(built[modality], fingerprint, where)
    return built


def gather(
    source: Source,
    encoders: Encoders,
    settings: TrainSettings | EvaluateSettings,
    given: Given | None = None,
) -> MomentFeatures:
    """Every input through its encoder, once; what is in a table already is only read."""
    return collect(
        source,
        encoders,
        features_dir=Path(settings.features_dir) if settings.features_dir else default_features_dir(),
        given=given,
        cameras=tuple(settings.cameras),
        batch_size=settings.encode_batch_size,
        num_workers=settings.num_workers,
    )


def describe(source: Source, items: list[Item]) -> str:
    """One line on the data."""
    scenes = {item.scene_id for item in items}
    groups = {item.group for item in items if item.group}
    skipped = f", {len(source.failures)} inputs skipped" if source.failures else ""
    return (
        f"{source.kind}: {len(items)} items of {len(scenes)} scenes"
        + (f" in {len(groups)} logs" if groups else "")
        + f" from {source.root}{skipped}"
    )
