"""Annotated objects of nuScenes: how many a scene has, and what is in front of the car."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from multimodal_search.extraction.nuscenes_rows import disagree, lookup, stream_rows, value
from multimodal_search.extraction.nuscenes_scene import ReleaseScene

TABLES = ("category", "instance", "sample_annotation")
_BESIDE_M = 2.0  # further to the side is another lane
_AHEAD_M = (3.0, 25.0)  # from the car's origin to the middle of what it stands or drives behind


def count_objects(
    folder: Path,
    scenes: Sequence[ReleaseScene],
    index: Mapping[str, tuple[int, int]],
    advance: Callable[[int], object],
) -> None:
    """Fill in ``objects`` and ``ahead`` of the scenes.

    Args:
        folder: of the version, with ``category``, ``instance`` and ``sample_annotation``.
        index: sample token -> (scene, keyframe).

    Raises:
        DataError: tables damaged, or that do not agree: says which token.
    """
    category, instance, annotation = (folder / f"{name}.json" for name in TABLES)
    categories = {
        value(row, "token", category): _short(str(value(row, "name", category)))
        for row in stream_rows(category, advance)
    }
    instances = {
        value(row, "token", instance): lookup(categories, row, "category_token", instance, "category")
        for row in stream_rows(instance, advance)
    }
    poses = [_poses_at_keyframes(scene) for scene in scenes]
    counted: set[tuple[int, str]] = set()
    for row in stream_rows(annotation, advance):
        number, keyframe = lookup(index, row, "sample_token", annotation, "sample")
        name = lookup(instances, row, "instance_token", annotation, "instance")
        scene, key = scenes[number], (number, row["instance_token"])
        if key not in counted:
            counted.add(key)
            scene.objects[name] = scene.objects.get(name, 0) + 1
        at = poses[number]
        if at is None:
            continue
        x, y, cos, sin = at[keyframe]
        try:
            east, north = row["translation"][0] - x, row["translation"][1] - y
        except (KeyError, TypeError, IndexError) as error:
            raise disagree(row, annotation, "its translation is not (x, y, z)") from error
        forward = east * cos + north * sin
        if _AHEAD_M[0] < forward < _AHEAD_M[1] and abs(north * cos - east * sin) < _BESIDE_M:
            near = scene.ahead.get(keyframe)
            if near is None or forward < near[0]:
                scene.ahead[keyframe] = (forward, name)


def _short(category: str) -> str:
    """``human.pedestrian.adult`` -> ``pedestrian``, ``vehicle.bus.rigid`` -> ``bus``."""
    parts = category.split(".")
    return parts[1] if len(parts) > 1 else category


def _poses_at_keyframes(scene: ReleaseScene) -> list[tuple[float, float, float, float]] | None:
    """x, y, cosine and sine of the heading at each keyframe; None where the car's way is unknown."""
    if not scene.pose_times_us.size:
        return None
    order = np.argsort(scene.pose_times_us)
    times = scene.pose_times_us[order]
    stamps = np.array(scene.timestamps_us, dtype=np.int64)
    after = np.clip(np.searchsorted(times, stamps), 0, times.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.where(np.abs(times[before] - stamps) <= np.abs(times[after] - stamps), before, after)
    result = []
    for x, y, _, w, qx, qy, qz in scene.poses[order[nearer]].tolist():
        heading = math.atan2(2 * (w * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))
        result.append((x, y, math.cos(heading), math.sin(heading)))
    return result
