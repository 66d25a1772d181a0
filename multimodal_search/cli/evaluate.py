"""``multimodal-search evaluate``: the retrieval table of a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import bundle_at_hand
from multimodal_search.settings import EvaluateSettings, parse


def main(argv: Sequence[str]) -> int:
    """Measure and print; no file of the bundle is changed."""
    settings = parse(EvaluateSettings, argv, prog="multimodal-search evaluate", summary=COMMANDS["evaluate"])
    set_up(settings, quiet=settings.json_output)
    from multimodal_search.export.report import format_table
    from multimodal_search.training.evaluation import evaluate_bundle

    metrics = evaluate_bundle(bundle_at_hand(settings))
    print(
        json.dumps(metrics, ensure_ascii=False, indent=2) if settings.json_output else format_table(metrics)
    )
    return 0
