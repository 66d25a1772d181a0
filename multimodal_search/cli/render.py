"""``multimodal-search render``: pictures of meshes and point clouds."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
from multimodal_search.settings import RenderSettings, parse


def main(argv: Sequence[str]) -> int:
    """Render what is missing."""
    settings = parse(RenderSettings, argv, prog="multimodal-search render", summary=COMMANDS["render"])
    configure_logging()
    from multimodal_search.rendering.run import run

    run(settings)
    return 0
