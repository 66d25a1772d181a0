"""``multimodal-search extract``."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import ExtractSettings, parse


def main(argv: Sequence[str]) -> int:
    """One call; what is done is in the log."""
    settings = parse(ExtractSettings, argv, prog="multimodal-search extract", summary=COMMANDS["extract"])
    set_up(settings)
    from multimodal_search.extraction.run import run
    from multimodal_search.sources.extracted import METADATA_FILE

    if settings.list_topics:  # writes nothing
        return run(settings)
    with output_at_hand(settings, METADATA_FILE, field="output_dir") as local:
        return run(local)
