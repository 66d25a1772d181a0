"""Where the cameras stand: spread evenly, and the same for every specimen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from multimodal_search.types import FloatArray

_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
_STEPS = 2.0**30  # libraries of mathematics differ in the last bit; cameras must not


def cameras(views: int, *, seed: int = 0, elevations: Sequence[float] = ()) -> FloatArray:
    """Axes of each camera in the specimen's space.

    Args:
        elevations: degrees over the horizon (z is up) of rings that share the views; none: the spherical
            Fibonacci lattice (Gonzalez 2010, "Measurement of areas on a sphere using Fibonacci and
            latitude-longitude lattices"), turned at random.
        seed: of the turn.

    Returns:
        (views, 3, 3) float64: rows are right, up, and towards the camera.
    """
    places = _rings(views, seed, elevations) if elevations else _lattice(views, seed)
    return np.stack([_axes(place) for place in places])


def _lattice(views: int, seed: int) -> FloatArray:
    number = np.arange(views)
    z = 1.0 - (2.0 * number + 1.0) / views
    around = number * _GOLDEN_ANGLE
    flat = np.sqrt(1.0 - z * z)
    points = np.stack([flat * np.cos(around), flat * np.sin(around), z], axis=1)
    turn = _turn(seed)
    turned: FloatArray = sum(points[:, [axis]] * turn[:, axis] for axis in range(3))
    return turned


def _rings(views: int, seed: int, elevations: Sequence[float]) -> FloatArray:
    """Rings take turns, so that each has its share; each is turned against the one before."""
    start = float(np.random.default_rng(seed).random())
    points = []
    for view in range(views):
        ring = view % len(elevations)
        share = len(range(ring, views, len(elevations)))
        around = 2.0 * math.pi * ((view // len(elevations) + ring / len(elevations)) / share + start)
        high = math.radians(elevations[ring])
        points.append((math.cos(high) * math.cos(around), math.cos(high) * math.sin(around), math.sin(high)))
    return np.array(points)


def _turn(seed: int) -> FloatArray:
    """(3, 3) a rotation, all equally likely (Shoemake 1992, "Uniform random rotations")."""
    share, first, second = np.random.default_rng(seed).random(3)
    one, two = math.sqrt(1.0 - share), math.sqrt(share)
    x, y = one * math.sin(2 * math.pi * first), one * math.cos(2 * math.pi * first)
    z, w = two * math.sin(2 * math.pi * second), two * math.cos(2 * math.pi * second)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _axes(towards: FloatArray) -> FloatArray:
    towards = towards / math.sqrt(sum(float(one) ** 2 for one in towards))
    pole = np.array([0.0, 0.0, 1.0]) if abs(towards[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(pole, towards)
    right /= math.sqrt(sum(float(one) ** 2 for one in right))
    up = np.cross(towards, right)
    rounded: FloatArray = np.rint(np.stack([right, up, towards]) * _STEPS) / _STEPS
    return rounded
