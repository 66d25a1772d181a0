"""``multimodal-search cluster``: groups of vectors, with names."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import ClusterSettings, parse


def main(argv: Sequence[str]) -> int:
    """Cluster, and say what was found."""
    settings = parse(ClusterSettings, argv, prog="multimodal-search cluster", summary=COMMANDS["cluster"])
    set_up(settings)
    from multimodal_search.analysis.cluster_files import SUMMARY_FILE
    from multimodal_search.analysis.cluster_run import run

    with output_at_hand(settings, SUMMARY_FILE) as local:
        run(local)
    return 0
