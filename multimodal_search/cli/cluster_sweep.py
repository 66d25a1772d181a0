"""``multimodal-search cluster-sweep``: many settings of clustering, and the best of them."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import SweepSettings, parse


def main(argv: Sequence[str]) -> int:
    """Try the grid; the same command run again does what is missing."""
    settings = parse(
        SweepSettings, argv, prog="multimodal-search cluster-sweep", summary=COMMANDS["cluster-sweep"]
    )
    set_up(settings)
    from multimodal_search.analysis.sweep import SUMMARY_FILE, run

    with output_at_hand(settings, SUMMARY_FILE) as local:
        run(local)
    return 0
