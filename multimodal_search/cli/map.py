"""``multimodal-search map``: vectors as points in the plane."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
from multimodal_search.settings import MapSettings, parse


def main(argv: Sequence[str]) -> int:
    """Draw the map; its files are named in the log."""
    settings = parse(MapSettings, argv, prog="multimodal-search map", summary=COMMANDS["map"])
    configure_logging()
    from multimodal_search.analysis.map import run

    run(settings)
    return 0
