"""A nuScenes release -> scenes, pictures and signals."""

from __future__ import annotations

from multimodal_search.settings.extraction import ExtractSettings


def extract_nuscenes(settings: ExtractSettings) -> int:
    """Write the chosen scenes."""
    raise NotImplementedError
