"""What extraction keeps of a nuScenes scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multimodal_search.types import FloatArray, IntArray


@dataclass(slots=True)
class ReleaseScene:
    """A scene's rows.

    Attributes:
        row: of ``scene.json``.
        log: of ``log.json``; empty where the release has none.
        samples: tokens of the keyframes in time order.
        timestamps_us: (keyframes,).
        pictures: camera -> file name a keyframe, None where the tables have none.
        pose_times_us: (T,) of one sensor's ego poses, in no order.
        poses: (T, 7) x, y, z in metres, and the rotation w, x, y, z.
        poses_missing: ego poses that ``sample_data`` names and ``ego_pose`` lacks.
        first_missing: the token of one of them.
        objects: category -> how many different ones were annotated.
        ahead: keyframe -> (metres, category) of the nearest object in front.
    """

    row: Mapping[str, Any]
    log: Mapping[str, Any]
    samples: list[str] = field(default_factory=list)
    timestamps_us: list[int] = field(default_factory=list)
    pictures: dict[str, list[str | None]] = field(default_factory=dict)
    pose_times_us: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    poses: FloatArray = field(default_factory=lambda: np.empty((0, 7)))
    poses_missing: int = 0
    first_missing: str | None = None
    objects: dict[str, int] = field(default_factory=dict)
    ahead: dict[int, tuple[float, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scene's name, ``scene-0061``."""
        return str(self.row["name"])

    @property
    def duration_seconds(self) -> float:
        """From the first keyframe to the last."""
        return (self.timestamps_us[-1] - self.timestamps_us[0]) / 1e6 if self.timestamps_us else 0.0
