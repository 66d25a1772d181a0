"""What both towers are trained for."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sample_encoder_recipe.captions import SINGLE, UNKNOWN, Meaning

_PROTOTYPE_SCALE = 12.0


class Objective(nn.Module):
    """CLIP's loss with several positives, and attribute prototypes that both towers share; not shipped.

    The prototypes pull pictures and texts of one attribute to one direction, which makes the space common
    long before the contrastive loss alone would.

    Args:
        dim: of the embeddings.
        n_users: kinds of road users.
    """

    def __init__(self, dim: int, n_users: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.single = nn.ModuleList(nn.Linear(dim, len(values)) for values in SINGLE.values())
        self.users = nn.Linear(dim, n_users)

    def contrastive(self, texts: Tensor, others: Tensor, positives: Tensor) -> Tensor:
        """Symmetric InfoNCE, targets spread evenly over the positives of a row.

        Args:
            texts: (batch, dim) unit vectors.
            others: (batch, dim) unit vectors.
            positives: (batch, batch) true where a text fits the other; the diagonal is true.
        """
        scale = self.log_scale.clamp(0, math.log(100)).exp()
        logits = scale * texts @ others.T
        losses = []
        for scores, fits in ((logits, positives.float()), (logits.T, positives.T.float())):
            losses.append(F.cross_entropy(scores, fits / fits.sum(1, keepdim=True), label_smoothing=0.02))
        return torch.stack(losses).mean()

    def attributes(self, vectors: Tensor, meaning: Meaning) -> Tensor:
        """Mean cross-entropy of what is known of the attributes, read off unit vectors (batch, dim)."""
        scaled = vectors * _PROTOTYPE_SCALE
        losses = []
        for column, head in enumerate(self.single):
            each = F.cross_entropy(
                head(scaled), meaning.codes[:, column], ignore_index=UNKNOWN, reduction="sum"
            )
            losses.append(each / (meaning.codes[:, column] != UNKNOWN).sum().clamp(min=1))
        told = (meaning.users >= 0).float()
        each = F.binary_cross_entropy_with_logits(self.users(scaled), meaning.users.clamp(min=0), told)
        # several yes-or-no questions count as several attributes: small road users are the last to be learned
        losses.append(4 * each * told.numel() / told.sum().clamp(min=1))
        return torch.stack(losses).mean()

    def predicted(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(n, attributes) classes, and (n, kinds) whether a road user is there, from unit vectors."""
        scaled = vectors * _PROTOTYPE_SCALE
        return torch.stack([head(scaled).argmax(1) for head in self.single], dim=1), self.users(scaled) > 0
