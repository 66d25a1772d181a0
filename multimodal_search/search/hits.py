"""What a search finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Hit:
    """One moment that was found: neighbouring frames and cameras of one scene, known by the best of them.

    Attributes:
        id: of the best frame; ``text``, ``image_path``, ``location``, ``timestamp_us`` and ``metadata`` are
            its own, too.
        score: of the best frame: cosine between the query and its vector, -1 to 1, or with another metric
            the inner product, or the distance (lower is nearer); comparable within one search only.
        text: the frame's first description, empty where it has none.
        image_path: relative to ``Searcher.root``, or ``s3://``; None where it has no picture.
        series_path: relative to ``Searcher.root``; None where the moment has no signal.
        start_us, end_us: time of the moment's first and last frame; None where no time is known.
        frames: ids of the frames that were merged, in order of time.
    """

    id: str
    scene_id: str
    score: float
    text: str
    image_path: str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    location: str | None = None
    timestamp_us: int | None = None
    start_us: int | None = None
    end_us: int | None = None
    frames: tuple[str, ...] = ()
    series_path: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return {**asdict(self), "frames": list(self.frames)}
