"""The two small networks of the sample encoders: a vision transformer and a text transformer.

Pre-norm transformers (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929) with a convolutional stem,
which lets a vision transformer learn from thousands of pictures instead of millions (Xiao et al. 2021,
https://arxiv.org/abs/2106.14881). Trained by ``data_preparation/train_sample_encoders.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TowerShape:
    """What both towers have in common."""

    width: int
    depth: int
    heads: int
    out_dim: int = 128


@dataclass(frozen=True, slots=True)
class VisionShape:
    """The picture tower; the picture is squashed to ``image_size_px`` (height, width)."""

    image_size_px: tuple[int, int] = (96, 160)
    stem: tuple[int, ...] = (24, 48, 96)  # channels of the halving convolutions before the last one
    tower: TowerShape = field(default_factory=lambda: TowerShape(width=144, depth=4, heads=6))

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patch tokens."""
        stride = 2 ** (len(self.stem) + 1)
        return self.image_size_px[0] // stride, self.image_size_px[1] // stride


@dataclass(frozen=True, slots=True)
class TextShape:
    """The text tower; longer texts are cut at ``context_length`` tokens."""

    vocab_size: int = 2560
    context_length: int = 96
    pad_id: int = 0
    tower: TowerShape = field(default_factory=lambda: TowerShape(width=128, depth=3, heads=4))


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each after a layer norm and inside a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, length, width) -> the same; ``mask`` (batch, 1, 1, length) is true where a token counts."""
        batch, length, width = tokens.shape
        qkv = self.qkv(self.attention_norm(tokens)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        result: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return result


class VisionTower(nn.Module):
    """(batch, 3, height, width) pictures in [-1, 1] -> (batch, out_dim), not normalised."""

    def __init__(self, shape: VisionShape | None = None) -> None:
        super().__init__()
        shape = shape or VisionShape()
        width = shape.tower.width
        channels = (3, *shape.stem)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(1, after), nn.GELU()]
        layers.append(nn.Conv2d(channels[-1], width, 3, stride=2, padding=1))
        self.stem = nn.Sequential(*layers)
        rows, columns = shape.grid
        self.positions = nn.Parameter(torch.randn(1, rows * columns, width) * 0.02)
        self.class_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, shape.tower.heads) for _ in range(shape.tower.depth))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(2 * width, shape.tower.out_dim, bias=False)

    def tokens(self, pictures: Tensor) -> Tensor:
        """(batch, 1 + rows * columns, width): the class token, then the patches row by row."""
        patches = self.stem(pictures).flatten(2).transpose(1, 2) + self.positions
        tokens = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        result: Tensor = self.norm(tokens)
        return result

    def pooled(self, pictures: Tensor) -> Tensor:
        """(batch, 2 * width): the class token beside the mean of the patches."""
        tokens = self.tokens(pictures)
        return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """(batch, 3, height, width) -> (batch, out_dim)."""
        result: Tensor = self.project(self.pooled(pictures))
        return result


class TextTower(nn.Module):
    """(batch, length) token ids -> (batch, out_dim), not normalised; the mean over the tokens that count."""

    def __init__(self, shape: TextShape | None = None) -> None:
        super().__init__()
        shape = shape or TextShape()
        width = shape.tower.width
        self.pad_id = shape.pad_id
        self.embedding = nn.Embedding(shape.vocab_size, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.positions = nn.Parameter(torch.randn(1, shape.context_length, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, shape.tower.heads) for _ in range(shape.tower.depth))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, shape.tower.out_dim, bias=False)

    def pooled(self, ids: Tensor) -> Tensor:
        """(batch, width): the mean of the final tokens, padding left out."""
        counts = ids != self.pad_id
        tokens = self.embedding(ids) + self.positions[:, : ids.shape[1]]
        for block in self.blocks:
            tokens = block(tokens, counts[:, None, None, :])
        weights = counts.unsqueeze(-1).to(tokens.dtype)
        result: Tensor = (self.norm(tokens) * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return result

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, length) -> (batch, out_dim)."""
        result: Tensor = self.project(self.pooled(ids))
        return result
