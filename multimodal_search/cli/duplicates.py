"""``multimodal-search duplicates``: near-duplicates, and which rows to keep."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
from multimodal_search.settings import DuplicatesSettings, parse


def main(argv: Sequence[str]) -> int:
    """Write groups, a keep-list and a summary; say how many there are."""
    settings = parse(
        DuplicatesSettings, argv, prog="multimodal-search duplicates", summary=COMMANDS["duplicates"]
    )
    configure_logging()
    from multimodal_search.analysis.duplicates import find_and_write

    find_and_write(settings)
    return 0
