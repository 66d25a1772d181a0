"""``multimodal-search map``: vectors as points in the plane."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import MapSettings, parse


def main(argv: Sequence[str]) -> int:
    """Draw the map; its files are named in the log."""
    settings = parse(MapSettings, argv, prog="multimodal-search map", summary=COMMANDS["map"])
    set_up(settings)
    from multimodal_search.analysis.map import run
    from multimodal_search.analysis.map_files import INFO_FILE

    with output_at_hand(settings, INFO_FILE) as local:
        run(local)
    return 0
