"""Contrastive losses over two sides of a batch, with many positives a row and pairs that count as neither."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

_NEVER = -1e9  # a logit that gets no probability, yet finite, so that a row of nothing else gives no NaN


def infonce(one: Tensor, two: Tensor, scale: Tensor, positives: Tensor, ignored: Tensor) -> Tensor:
    """Symmetric InfoNCE with several positives a row (supervised contrastive form, arXiv 2004.11362, "out").

    The target of a row is its positives' mask divided by their number; ignored pairs are no candidates. A row
    without a positive (its other modality is missing) does not count. Without any row that counts the loss is
    a zero that is still connected to the graph.

    Args:
        one, two: (n, dim) and (m, dim), L2-normalised.
        scale: () the logit scale, not its logarithm.
        positives, ignored: (n, m) bool, disjoint.

    Returns:
        () mean of the two directions.
    """
    if not len(one) or not len(two):
        return (one.sum() + two.sum() + scale) * 0.0
    logits = (scale * one) @ two.T
    if bool(ignored.any()):
        logits = logits.masked_fill(ignored, _NEVER)
    rows, columns = positives.nonzero(as_tuple=True)
    # only the positives' logits are touched beside the two normalisers: masks of the whole matrix cost more
    # time than the heads themselves
    chosen = logits[rows, columns]
    forth = _cross_entropy(logits.logsumexp(dim=1), chosen, rows)
    back = _cross_entropy(logits.logsumexp(dim=0), chosen, columns)
    return (forth + back) / 2


def _cross_entropy(normaliser: Tensor, chosen: Tensor, rows: Tensor) -> Tensor:
    """Mean over the rows that have positives of: normaliser - mean logit of the positives."""
    count = torch.bincount(rows, minlength=len(normaliser))
    valid = count > 0
    sums = torch.zeros_like(normaliser).index_add(0, rows, chosen)
    of_rows = torch.where(valid, normaliser - sums / count.clamp(min=1), torch.zeros_like(normaliser))
    return of_rows.sum() / valid.sum().clamp(min=1)


def sigmoid(
    one: Tensor, two: Tensor, scale: Tensor, bias: Tensor, positives: Tensor, ignored: Tensor
) -> Tensor:
    """SigLIP's pairwise loss (arXiv 2303.15343): each pair is a yes or no of its own.

    Rows and columns without a positive do not count, as in ``infonce``; the sum over pairs is divided by the
    number of rows that count.

    Args:
        bias: () added to every logit.
    """
    counted = positives.any(dim=1, keepdim=True) & positives.any(dim=0, keepdim=True) & ~ignored
    signs = positives.to(one.dtype) * 2 - 1
    each = -F.logsigmoid(signs * (scale * (one @ two.T) + bias))
    rows = positives.any(dim=1).sum().clamp(min=1)
    return (each * counted).sum() / rows


def gather(local: Tensor, count: int) -> Tensor:
    """Every process's rows, in order of rank, with gradients to all of them.

    Each process then computes the same loss over the whole batch; the backward pass sums what every process
    sends to these rows, which the averaging of gradients over processes divides again, so that one and
    several processes give the same gradients.

    Args:
        local: (rows, dim), the same number of rows in each process.
        count: how many of the gathered rows are real; the rest is padding.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return local[:count]
    gathered: Tensor = _Gather.apply(local)
    return gathered[:count]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, local: Tensor) -> Tensor:
        parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]
