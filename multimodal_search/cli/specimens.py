"""``multimodal-search specimens``: from a folder of meshes to a page of look-alikes."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import SpecimensSettings, parse


def main(argv: Sequence[str]) -> int:
    """Run the chain; the same command run again goes on."""
    settings = parse(
        SpecimensSettings, argv, prog="multimodal-search specimens", summary=COMMANDS["specimens"]
    )
    set_up(settings)
    from multimodal_search.specimens.run import run

    with output_at_hand(settings) as local:
        run(local)
    return 0
