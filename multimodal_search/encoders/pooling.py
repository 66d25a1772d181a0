"""From a sequence of tokens to one vector, or to a small grid of vectors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cls(tokens: Tensor) -> Tensor:
    """(batch, length, dim) -> (batch, dim): the first token."""
    return tokens[:, 0]


def mean(patches: Tensor) -> Tensor:
    """(batch, patches, dim) -> (batch, dim): the mean of the patch tokens, special tokens left out before."""
    return patches.mean(dim=1)


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """(batch, length, dim), (batch, length) -> (batch, dim): the mean over tokens whose mask is 1.

    As sentence-transformers pools (Reimers & Gurevych 2019, https://arxiv.org/abs/1908.10084).
    """
    weights = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def grid(patches: Tensor, shape: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """(batch, rows * columns, dim) -> (batch, target rows * target columns, dim), averaged over equal cells.

    Args:
        shape: (rows, columns) of the patches, for example (14, 14).
        target: for example (7, 7); equal to ``shape`` leaves the patches as they are.

    Raises:
        ValueError: the target does not divide the shape.
    """
    rows, columns = shape
    if rows % target[0] or columns % target[1]:
        raise ValueError(f"a grid of {rows}x{columns} patches cannot be averaged to {target[0]}x{target[1]}")
    if shape == target:
        return patches
    batch, _, dim = patches.shape
    plane = patches.transpose(1, 2).reshape(batch, dim, rows, columns)
    pooled = F.avg_pool2d(plane, (rows // target[0], columns // target[1]))
    return pooled.flatten(2).transpose(1, 2)
