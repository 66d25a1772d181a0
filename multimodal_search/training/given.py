"""``--features``: tables of bulk embedding in place of encoders, refused where they cannot stand for them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from multimodal_search import encoders as encoder_registry
from multimodal_search.embedding.given import GivenTable
from multimodal_search.errors import BundleError, EncoderError, ProjectError, SettingsError
from multimodal_search.projectors.bundle import BundleEncoder, BundleInfo
from multimodal_search.settings import TrainSettings
from multimodal_search.tables import open_table
from multimodal_search.types import Modality

logger = logging.getLogger("multimodal_search")
Given = Mapping[Modality, GivenTable]
_SINGLE_FILES = {".parquet", ".npy", ".hdf5", ".h5"}


def open_given(places: Sequence[str]) -> dict[Modality, GivenTable]:
    """The tables by what they hold.

    Args:
        places: folders or ``s3://`` addresses; a single-file output stands for the parts beside it.

    Raises:
        BundleError: a table is absent, damaged, or of a kind that training cannot read.
        SettingsError: two tables of one modality.
    """
    given: dict[Modality, GivenTable] = {}
    for place in places:
        one = _open(place)
        modality = one.card.modality
        if modality in given:
            raise SettingsError(
                f"Two tables of {modality} features were given: {given[modality].place} and {one.place}.",
                where="--features",
                remedy="give one a modality; embedding into one folder adds to its table",
            )
        given[modality] = one
    return given


def _open(place: str) -> GivenTable:
    if PurePosixPath(place).suffix in _SINGLE_FILES:
        place += ".parts"
    table = open_table(place)
    card = table.info.card
    if card is None:
        raise BundleError(
            "These vectors were not made by one frozen encoder, so that no head can be trained on them.",
            where=place,
            remedy="give the --out folder of 'multimodal-search embed'",
        )
    if card.pool == "grid":
        raise BundleError(
            f"The table holds a grid of patches for each picture ({card.name}, --pool grid); "
            "training reads one vector each.",
            where=place,
            remedy="embed into another folder with --pool mean (or leave --pool out)",
        )
    if card.modality not in (Modality.IMAGE, Modality.TEXT):
        raise BundleError(
            f"The table holds {card.modality} features; --features takes those of images and texts.",
            where=place,
            remedy="leave it out: signals are encoded while training, in seconds",
        )
    return GivenTable(table, place)


def entries(given: Given) -> dict[Modality, BundleEncoder]:
    """What the bundle says of the encoders that made the tables."""
    return {modality: BundleEncoder(one.card, one.fingerprint) for modality, one in given.items()}


def check_asked(given: Given, settings: TrainSettings) -> None:
    """Refuse encoder flags that name another encoder than the table's.

    Raises:
        SettingsError: they do; both are named.
        EncoderError: a flag names an unknown encoder.
    """
    asked = {
        Modality.IMAGE: (settings.image_encoder, settings.image_weights),
        Modality.TEXT: (settings.text_encoder, settings.text_weights),
    }
    for modality, one in given.items():
        name, weights = asked[modality]
        if name is not None and name != one.card.name:
            name = encoder_registry.card(name, modality, weights).name  # a model may have several names
        if (name or one.card.name, weights or one.card.weights) != (one.card.name, one.card.weights):
            raise SettingsError(
                f"--{modality}-encoder asks for {name or one.card.name}"
                f"{f' ({weights})' if weights else ''}, but the table was made by {one.card.name} "
                f"({one.card.weights}).",
                where=one.place,
                remedy=f"leave --{modality}-encoder and --{modality}-weights out, or embed with that encoder",
            )


def check_bundle(given: Given, info: BundleInfo, bundle: Path) -> None:
    """Refuse tables that other encoders made than those of a bundle.

    Raises:
        EncoderError: the encoders differ, or the bundle has no head for what the table holds.
    """
    for modality, one in given.items():
        known = info.encoders.get(modality)
        if known is None or known.fingerprint != one.fingerprint:
            its = f"{known.card.name} ({known.card.weights})" if known else f"no {modality} encoder"
            raise EncoderError(
                f"The table was made by {one.card.name} ({one.card.weights}, fingerprint "
                f"{one.fingerprint[:12]}), the bundle has {its}"
                f"{f', fingerprint {known.fingerprint[:12]}' if known else ''}.",
                where=f"{one.place} and {bundle}",
                remedy="leave --features out, or give a table of the bundle's own encoder",
            )


def own_tables(info: BundleInfo, bundle: Path) -> dict[Modality, GivenTable]:
    """The tables that a bundle was trained from, as far as they still are what they were."""
    given: dict[Modality, GivenTable] = {}
    for place in info.data.get("features", ()):
        try:
            one = open_given([str(place)])
            check_bundle(one, info, bundle)
        except ProjectError as error:
            logger.warning("features  %s is not used, its inputs are encoded again: %s", place, error.what)
        else:
            given |= one
    return given


def pair_hint(given: Given, text_space: str | None) -> None:
    """Say so where the table's encoder has a text tower of its own and another one was taken."""
    image = given[Modality.IMAGE].card
    if image.space is None or image.space == text_space:
        return
    try:
        pair = encoder_registry.card(image.name, Modality.TEXT, image.weights)
    except EncoderError:
        return
    if pair.space == image.space:
        logger.warning(
            "%s was trained together with a text encoder that is not used here: "
            "add --text-encoder %s --text-weights %s",
            image.name,
            pair.name,
            pair.weights,
        )
