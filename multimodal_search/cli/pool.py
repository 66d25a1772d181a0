"""``multimodal-search pool``: a vector a specimen from those of its views."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
from multimodal_search.settings import PoolSettings, parse


def main(argv: Sequence[str]) -> int:
    """Write a vector a specimen."""
    settings = parse(PoolSettings, argv, prog="multimodal-search pool", summary=COMMANDS["pool"])
    configure_logging()
    from multimodal_search.embedding.pool import run

    run(settings)
    return 0
