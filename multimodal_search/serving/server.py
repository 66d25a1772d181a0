"""The command: a bundle is opened, and the server runs until it is told to stop."""

from __future__ import annotations

from multimodal_search.settings.serving import ServeSettings


def serve(settings: ServeSettings) -> int:
    """Serve until interrupted."""
    raise NotImplementedError
