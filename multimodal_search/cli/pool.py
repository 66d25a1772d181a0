"""``multimodal-search pool``: a vector a specimen from those of its views."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import PoolSettings, parse


def main(argv: Sequence[str]) -> int:
    """Write a vector a specimen."""
    settings = parse(PoolSettings, argv, prog="multimodal-search pool", summary=COMMANDS["pool"])
    set_up(settings)
    from multimodal_search.embedding.pool import run

    with output_at_hand(settings) as local:
        run(local)
    return 0
