"""``multimodal-search cluster``: groups of vectors, with names."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
from multimodal_search.settings import ClusterSettings, parse


def main(argv: Sequence[str]) -> int:
    """Cluster, and say what was found."""
    settings = parse(ClusterSettings, argv, prog="multimodal-search cluster", summary=COMMANDS["cluster"])
    configure_logging()
    from multimodal_search.analysis.cluster_run import run

    run(settings)
    return 0
