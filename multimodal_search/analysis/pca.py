"""Principal components of many rows, a block at a time; the same signs on every run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multimodal_search.analysis.rows import write_csv
from multimodal_search.errors import SettingsError
from multimodal_search.types import FloatArray

_BLOCK_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Components:
    """Principal axes, the one of most variance first.

    Attributes:
        mean: (dim,) float64.
        axes: (dim, components) float64, of length one; each axis' largest weight is positive.
        shares: (components,) share of the variance that each explains; all zero for constant rows.
    """

    mean: FloatArray
    axes: FloatArray
    shares: FloatArray

    def apply(self, vectors: FloatArray, count: int) -> FloatArray:
        """(n, dim) -> (n, count) float32; columns beyond the last component are zero."""
        axes = self.axes[:, :count]
        found = np.zeros((len(vectors), count), dtype=np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            block = vectors[start : start + _BLOCK_ROWS] - self.mean
            found[start : start + _BLOCK_ROWS, : axes.shape[1]] = block @ axes
        return found

    def count_for(self, pca: float) -> int:
        """How many components ``--pca`` asks for: 64 is a count, 0.95 the least that explain this share.

        Raises:
            SettingsError: neither a share below 1 nor a whole number, or more than there are.
        """
        if pca < 1:
            reached = np.cumsum(self.shares) >= pca - 1e-9
            return int(reached.argmax()) + 1 if reached.any() else len(self.shares)
        if pca != int(pca):
            raise SettingsError(
                f"--pca {pca:g} is neither a count nor a share of variance.",
                remedy="a whole number of components, a share below 1 such as 0.95, or 0 for none",
            )
        if pca > len(self.shares):
            raise SettingsError(
                f"--pca {pca:g} asks for more components than the {len(self.shares)} that these rows have.",
                remedy=f"at most {len(self.shares)}, or a share below 1",
            )
        return int(pca)


def principal_components(vectors: FloatArray) -> Components:
    """Of (n, dim) finite rows: from the covariance, or by SVD where rows are fewer than dimensions."""
    n, dim = vectors.shape
    mean = np.zeros(dim) if not n else vectors.mean(axis=0, dtype=np.float64)
    if n < dim:
        _, scale, right = np.linalg.svd(np.asarray(vectors, dtype=np.float64) - mean, full_matrices=False)
        axes, variances = right.T, np.square(scale)
    else:
        square = np.zeros((dim, dim))
        for start in range(0, n, _BLOCK_ROWS):
            block = vectors[start : start + _BLOCK_ROWS] - mean
            square += block.T @ block
        variances, axes = np.linalg.eigh(square)
        variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    if axes.shape[1]:
        # an axis' sign is the solver's whim
        largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
        axes = axes * np.where(largest < 0, -1.0, 1.0)
    total = variances.sum()
    # of constant rows only rounding is left
    vary = total > 1e-12 * max(1.0, float(n) * float(np.square(mean).sum()))
    return Components(mean, axes, variances / total if vary else np.zeros_like(variances))


def write_report(path: Path, components: Components) -> None:
    """``component, explained_variance_ratio, cumulative``: a row a component, counted from 1.

    Raises:
        OutputError: the file cannot be written.
    """
    reached = np.cumsum(components.shares)
    rows = [
        [number, f"{share:.8f}", f"{total:.8f}"]
        for number, (share, total) in enumerate(zip(components.shares, reached, strict=True), start=1)
    ]
    write_csv(path, ["component", "explained_variance_ratio", "cumulative"], rows)
