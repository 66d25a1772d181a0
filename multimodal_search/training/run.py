"""The main job: items, features once, heads, figures, bundle. Each stage is one call into its own module."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from multimodal_search import __version__, storage
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import EncoderError, SettingsError
from multimodal_search.export.bundle import BundleContents, write_bundle
from multimodal_search.export.report import format_table
from multimodal_search.projectors.bundle import (
    INFO_FILE,
    BundleEncoder,
    BundleInfo,
    load_projectors,
    read_bundle_info,
)
from multimodal_search.settings import TrainSettings
from multimodal_search.sources import open_source
from multimodal_search.sources.base import Source
from multimodal_search.splits import Splits, make_splits
from multimodal_search.training import prepare
from multimodal_search.training.evaluation import measure, splits_beside
from multimodal_search.training.fit import FitResult, fit, untrained
from multimodal_search.training.given import Given, check_asked, check_bundle, entries, open_given
from multimodal_search.training.metric_lines import MetricLines, unseen_line
from multimodal_search.training.selection import choose_series_encoder
from multimodal_search.training.trainer import check_trainer_options
from multimodal_search.types import FeatureSet, Modality, MomentFeatures

logger = logging.getLogger("multimodal_search")
_PACKAGES = ("torch", "lightning", "open_clip_torch", "transformers", "numpy")


@dataclass
class Gathered:
    """What the encoders left.

    Attributes:
        encoders: what made the vectors, as the bundle will name it.
        statistics: the plain statistics of the signals, a baseline even where another encoder won.
        chosen: how the signal encoder was chosen, for the report.
    """

    features: MomentFeatures
    encoders: Mapping[Modality, BundleEncoder]
    statistics: FeatureSet | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)


def run(settings: TrainSettings) -> Path:
    """Train (or load) heads for the given data, measure them, and write the bundle.

    Returns:
        The bundle's folder; of an ``s3://`` one the copy in the user's cache that was sent.

    Raises:
        ProjectError: anything a user can mend; nothing is half-written then.
    """
    started = time.monotonic()
    check_trainer_options(settings.trainer)  # before hours of encoding, not after
    place = settings.output_dir or "output"
    if settings.s3_output:
        storage.ensure_writable(settings.s3_output)
    with storage.output_folder(place, INFO_FILE) as output:
        source = _train(settings, storage.ensure_writable_folder(output))
    if settings.s3_output:
        storage.send_folder(output, settings.s3_output, INFO_FILE)
    logger.info("bundle    %s, in %.0f s", place, time.monotonic() - started)
    logger.info("%s", _what_next(place, output, source))
    return output


def _train(settings: TrainSettings, output: Path) -> Source:
    """Every stage, into a local folder; returns where the data came from."""
    device = prepare.resolve_device(settings.device)
    prior = _prior_bundle(settings, output)
    given = open_given(settings.features)
    check_asked(given, settings)

    source = _open(settings, output / "sample_data")
    logger.info("data      %s", prepare.describe(source, source.items()))
    gathered = _gather(settings, source, device, prior, given, output)
    splits = _splits(settings, source, gathered.features, prior, output)
    logger.info(
        "splits    %d training, %d choosing, %d unseen scenes (%s)",
        *(len(part) for part in (splits.train, splits.val, splits.test)),
        splits.kind,
    )
    result = _heads(settings, gathered.features, splits, prior, output)
    logger.info("heads     %s", ", ".join(f"{name}: {what}" for name, what in result.chosen.items()))
    features = _with_heads(gathered.features, result)
    metrics = measure(features, result.projectors, splits, seed=settings.seed, statistics=gathered.statistics)
    info = _info(source, features, gathered.encoders, result, given)
    write_bundle(
        BundleContents(
            info=info,
            projectors=result.projectors,
            features=features,
            splits=splits,
            metrics=metrics,
            settings=settings,
            history=result.history,
            chosen={**result.chosen, **gathered.chosen},
            seed=settings.seed,
        ),
        output,
    )
    logger.info("\n%s\n", format_table(metrics))
    if settings.cloud == "sagemaker":
        logger.info("%s", unseen_line(metrics))
    return source


def _open(settings: TrainSettings, sample_dir: Path) -> Source:
    """The source; of processes that start together one writes the sample world, and the others find it."""
    if not settings.use_sample_data:
        return open_source(settings, sample_dir=sample_dir)
    with FileLock(storage.ensure_writable_folder(sample_dir) / ".lock"):
        return open_source(settings, sample_dir=sample_dir)


def _prior_bundle(settings: TrainSettings, output: Path) -> BundleInfo | None:
    """The bundle whose heads ``--skip-training`` keeps, if there is one."""
    if not settings.skip_training or not (output / "bundle.json").exists():
        return None
    if settings.resume:
        raise SettingsError("--resume and --skip-training contradict each other.", remedy="give one of them")
    info = read_bundle_info(output)
    asked = {
        Modality.IMAGE: (settings.image_encoder, settings.image_weights),
        Modality.TEXT: (settings.text_encoder, settings.text_weights),
    }
    for modality, (name, weights) in asked.items():
        card = info.encoders[modality].card if modality in info.encoders else None
        if card and ((name and name != card.name) or (weights and weights != card.weights)):
            raise EncoderError(
                f"The bundle's {modality} head was trained on {card.name} ({card.weights}), not on "
                f"{name or card.name}{f' ({weights})' if weights else ''}.",
                where=output / "bundle.json",
                remedy="leave the encoder flags out, or train into another --output-dir",
            )
    return info


def _gather(
    settings: TrainSettings,
    source: Source,
    device: str,
    prior: BundleInfo | None,
    given: Given,
    output: Path,
) -> Gathered:
    """Features of all modalities; of the signal encoders the one that cross-validation prefers."""
    if prior is not None:
        wanted = {Modality.IMAGE, Modality.TEXT} | (
            {Modality.TIMESERIES} if settings.include_timeseries else set()
        )
        check_bundle(given, prior, output)
        encoders = prepare.bundle_encoders(prior, device, wanted - set(given), output)
        return Gathered(prepare.gather(source, encoders, settings, given), prior.encoders)
    encoders = prepare.build_encoders(settings, source, device, given)
    known = {**_entries(encoders), **entries(given)}
    if not settings.include_timeseries:
        return Gathered(prepare.gather(source, encoders, settings, given), known)
    candidates = prepare.build_series_encoders(source, device)
    gathered = {
        name: prepare.gather(source, {**encoders, Modality.TIMESERIES: encoder}, settings, given)
        for name, encoder in candidates.items()
    }
    first = next(iter(gathered.values()))
    splits = make_splits(first.items, official=source.official_splits, seed=settings.seed)
    name, scores = choose_series_encoder(gathered, splits, seed=settings.seed)
    told = ", ".join(f"{one} {score:.3f}" for one, score in scores.items())
    logger.info("signals   %s%s", name, f" (held-out MRR: {told})" if told else "")
    return Gathered(
        gathered[name],
        {**known, **_entries({Modality.TIMESERIES: candidates[name]})},
        first.sets.get(Modality.TIMESERIES),
        {"signal encoder": name, **({"signal encoder, held-out MRR": scores} if scores else {})},
    )


def _entries(encoders: Mapping[Modality, FrozenEncoder]) -> dict[Modality, BundleEncoder]:
    return {
        modality: BundleEncoder(encoder.card, encoder.fingerprint) for modality, encoder in encoders.items()
    }


def _splits(
    settings: TrainSettings,
    source: Source,
    features: MomentFeatures,
    prior: BundleInfo | None,
    output: Path,
) -> Splits:
    if prior is not None:
        return splits_beside(features, output)
    return make_splits(features.items, official=source.official_splits, seed=settings.seed)


def _heads(
    settings: TrainSettings,
    features: MomentFeatures,
    splits: Splits,
    prior: BundleInfo | None,
    output: Path,
) -> FitResult:
    if prior is not None:
        return FitResult(
            projectors=load_projectors(output, prior),
            logit_scales=dict(prior.logit_scales),
            history=[],
            notes=list(prior.notes),
            chosen={"all": f"those of the bundle in {output} (--skip-training)"},
        )
    if settings.skip_training:
        logger.warning("--skip-training without a bundle in %s: the heads are untrained", output)
        return untrained(features, splits, settings)
    in_job = settings.cloud == "sagemaker"
    return fit(features, splits, settings, output, [MetricLines()] if in_job else [])


def _with_heads(features: MomentFeatures, result: FitResult) -> MomentFeatures:
    """The features that a head can bring into the common space; what no training scene has is left out."""
    missing = [modality for modality in features.sets if modality not in result.projectors]
    for modality in missing:
        logger.warning("no training scene has a usable %s: it is left out of the bundle", modality)
    kept = {modality: one for modality, one in features.sets.items() if modality not in missing}
    return replace(features, sets=kept)


def _info(
    source: Source,
    features: MomentFeatures,
    encoders: Mapping[Modality, BundleEncoder],
    result: FitResult,
    given: Given,
) -> BundleInfo:
    """What ``bundle.json`` says; heads whose modality this data lacks keep their encoder's entry."""
    licence = source.licence or "unknown"
    data: dict[str, Any] = {
        "kind": source.kind,
        "root": str(source.root),
        "n_items": len(features.items),
        "n_scenes": len(features.scenes()),
        "n_failures": len(features.failures),
        "modalities": [modality.value for modality in features.sets],
        "licence": licence,
    }
    if given:  # for people, and for measuring the bundle again
        data["features"] = [one.place for one in given.values()]
    return BundleInfo(
        encoders={modality: one for modality, one in encoders.items() if modality in result.projectors},
        heads={modality: projector.spec for modality, projector in result.projectors.items()},
        logit_scales=result.logit_scales,
        data=data,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"multimodal-search": __version__, **{name: version(name) for name in _PACKAGES}},
        licence=licence,
        notes=tuple(result.notes),
    )


def _what_next(place: str, output: Path, source: Source) -> str:
    query = "turn left in the rain" if source.kind == "sample" else "bus at an intersection"
    bundle, command = shlex.quote(place), _command()
    return (
        "next:\n"
        f'  {command} search --bundle {bundle} --text "{query}"\n'
        f"  {command} evaluate --bundle {bundle}\n"
        f"  open {output / 'report.md'} and {output / 'umap.png'}"
    )


def _command() -> str:
    """How this shell calls the commands: a virtual environment that is not activated is named."""
    if shutil.which("multimodal-search"):
        return "multimodal-search"
    # not resolved: the environment's python is a link to another one
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return f"{shlex.quote(str(python))} -m multimodal_search"
