"""One head a modality: frozen features in, L2-normalised common embeddings out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multimodal_search.types import FloatArray

HeadKind = Literal["residual", "linear"]

_GAIN = 3.0  # how far a residual head gets at a given learning rate: benchmarks/never_worse.py
_LARGEST = 10.0  # standard deviations from the training mean


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """What rebuilds a head before its weights are loaded.

    Attributes:
        kind: ``residual`` keeps the encoder's own space and learns a correction; ``linear`` maps into the
            common space.
        likeness: the head has a matrix of its own for comparing its modality with itself.
    """

    kind: HeadKind
    in_dim: int
    out_dim: int
    likeness: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; ``from_json`` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HeadSpec:
        """Raises ValueError for an unknown kind or sizes that cannot be."""
        spec = cls(data["kind"], int(data["in_dim"]), int(data["out_dim"]), bool(data.get("likeness")))
        if spec.kind not in ("residual", "linear"):
            raise ValueError(f"unknown kind of head {spec.kind!r}")
        if min(spec.in_dim, spec.out_dim) < 1:
            raise ValueError(f"a head with impossible sizes: {spec}")
        if spec.kind == "residual" and spec.in_dim != spec.out_dim:
            raise ValueError(f"a residual head keeps its dimension: {spec}")
        return spec


class Projector(nn.Module):
    """The head of one modality.

    A residual head starts as the encoder itself: at step 0 its output is exactly ``x / |x|``. Training
    statistics (``mean``, ``scale``) are buffers, so they travel with the weights.

    A head that was made for finding another modality (a signal's, for finding texts) weighs its coordinates
    for that; between two of its own kind these weights would count twice. ``likeness`` (out_dim, out_dim), a
    buffer too, takes them back on the side of the query: see ``as_query``.

    Args:
        spec: kind and sizes.
        mean: (in_dim,) mean of the training features; zeros if absent.
        scale: (in_dim,) standard deviations; ones if absent, and where a feature is constant.
    """

    mean: Tensor
    scale: Tensor
    likeness: Tensor | None

    def __init__(
        self, spec: HeadSpec, mean: FloatArray | None = None, scale: FloatArray | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", _float(mean, spec.in_dim, 0.0))
        self.register_buffer("scale", _float(scale, spec.in_dim, 1.0))
        if not bool((self.scale > 0).all()):
            self.scale[~(self.scale > 0)] = 1.0
        self.register_buffer("likeness", torch.eye(spec.out_dim) if spec.likeness else None)
        self._gain = _GAIN / spec.in_dim
        self.linear = nn.Linear(spec.in_dim, spec.out_dim)
        if spec.kind == "residual":
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, in_dim) -> (batch, out_dim), each row of length 1; a zero stays zero, never NaN."""
        if self.spec.kind == "residual":
            # a mean over standardised inputs, not a sum: AdamW moves every weight by the same step, and the
            # correction must stay small beside x however wide the encoder is
            weight = self.linear.weight * self._gain / self.scale
            out = features + F.linear(features, weight, self.linear.bias - weight @ self.mean)
            return F.normalize(out, dim=-1)
        # a value far outside the training data (a broken sensor) must not outweigh all the others
        standard = ((features - self.mean) / self.scale).clamp(-_LARGEST, _LARGEST)
        return F.normalize(self.linear(standard), dim=-1)

    def departure(self) -> Tensor:
        """Mean squared length of a residual head's correction (for white features); zero for other kinds."""
        if self.spec.kind != "residual":
            return self.linear.bias.new_zeros(())
        return (self.linear.weight * self._gain).square().sum() + self.linear.bias.square().sum()

    @torch.no_grad()
    def set_linear(self, weight: FloatArray, bias: FloatArray) -> None:
        """Take a map of raw features, ``x @ weight + bias``, as the linear part.

        Args:
            weight: (in_dim, k), k <= out_dim; missing columns are zero.
            bias: (k,).
        """
        mean, scale = self.mean.double().numpy(), self.scale.double().numpy()
        self.linear.weight.zero_()
        self.linear.bias.zero_()
        columns = weight.shape[1]
        self.linear.weight[:columns] = torch.from_numpy((weight * scale[:, None]).T.copy()).float()
        self.linear.bias[:columns] = torch.from_numpy(bias + mean @ weight).float()

    @torch.no_grad()
    def project(self, vectors: FloatArray, chunk_rows: int = 8192) -> FloatArray:
        """(rows, in_dim) of any float type -> (rows, out_dim) float32, in chunks on the head's own device."""
        out = np.empty((len(vectors), self.spec.out_dim), dtype=np.float32)
        for start in range(0, len(vectors), chunk_rows):
            part = np.array(vectors[start : start + chunk_rows], dtype=np.float32)
            out[start : start + chunk_rows] = self(torch.from_numpy(part).to(self.mean.device)).cpu().numpy()
        return out

    @torch.no_grad()
    def set_likeness(self, matrix: FloatArray) -> None:
        """Take (out_dim, out_dim) for comparing this modality with itself, of a head that has room for it."""
        assert self.likeness is not None
        self.likeness.copy_(torch.from_numpy(np.asarray(matrix)).float())

    @torch.no_grad()
    def as_query(self, projected: FloatArray) -> FloatArray:
        """(rows, out_dim) of ``project`` -> (rows, out_dim) float32 of length one: to find its own kind with.

        Projected vectors are what is found; only the query changes, so that one index serves all modalities.
        """
        if self.likeness is None:
            return projected
        rows = torch.from_numpy(np.array(projected, dtype=np.float32)).to(self.likeness.device)
        return F.normalize(rows @ self.likeness, dim=-1).cpu().numpy()


def _float(values: FloatArray | None, dim: int, default: float) -> Tensor:
    if values is None:
        return torch.full((dim,), default)
    return torch.from_numpy(np.array(values, dtype=np.float32))
