"""The LightningModule: projectors, one logit scale a pair of modalities, and the contrastive loss."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from multimodal_search.projectors.heads import Projector
from multimodal_search.training import losses
from multimodal_search.training.batches import Batch, pair_masks, pairs_of
from multimodal_search.training.retrieval import RetrievalSet, reciprocal_ranks, summary
from multimodal_search.types import Modality

_log = logging.getLogger(__name__)

FIRST_SCALE = 1 / 0.07
LARGEST_SCALE = 100.0
LARGEST_SCALE_SMALL_DATA = 50.0
SMALL_DATA = 1000
_FLAT = 1.5  # a logit scale under this no longer tells candidates apart


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised, and how fast.

    Attributes:
        near_seconds: moments of one scene this close count as neither the same nor different (image, signal).
        largest_scale: the cap of the logit scales.
        loss: ``infonce`` or ``sigmoid``.
        departure_weight: of the penalty that holds residual heads to the encoders' own space.
    """

    learning_rate: float
    total_steps: int
    near_seconds: float = 2.0
    largest_scale: float = LARGEST_SCALE
    loss: str = "infonce"
    weight_decay: float = 0.01
    warm_up_share: float = 0.05
    departure_weight: float = 0.1


class AlignmentModule(L.LightningModule):
    """Trains the heads on batches of frozen features.

    Where images and texts are both present they make the common space by themselves, and signals learn to
    find their way into it: their losses do not move the other heads, so signals never cost text search.
    """

    def __init__(self, heads: Mapping[Modality, Projector], objective: Objective) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({modality.value: head for modality, head in heads.items()})
        self.objective = objective
        self.pairs = pairs_of(heads)
        first = min(FIRST_SCALE, objective.largest_scale)
        names = [pair_name(*pair) for pair in self.pairs]
        self.log_scales = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(math.log(first))) for name in names}
        )
        sigmoid = names if objective.loss == "sigmoid" else []
        self.biases = nn.ParameterDict({name: nn.Parameter(torch.tensor(-10.0)) for name in sigmoid})

    @property
    def projectors(self) -> dict[Modality, Projector]:
        """The heads by modality."""
        return {Modality(name): head for name, head in self.heads.items() if isinstance(head, Projector)}

    def scale(self, name: str) -> Tensor:
        """() the logit scale of a pair, within [1, cap]."""
        log_scale: Tensor = self.log_scales[name]
        return log_scale.clamp(0.0, math.log(self.objective.largest_scale)).exp()

    def loss(self, batch: Batch) -> Tensor:
        """() the mean loss of the pairs present, over the whole batch of all processes."""
        projected = {
            modality: losses.gather(head(batch.entries[modality].vectors), len(batch.entries[modality].scene))
            for modality, head in self.projectors.items()
        }
        anchored = Modality.IMAGE in projected and Modality.TEXT in projected
        total = torch.zeros((), device=self.device)
        for one, two in self.pairs:
            name = pair_name(one, two)
            a, b = projected[one], projected[two]
            if anchored and two is Modality.TIMESERIES:
                a = a.detach()
            positives, ignored = pair_masks(batch, one, two, self.objective.near_seconds)
            scale = self.scale(name)
            if self.objective.loss == "sigmoid":
                each = losses.sigmoid(a, b, scale, self.biases[name], positives, ignored)
            else:
                each = losses.infonce(a, b, scale, positives, ignored)
            total = total + each / len(self.pairs)
        departures = [head.departure() for head in self.projectors.values()]
        return total + self.objective.departure_weight * torch.stack(departures).sum()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; the loss is logged as ``train/loss``."""
        loss = self.loss(batch)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=1)
        return loss

    def validation_step(self, batch: RetrievalSet, batch_idx: int) -> None:
        """Retrieval among the inner validation scenes; ``val/mrr`` chooses the checkpoint."""
        for name, value in summary(reciprocal_ranks(self.projectors, batch)).items():
            self.log(name, value, prog_bar=name == "val/mrr", batch_size=1)

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep the scales inside their bounds, so that a gradient can always move them back."""
        with torch.no_grad():
            for scale in self.log_scales.values():
                scale.clamp_(0.0, math.log(self.objective.largest_scale))

    def on_train_end(self) -> None:
        """Say so where a scale went flat."""
        for name, value in self.scales().items():
            if value < _FLAT:
                _log.warning(
                    "The logit scale of %s fell to %.2f: the two do not predict each other", name, value
                )

    def scales(self) -> dict[str, float]:
        """``image-text`` -> logit scale."""
        return {name: float(self.scale(name).detach()) for name in self.log_scales}

    def configure_optimizers(self) -> Any:
        """AdamW without decay of vectors and scalars; linear warm-up, then a cosine to zero."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups = [
            {"params": [one for one in trained if one.ndim > 1], "weight_decay": self.objective.weight_decay},
            {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.objective.learning_rate, fused=True)
        warm_up = max(1, round(self.objective.warm_up_share * self.objective.total_steps))
        rest = max(1, self.objective.total_steps - warm_up)

        def factor(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / rest)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def pair_name(one: Modality, two: Modality) -> str:
    """For example ``image-text``."""
    return f"{one.value}-{two.value}"
