"""``multimodal-search extract``."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
from multimodal_search.settings import ExtractSettings, parse
from multimodal_search.storage import configure_s3, is_s3


def main(argv: Sequence[str]) -> int:
    """One call; what is done is in the log."""
    settings = parse(ExtractSettings, argv, prog="multimodal-search extract", summary=COMMANDS["extract"])
    configure_logging()
    if any(is_s3(place) for place in settings.mcap):
        from multimodal_search.embedding.bulk import s3_options

        configure_s3(s3_options(settings))
    from multimodal_search.extraction.run import run

    return run(settings)
