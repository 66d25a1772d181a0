"""Measuring a bundle: on its own unseen scenes, or on other data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_search.errors import BundleError
from multimodal_search.metrics.evaluate import evaluate
from multimodal_search.projectors.bundle import BundleInfo, load_projectors, read_bundle_info
from multimodal_search.projectors.heads import Projector
from multimodal_search.settings import DataSettings, EvaluateSettings, TrainSettings, check, read_config
from multimodal_search.sources import open_source
from multimodal_search.splits import Splits
from multimodal_search.storage import is_s3
from multimodal_search.training import prepare
from multimodal_search.training.given import check_bundle, open_given, own_tables
from multimodal_search.types import FeatureSet, Modality, MomentFeatures

_SOURCES = ("data_dir", "nuscenes_path", "pairs", "use_sample_data")


def evaluate_bundle(settings: EvaluateSettings) -> dict[str, Any]:
    """The content of ``metrics.json`` for a bundle, measured now.

    Without data flags the bundle's own data (and the tables it was trained from) is read again and its test
    scenes are measured. With data flags, scenes that the bundle was trained on are left out.

    Raises:
        BundleError: no whole bundle; or it does not say where its data is.
        EncoderError: the encoder at hand, or that of ``--features``, is not the one that made the bundle.
    """
    info, features = bundle_features(settings)
    bundle = Path(settings.bundle)
    splits = splits_beside(features, bundle)
    if not splits.test:
        raise BundleError(
            "No unseen scene is left to measure: all scenes of this data trained the bundle.",
            where=bundle,
            remedy="give other data, for example --data-dir DIR",
        )
    return measure(features, load_projectors(bundle, info), splits)


def bundle_features(settings: EvaluateSettings) -> tuple[BundleInfo, MomentFeatures]:
    """What a bundle's encoders make of its own data, or of the data that the settings name.

    Raises:
        BundleError: no whole bundle; or it does not say where its data is.
        EncoderError: the encoder at hand, or that of ``--features``, is not the one that made the bundle.
    """
    bundle = Path(settings.bundle)
    info = read_bundle_info(bundle)
    device = prepare.resolve_device(settings.device)
    data = _with_data(settings, info)
    given = open_given(settings.features)
    check_bundle(given, info, bundle)
    if data is not settings and not given:
        given = own_tables(info, bundle)
    source = open_source(data, sample_dir=bundle / "sample_data")
    encoders = prepare.bundle_encoders(info, device, set(info.encoders) - set(given), bundle)
    return info, prepare.gather(source, encoders, data, given)


def measure(
    features: MomentFeatures,
    projectors: Mapping[Modality, Projector],
    splits: Splits,
    *,
    seed: int = 0,
    statistics: FeatureSet | None = None,
) -> dict[str, Any]:
    """The content of ``metrics.json``: ``metrics.evaluate`` of these heads, asked as the search asks them."""
    return evaluate(
        features,
        lambda modality, vectors: projectors[modality].project(vectors),
        splits,
        as_query=lambda modality, projected: projectors[modality].as_query(projected),
        seed=seed,
        statistics=statistics,
    )


def splits_beside(features: MomentFeatures, bundle: Path) -> Splits:
    """The bundle's splits beside these items: scenes that it never saw count as unseen.

    ``train`` and ``val`` name every scene that the heads have seen, also those that this data lacks, so that
    a bundle rewritten for other data still knows them.

    Raises:
        BundleError: the bundle has no readable ``metrics.json``.
    """
    file = bundle / "metrics.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        train, val = tuple(known["splits"]["train"]), tuple(known["splits"]["val"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            "The bundle's metrics.json, which lists the scenes it was trained on, cannot be read.",
            where=file,
            remedy="copy the whole bundle folder, or train again",
        ) from error
    seen = {*train, *val}
    test = tuple(scene for scene in features.scenes() if scene not in seen)
    return Splits(train, val, test, str(known.get("splits_kind", "of the bundle")))


def _with_data(settings: EvaluateSettings, info: BundleInfo) -> EvaluateSettings:
    """The settings, with the bundle's own data where no data flag was given.

    Raises:
        BundleError: that data is not where it was.
    """
    if any(getattr(settings, name) for name in _SOURCES):
        return settings
    file = Path(settings.bundle) / "settings.yaml"
    trained = check(TrainSettings, read_config(file, tuple(TrainSettings.model_fields)))
    fields = set(DataSettings.model_fields)
    own = {name: value for name, value in trained.model_dump().items() if name in fields}
    for name in ("data_dir", "nuscenes_path", "pairs"):
        if own[name]:
            own[name] = _present(name, own[name], info, file)
    return check(EvaluateSettings, {**own, **settings.model_dump(exclude_unset=True)})


def _present(name: str, written: str, info: BundleInfo, file: Path) -> str:
    """Where the bundle's own data is; ``settings.yaml`` may hold a path relative to another folder."""
    if is_s3(written):  # reading it says whether it is still there
        return written
    root = Path(str(info.data.get("root", "")))
    resolved = root / Path(written).name if name == "pairs" else root
    for path in (resolved, Path(written).expanduser()):
        if path.exists():
            return str(path)
    raise BundleError(
        f"The data that this bundle was made from is not at {resolved} any more.",
        where=file,
        remedy=f"say where it is now: --{name.replace('_', '-')} PATH (searching needs no data)",
    )
