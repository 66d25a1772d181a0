"""The command: what was given decides who reads."""

from __future__ import annotations

from multimodal_search.errors import SettingsError
from multimodal_search.settings.extraction import ExtractSettings


def run(settings: ExtractSettings) -> int:
    """Extract what the settings name.

    Returns:
        The exit code.

    Raises:
        SettingsError: no source, or two.
    """
    given = [
        flag for flag, value in (("--dataroot", settings.nuscenes_path), ("--mcap", settings.mcap)) if value
    ]
    if len(given) != 1:
        raise SettingsError(
            "Give one source." if not given else f"Two sources were given: {' and '.join(given)}.",
            remedy="--dataroot DIR for nuScenes, or --mcap FILE, DIR or s3://... for recordings",
        )
    if settings.mcap:
        from multimodal_search.extraction.mcap import extract_mcap

        return extract_mcap(settings)
    from multimodal_search.extraction.nuscenes import extract_nuscenes

    return extract_nuscenes(settings)
