"""Vectors that lie in clusters, as embeddings do: made quickly, in parts, the same for one seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.types import FloatArray

_DIRECTIONS = 24  # in which the members of a cluster differ
_BASES = 64


def clustered(
    rows: int,
    dim: int = 256,
    *,
    seed: int = 0,
    clusters: int = 2000,
    spread: float = 0.6,
    block: int = 65_536,
) -> Iterator[FloatArray]:
    """Blocks (n, dim) float32 of length one.

    Clusters are of unequal size (the i-th as ``i ** -0.5``); a member is its centre, plus a step of about
    ``spread`` in 24 directions of its cluster, plus noise of length 0.25 in all. The centres are the same for
    every ``seed``, so that another seed gives fresh queries of the same data.
    """
    fixed = np.random.default_rng(1234)
    centres = fixed.standard_normal((clusters, dim), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    bases = fixed.standard_normal((_BASES, _DIRECTIONS, dim), dtype=np.float32) / np.sqrt(dim * _DIRECTIONS)
    share = 1 / np.sqrt(np.arange(1, clusters + 1))
    share /= share.sum()
    generator = np.random.default_rng(seed)
    for start in range(0, rows, block):
        count = min(block, rows - start)
        of = generator.choice(clusters, count, p=share)
        vectors = generator.standard_normal((count, dim), dtype=np.float32)
        vectors *= 0.25 / np.sqrt(dim)
        vectors += centres[of]
        steps = generator.standard_normal((count, _DIRECTIONS), dtype=np.float32) * spread
        for number in range(_BASES):
            mine = np.flatnonzero(of % _BASES == number)
            vectors[mine] += steps[mine] @ bases[number]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield vectors


def write_clustered(path: Path, rows: int, dim: int = 256, **how: Any) -> None:
    """Write an ``.npy``, a block at a time, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npy")
    out = np.lib.format.open_memmap(
        temporary, "w+", np.float16 if rows > 5_000_000 else np.float32, (rows, dim)
    )
    start = 0
    for block in clustered(rows, dim, **how):
        out[start : start + len(block)] = block
        start += len(block)
    out.flush()
    del out
    temporary.rename(path)
