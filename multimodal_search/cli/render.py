"""``multimodal-search render``: pictures of meshes and point clouds."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import RenderSettings, parse


def main(argv: Sequence[str]) -> int:
    """Render what is missing."""
    settings = parse(RenderSettings, argv, prog="multimodal-search render", summary=COMMANDS["render"])
    set_up(settings)
    from multimodal_search.rendering.run import run

    with output_at_hand(settings) as local:
        run(local)
    return 0
