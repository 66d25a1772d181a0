"""From features to heads: warm start, Lightning's loop, and the choice between start and trained."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lightning.pytorch.callbacks import Callback

from multimodal_search.errors import DataError
from multimodal_search.projectors.heads import Projector
from multimodal_search.settings.models import TrainSettings
from multimodal_search.splits import Splits
from multimodal_search.training.batches import pairs_of
from multimodal_search.training.choice import choose
from multimodal_search.training.datamodule import MomentsDataModule
from multimodal_search.training.module import (
    FIRST_SCALE,
    LARGEST_SCALE,
    LARGEST_SCALE_SMALL_DATA,
    SMALL_DATA,
    AlignmentModule,
    Objective,
    pair_name,
)
from multimodal_search.training.retrieval import reciprocal_ranks, retrieval_set, summary
from multimodal_search.training.runner import History, load_checkpoint, run_training
from multimodal_search.training.trainer import accelerator_of, check_trainer_options, checkpoint_folder
from multimodal_search.training.warm_start import Start, start_heads
from multimodal_search.types import Modality, MomentFeatures


@dataclass(frozen=True, slots=True)
class FitResult:
    """What training gives to the export.

    Attributes:
        projectors: on the CPU, in evaluation mode.
        logit_scales: ``image-text`` -> scale.
        history: an entry an epoch, epoch 0 being the start: ``epoch``, ``train/loss``, ``val/mrr``, and
            ``val/text->image`` and so on (mean reciprocal rank among the inner validation scenes).
        chosen: modality -> ``start`` or ``trained (epoch n)``.
        notes: how the heads were made and why they were chosen, for the report.
    """

    projectors: dict[Modality, Projector]
    logit_scales: dict[str, float]
    history: list[dict[str, float]] = field(default_factory=list)
    chosen: dict[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def fit(
    features: MomentFeatures,
    splits: Splits,
    settings: TrainSettings,
    output_dir: Path | str,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
    """Train the heads on the training scenes, choose on the inner validation scenes.

    Writes ``checkpoints/`` (heads and optimiser only) and ``logs/`` under ``output_dir``. With
    ``settings.resume`` it goes on from ``checkpoints/last.ckpt`` and ends as an uninterrupted run does.

    Raises:
        SettingsError: an unknown option under ``trainer:``, or a device that is not there.
        DataError: no training item has features.
        KeyboardInterrupt: stopped by the user; what was written can be resumed.
    """
    output_dir = Path(output_dir)
    accelerator_of(settings.device)
    check_trainer_options(settings.trainer)
    start = _start(features, splits, settings)
    data = MomentsDataModule(features, splits, batch_items=settings.batch_size, seed=settings.seed)
    first = summary(reciprocal_ranks(start.heads, data.validation))
    if not pairs_of(start.heads) or len(splits.train) < 2:
        why = "one modality only" if len(splits.train) > 1 else "one training scene only"
        return _from_start(start, first, f"nothing was trained: {why}")
    objective = _objective(settings, data.plan.steps, len(splits.train))
    module = AlignmentModule(copy.deepcopy(start.heads), objective)
    key = _run_key(features, splits, settings, start)
    history = History(first, key)
    run_training(module, data, settings, output_dir, [history, *callbacks], key=key, validates=bool(first))
    epoch = load_checkpoint(
        module, checkpoint_folder(settings, output_dir) / ("best.ckpt" if first else "last.ckpt")
    )
    if not first and not start.pre_aligned:
        # nothing is held out to compare on, and a closed form of few scenes has no claim of its own
        trained = f"trained (epoch {epoch})"
        chosen = {modality.value: trained for modality in module.projectors}
        heads = module.projectors
        notes: tuple[str, ...] = ("no scenes are held out: the last epoch is taken unmeasured",)
    else:
        choice = choose(start, module.projectors, data.validation, epoch)
        heads, chosen, notes = choice.heads, choice.chosen, choice.notes
    return FitResult(_frozen(heads), module.scales(), history.entries, chosen, (*start.notes, *notes))


def untrained(features: MomentFeatures, splits: Splits, settings: TrainSettings) -> FitResult:
    """The heads that training would start from: the encoders' own space, or closed forms.

    Raises:
        DataError: no training item has features.
    """
    start = _start(features, splits, settings)
    validation = retrieval_set(features.select(splits.val))
    return _from_start(start, summary(reciprocal_ranks(start.heads, validation)), "the heads are untrained")


def _from_start(start: Start, first: dict[str, float], note: str) -> FitResult:
    return FitResult(
        projectors=_frozen(start.heads),
        logit_scales={pair_name(*pair): FIRST_SCALE for pair in pairs_of(start.heads)},
        history=[{"epoch": 0.0, **first}],
        chosen={modality.value: "start" for modality in start.heads},
        notes=(*start.notes, note),
    )


def _start(features: MomentFeatures, splits: Splits, settings: TrainSettings) -> Start:
    training = features.select(splits.train)
    if not any(len(one.item_index) for one in training.sets.values()):
        raise DataError(
            f"None of the {len(splits.train)} training scenes has features",
            remedy="look at failures.jsonl beside the feature tables for why inputs were skipped",
        )
    return start_heads(training, settings.dim, settings.seed)


def _objective(settings: TrainSettings, steps: int, scenes: int) -> Objective:
    return Objective(
        learning_rate=settings.learning_rate,
        total_steps=settings.epochs * steps,
        # windows that overlap by half or more show the same stretch of driving
        near_seconds=max(2.0, settings.window_seconds / 2),
        largest_scale=LARGEST_SCALE if scenes >= SMALL_DATA else LARGEST_SCALE_SMALL_DATA,
        loss=settings.loss,
    )


def _run_key(
    features: MomentFeatures, splits: Splits, settings: TrainSettings, start: Start
) -> dict[str, str]:
    """What must be the same for a run to be resumed, each as text that an error can show."""
    scenes = hashlib.sha256("\n".join((*splits.train, "", *splits.val)).encode()).hexdigest()[:12]
    encoders = {modality.value: one.fingerprint[:12] for modality, one in features.sets.items()}
    heads = {modality.value: head.spec.to_json() for modality, head in start.heads.items()}
    return {
        "scenes": f"{len(splits.train)} training scenes ({scenes}), {len(features.items)} items",
        "encoders": json.dumps(encoders, sort_keys=True),
        "heads": json.dumps(heads, sort_keys=True),
        "--epochs": str(settings.epochs),
        "--batch-size": str(settings.batch_size),
        "--learning-rate": str(settings.learning_rate),
        "--loss": settings.loss,
        "--seed": str(settings.seed),
    }


def _frozen(heads: Mapping[Modality, Projector]) -> dict[Modality, Projector]:
    return {modality: head.cpu().requires_grad_(False).eval() for modality, head in heads.items()}
