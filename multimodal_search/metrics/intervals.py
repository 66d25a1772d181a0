"""How sure a figure is: bootstrap over scenes and over logs, the wider of the two published.

The scene is the unit, not the keyframe: keyframes half a second apart are near duplicates, and scenes of one
log share a road and a sky. The gallery stays as it is; only the queries are drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

DRAWS = 1000
FEW_SCENES = 50
TOO_FEW = "too few to tell"
_Z95 = 1.959963984540054


def verdict(scenes: int) -> str | None:
    """``too few to tell`` under 50 scenes, else None."""
    return TOO_FEW if scenes < FEW_SCENES else None


def widest_interval(
    values: Float64, units: Sequence[Sequence[str]], *, seed: int = 0, rate: bool = False
) -> tuple[float, float] | None:
    """The wider 95 % interval of the mean of ``values``, over each kind of unit in turn.

    Args:
        values: (q,) one value a query.
        units: for each kind of unit (scenes, logs), the (q,) names of each query's unit.
        rate: values are 0 or 1; where all units agree, the bootstrap has no spread and Wilson's interval over
            the units stands in (30 of 30 found is not certainty).

    Returns None where there are under two units of every kind.
    """
    found: list[tuple[float, float]] = []
    for number, names in enumerate(units):
        one = bootstrap_interval(values, names, seed=seed + number, rate=rate)
        if one is not None:
            found.append(one)
    return max(found, key=lambda pair: pair[1] - pair[0], default=None)


def bootstrap_interval(
    values: Float64, unit: Sequence[str], *, seed: int = 0, rate: bool = False
) -> tuple[float, float] | None:
    """95 % percentile interval of the mean, whole units drawn with replacement; None under two units."""
    _, index = np.unique(np.asarray(unit, dtype=np.str_), return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    if count < 2:
        return None
    sums = np.bincount(index, weights=values, minlength=count)
    sizes = np.bincount(index, minlength=count).astype(np.float64)
    means = sums / sizes
    if rate and np.ptp(means) == 0 and means[0] in (0.0, 1.0):
        return wilson_interval(float(means[0]), count)
    drawn = np.random.default_rng(seed).integers(0, count, size=(DRAWS, count))
    resampled = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of ``n`` (Wilson, 1927)."""
    centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 * np.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n)) / (1 + _Z95**2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
