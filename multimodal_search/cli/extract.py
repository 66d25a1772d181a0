"""``multimodal-search extract``."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
from multimodal_search.settings import ExtractSettings, parse


def main(argv: Sequence[str]) -> int:
    """One call; what is done is in the log."""
    settings = parse(ExtractSettings, argv, prog="multimodal-search extract", summary=COMMANDS["extract"])
    configure_logging()
    from multimodal_search.extraction.run import run

    return run(settings)
