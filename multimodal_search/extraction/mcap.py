"""MCAP recordings -> items, pictures and signals."""

from __future__ import annotations

from multimodal_search.settings.extraction import ExtractSettings


def extract_mcap(settings: ExtractSettings) -> int:
    """Cut recordings into windows and write them."""
    raise NotImplementedError
