"""What both towers are trained for, and how pictures are varied meanwhile."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_AUXILIARY_SCALE = 12.0


class Objective(nn.Module):
    """CLIP's loss with several positives, and attribute prototypes that both towers share; not shipped.

    The prototypes pull pictures and texts of one attribute to one direction, which makes the space common
    long before the contrastive loss alone would.

    Args:
        dim: of the embeddings.
        single: attribute -> number of classes.
        n_users: kinds of road users.
    """

    def __init__(self, dim: int, single: dict[str, int], n_users: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.single = nn.ModuleDict({name: nn.Linear(dim, count) for name, count in single.items()})
        self.users = nn.Linear(dim, n_users)

    def contrastive(self, left: Tensor, right: Tensor, positives: Tensor) -> Tensor:
        """Symmetric InfoNCE, targets spread evenly over the positives of a row.

        Args:
            left: (batch, dim) unit vectors.
            right: (batch, dim) unit vectors.
            positives: (batch, batch) boolean, true where two rows show the same.
        """
        scale = self.log_scale.clamp(0, math.log(100)).exp()
        logits = scale * left @ right.T
        targets = positives.float() / positives.sum(dim=1, keepdim=True)
        rows = F.cross_entropy(logits, targets, label_smoothing=0.02)
        columns = F.cross_entropy(logits.T, targets.T / targets.T.sum(1, keepdim=True), label_smoothing=0.02)
        return (rows + columns) / 2

    def attributes(self, vectors: Tensor, labels: dict[str, Tensor], users: Tensor) -> Tensor:
        """Mean cross-entropy of the attributes, read off unit vectors (batch, dim)."""
        scaled = vectors * _AUXILIARY_SCALE
        losses = [F.cross_entropy(head(scaled), labels[name]) for name, head in self.single.items()]
        present = F.binary_cross_entropy_with_logits(self.users(scaled), users)
        return torch.stack([*losses, 2 * present]).mean()


def vary(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """(batch, height, width, 3) uint8 -> (batch, 3, height, width) in [-1, 1].

    Zoomed, shifted, re-lit, noisy. Never mirrored: left and right are what a manoeuvre is about.
    """
    batch = pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    count = len(batch)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    zoom, shift = uniform(0.9, 1.06, 2), uniform(-0.07, 0.07, 2)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom[:, 0], zoom[:, 1]
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, list(batch.shape), align_corners=False)
    batch = F.grid_sample(batch, grid, padding_mode="border", align_corners=False)
    contrast, brightness = uniform(0.85, 1.15, 1, 1, 1), uniform(-0.12, 0.12, 1, 1, 1)
    tint = uniform(-0.05, 0.05, 3, 1, 1)
    noise = torch.randn(batch.shape, generator=generator) * uniform(0.0, 0.06, 1, 1, 1)
    return (batch * contrast + brightness + tint + noise).clamp_(-1, 1)
