"""``multimodal-search duplicates``: near-duplicates, and which rows to keep."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import DuplicatesSettings, parse


def main(argv: Sequence[str]) -> int:
    """Write groups, a keep-list and a summary; say how many there are."""
    settings = parse(
        DuplicatesSettings, argv, prog="multimodal-search duplicates", summary=COMMANDS["duplicates"]
    )
    set_up(settings)
    from multimodal_search.analysis.duplicates import find_and_write

    with output_at_hand(settings) as local:
        find_and_write(local)
    return 0
